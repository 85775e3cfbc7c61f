//! `.png`: one picture, a numbered set, or a folder of pictures.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use ::png::{BitDepth, ColorType, Decoder, DecodingError, InterlaceInfo, Limits, Transformations};

use super::{FrameSource, PNG, Source, bad_frame, check_size};
use crate::media::png::DIGITS;
use crate::media::{FrameRate, MediaError};

/// Bytes that a decoder may ask for besides the frame: rows, the palette and the like.
const LIMITS: Limits = Limits { bytes: 1 << 24 };

struct PngSource {
    files: Files,
    size: (usize, usize),
    /// Frames read so far.
    read: usize,
}

/// The pictures in the order of their frames.
struct Files {
    names: Box<dyn Iterator<Item = PathBuf> + Send>,
    first: PathBuf,
    count: usize,
}

pub(super) fn open(path: &Path) -> Result<Source, MediaError> {
    let files = if path.is_dir() { folder(path)? } else { set(path) };
    let mut decoder = begin(&files.first, 1).map_err(|error| match error {
        MediaError::NoFile { path, .. } => {
            MediaError::NoFile { path, also: ", nor a numbered set (name-0001.png ...) of that name" }
        }
        other => other,
    })?;
    let size = size(&mut decoder).map_err(|e| decoding_error(&files.first, 1, e))?;
    check_size(&files.first, size.0, size.1)?;
    Ok(Box::new(PngSource { files, size, read: 0 }))
}

impl FrameSource for PngSource {
    fn width(&self) -> usize {
        self.size.0
    }

    fn height(&self) -> usize {
        self.size.1
    }

    fn rate(&self) -> Option<FrameRate> {
        None
    }

    fn frames(&self) -> Option<usize> {
        Some(self.files.count)
    }

    fn next_frame(&mut self, rgb: &mut Vec<u8>) -> Result<bool, MediaError> {
        let Some(path) = self.files.names.next() else { return Ok(false) };
        self.read += 1;
        let mut decoder = begin(&path, self.read)?;
        let fail = |e| decoding_error(&path, self.read, e);
        let size = size(&mut decoder).map_err(fail)?;
        if size != self.size {
            return Err(MediaError::SizesDiffer { path, size, first: self.size });
        }
        decode(decoder, size, rgb).map_err(fail)?;
        Ok(true)
    }
}

/// All pictures of a folder, by name.
fn folder(path: &Path) -> Result<Files, MediaError> {
    let entries = fs::read_dir(path).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
    let entries = entries.map_err(|e| MediaError::reading(path, e))?;
    let mut names: Vec<_> =
        entries.into_iter().map(|entry| entry.path()).filter(|name| is_picture(name)).collect();
    names.sort();
    let first = names.first().ok_or_else(|| MediaError::Empty { path: path.to_owned() })?.clone();
    Ok(Files { first, count: names.len(), names: Box::new(names.into_iter()) })
}

fn is_picture(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && path.extension().is_some_and(|e| e.eq_ignore_ascii_case(PNG)) && path.is_file()
}

/// What a name stands for. One that stands for nothing is left as it is, for opening it to fail.
fn set(path: &Path) -> Files {
    let run = if path.exists() { Run::beginning_with(path) } else { Run::written_as(path) };
    match run {
        Some(run) => {
            let count = run.names().take_while(|name| name.is_file()).count();
            Files { first: run.name(run.first), count, names: Box::new(run.names().take(count)) }
        }
        None => Files { first: path.to_owned(), count: 1, names: Box::new(std::iter::once(path.to_owned())) },
    }
}

/// Files of consecutive numbers.
#[derive(Clone)]
struct Run {
    /// The path of one of them, of which the names of all are made.
    path: PathBuf,
    prefix: String,
    /// Fewest digits.
    digits: usize,
    first: u64,
}

impl Run {
    /// The run that begins with this file; none if its name does not end in digits.
    fn beginning_with(path: &Path) -> Option<Self> {
        let stem = path.file_stem()?.to_str()?;
        let prefix = stem.trim_end_matches(|c: char| c.is_ascii_digit());
        let first = stem[prefix.len()..].parse().ok()?;
        Some(Self {
            path: path.to_owned(),
            prefix: prefix.to_owned(),
            digits: stem.len() - prefix.len(),
            first,
        })
    }

    /// The set that the writer of `.png` makes of a name, if there is one.
    fn written_as(path: &Path) -> Option<Self> {
        let prefix = format!("{}-", path.file_stem()?.to_str()?);
        let most = u64::MAX.ilog10() as usize + 1;
        let run = |digits| Self { path: path.to_owned(), prefix: prefix.clone(), digits, first: 1 };
        (DIGITS..=most).map(run).find(|run| run.name(1).is_file())
    }

    fn name(&self, number: u64) -> PathBuf {
        let Self { path, prefix, digits, .. } = self;
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        path.with_file_name(format!("{prefix}{number:0digits$}.{extension}"))
    }

    fn names(&self) -> impl Iterator<Item = PathBuf> + Send + use<> {
        let run = self.clone();
        (run.first..=u64::MAX).map(move |number| run.name(number))
    }
}

type Input = Decoder<BufReader<File>>;

fn begin(path: &Path, frame: usize) -> Result<Input, MediaError> {
    let file = File::open(path).map_err(|e| MediaError::reading(path, e))?;
    if file.metadata().is_ok_and(|file| file.is_dir()) {
        return Err(bad_frame(path, frame, "it is a folder"));
    }
    let mut decoder = Decoder::new_with_limits(BufReader::new(file), LIMITS);
    decoder.set_transformations(Transformations::EXPAND);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    Ok(decoder)
}

fn size(decoder: &mut Input) -> Result<(usize, usize), DecodingError> {
    let info = decoder.read_header_info()?;
    let side = |pixels: u32| usize::try_from(pixels).unwrap_or(usize::MAX);
    Ok((side(info.width), side(info.height)))
}

/// Decodes all rows, through to the file's end mark.
fn decode(decoder: Input, (width, height): (usize, usize), rgb: &mut Vec<u8>) -> Result<(), DecodingError> {
    let mut reader = decoder.read_info()?;
    let (colour, depth) = reader.output_color_type();
    rgb.clear();
    if reader.info().interlaced {
        *rgb = vec![0; width * height * 3];
    }
    let mut pixels = Vec::new();
    while let Some(row) = reader.next_interlaced_row()? {
        match row.interlace() {
            InterlaceInfo::Null(_) => append(row.data(), colour, depth, rgb),
            InterlaceInfo::Adam7(pass) => {
                pixels.clear();
                append(row.data(), colour, depth, &mut pixels);
                ::png::expand_interlaced_row(rgb, width * 3, &pixels, pass, 24);
            }
        }
    }
    reader.finish()
}

/// Appends a row of any kind of pixels as RGB bytes.
fn append(row: &[u8], colour: ColorType, depth: BitDepth, rgb: &mut Vec<u8>) {
    let bytes = if depth == BitDepth::Sixteen { 2 } else { 1 };
    for pixel in row.chunks_exact(colour.samples() * bytes) {
        let sample = |i: usize| match depth {
            BitDepth::Sixteen => narrow(u16::from_be_bytes([pixel[2 * i], pixel[2 * i + 1]])),
            _ => pixel[i],
        };
        rgb.extend(match colour {
            // The decoder has looked palettes up already.
            ColorType::Grayscale | ColorType::Indexed => [sample(0); 3],
            ColorType::GrayscaleAlpha => [over_black(sample(0), sample(1)); 3],
            ColorType::Rgb => [0, 1, 2].map(sample),
            ColorType::Rgba => [0, 1, 2].map(|i| over_black(sample(i), sample(3))),
        });
    }
}

/// `value * 255 / 65535`, rounded to nearest.
fn narrow(value: u16) -> u8 {
    u8::try_from((u32::from(value) + 128) / 257).unwrap_or(u8::MAX)
}

/// `value * alpha / 255`, rounded to nearest.
fn over_black(value: u8, alpha: u8) -> u8 {
    u8::try_from((u32::from(value) * u32::from(alpha) + 127) / 255).unwrap_or(u8::MAX)
}

fn decoding_error(path: &Path, frame: usize, error: DecodingError) -> MediaError {
    match error {
        DecodingError::IoError(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
            MediaError::CutOff { path: path.to_owned(), frame }
        }
        DecodingError::IoError(source) => MediaError::reading(path, source),
        other => bad_frame(path, frame, other),
    }
}
