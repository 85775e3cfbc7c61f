//! `.y4m` (YUV4MPEG2): a line of parameters, then for each frame a line `FRAME` and its planes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::{FrameSource, Source, bad_frame, check_size};
use crate::media::yuv::Inverse;
use crate::media::{FrameRate, MediaError};

/// Longest line that is read. Real ones have under 100 bytes.
const MAX_LINE: u64 = 1024;

/// How often chroma is halved across and down; none without chroma.
type Subsampling = Option<(usize, usize)>;

/// What the parameter `C` may say. The kinds of 4:2:0 differ in where between the pixels chroma sits.
const PIXEL_FORMATS: &[(&str, Subsampling)] = &[
    ("420", Some((1, 1))),
    ("420jpeg", Some((1, 1))),
    ("420mpeg2", Some((1, 1))),
    ("420paldv", Some((1, 1))),
    ("411", Some((2, 0))),
    ("422", Some((1, 0))),
    ("444", Some((0, 0))),
    ("mono", None),
];

struct Y4mSource {
    path: PathBuf,
    input: BufReader<File>,
    header: Header,
    /// Bytes of a frame's planes.
    frame_bytes: usize,
    planes: Vec<u8>,
    /// Frames read so far.
    read: usize,
}

pub(super) fn open(path: &Path) -> Result<Source, MediaError> {
    let fail = |source| MediaError::reading(path, source);
    let mut input = BufReader::new(File::open(path).map_err(fail)?);
    let header = match read_line(&mut input).map_err(fail)? {
        Line::Whole(line) => Header::parse(path, &line)?,
        _ => return Err(bad_header(path, "it does not begin with a line \"YUV4MPEG2 ...\"")),
    };
    check_size(path, header.width, header.height)?;
    if input.fill_buf().map_err(fail)?.is_empty() {
        return Err(MediaError::Empty { path: path.to_owned() });
    }
    let frame_bytes = header.frame_bytes();
    Ok(Box::new(Y4mSource { path: path.to_owned(), input, header, frame_bytes, planes: Vec::new(), read: 0 }))
}

impl FrameSource for Y4mSource {
    fn width(&self) -> usize {
        self.header.width
    }

    fn height(&self) -> usize {
        self.header.height
    }

    fn rate(&self) -> Option<FrameRate> {
        self.header.rate
    }

    fn frames(&self) -> Option<usize> {
        None
    }

    fn next_frame(&mut self, rgb: &mut Vec<u8>) -> Result<bool, MediaError> {
        let frame = self.read + 1;
        let cut_off = || MediaError::CutOff { path: self.path.clone(), frame };
        match read_line(&mut self.input).map_err(|e| MediaError::reading(&self.path, e))? {
            Line::End => return Ok(false),
            Line::CutOff => return Err(cut_off()),
            Line::Whole(line) if line == b"FRAME" || line.starts_with(b"FRAME ") => {}
            _ => return Err(bad_frame(&self.path, frame, "it does not begin with a line \"FRAME\"")),
        }
        self.planes.clear();
        // Grows with what comes, so that a short file cannot ask for much by its header alone.
        let mut planes = self.input.by_ref().take(self.frame_bytes as u64);
        planes.read_to_end(&mut self.planes).map_err(|e| MediaError::reading(&self.path, e))?;
        if self.planes.len() < self.frame_bytes {
            return Err(cut_off());
        }
        self.header.convert(&self.planes, rgb);
        self.read = frame;
        Ok(true)
    }
}

/// What the parameters say.
struct Header {
    width: usize,
    height: usize,
    rate: Option<FrameRate>,
    subsampling: Subsampling,
    colours: Inverse,
}

impl Header {
    fn parse(path: &Path, line: &[u8]) -> Result<Self, MediaError> {
        let line = str::from_utf8(line).map_err(|_| bad_header(path, "its first line is not text"))?;
        let mut words = line.split(' ');
        if words.next() != Some("YUV4MPEG2") {
            return Err(bad_header(path, "it does not begin with \"YUV4MPEG2\""));
        }
        let mut header =
            Self { width: 0, height: 0, rate: None, subsampling: Some((1, 1)), colours: Inverse::BT601 };
        for word in words {
            header.parameter(path, word)?;
        }
        Ok(header)
    }

    /// Takes one parameter in: a letter and its value. Those of fields and pixel aspect change nothing here.
    fn parameter(&mut self, path: &Path, word: &str) -> Result<(), MediaError> {
        let Some(letter) = word.chars().next() else { return Ok(()) };
        let value = &word[letter.len_utf8()..];
        let bad = || bad_header(path, format!("parameter \"{word}\" makes no sense"));
        match letter {
            'W' => self.width = value.parse().map_err(|_| bad())?,
            'H' => self.height = value.parse().map_err(|_| bad())?,
            'F' => self.rate = rate(value).ok_or_else(bad)?,
            'C' => {
                let known = PIXEL_FORMATS.iter().find(|format| format.0 == value);
                let unknown = || MediaError::PixelFormat { path: path.to_owned(), format: value.to_owned() };
                self.subsampling = known.ok_or_else(unknown)?.1;
            }
            'X' if value == "COLORRANGE=FULL" => self.colours = Inverse::BT601_FULL,
            _ => {}
        }
        Ok(())
    }

    /// Chroma samples across and down; zero without chroma.
    fn chroma_size(&self) -> (usize, usize) {
        let size = |side: usize, halvings| side.div_ceil(1_usize << halvings);
        self.subsampling.map_or((0, 0), |(x, y)| (size(self.width, x), size(self.height, y)))
    }

    fn frame_bytes(&self) -> usize {
        let (across, down) = self.chroma_size();
        self.width * self.height + 2 * across * down
    }

    /// Planes of [`frame_bytes`](Self::frame_bytes) to interleaved bytes.
    fn convert(&self, planes: &[u8], rgb: &mut Vec<u8>) {
        let (across, down) = self.chroma_size();
        let (luma, chroma) = planes.split_at(self.width * self.height);
        let (cb, cr) = chroma.split_at(across * down);
        rgb.clear();
        rgb.reserve(3 * luma.len());
        for (row, luma) in luma.chunks_exact(self.width).enumerate() {
            let Some((x, y)) = self.subsampling else {
                rgb.extend(luma.iter().flat_map(|luma| self.colours.rgb(*luma, 128, 128)));
                continue;
            };
            let chroma_row = (row >> y) * across..((row >> y) + 1) * across;
            let (cb, cr) = (&cb[chroma_row.clone()], &cr[chroma_row]);
            let colours = luma.iter().enumerate();
            rgb.extend(colours.flat_map(|(i, luma)| self.colours.rgb(*luma, cb[i >> x], cr[i >> x])));
        }
    }
}

/// A rate as in `F30000:1001`. A zero stands for "unknown"; nothing at all for nonsense.
fn rate(value: &str) -> Option<Option<FrameRate>> {
    let (numerator, denominator) = value.split_once(':')?;
    let (numerator, denominator) = (numerator.parse().ok()?, denominator.parse().ok()?);
    if numerator == 0 || denominator == 0 {
        return Some(None);
    }
    FrameRate::nearest(numerator, denominator).map(Some)
}

/// What comes up to a line's end.
enum Line {
    /// Without its end.
    Whole(Vec<u8>),
    /// The file ends in it.
    CutOff,
    TooLong,
    /// The file has ended before it.
    End,
}

fn read_line(input: &mut impl BufRead) -> io::Result<Line> {
    let mut line = Vec::new();
    let count = input.take(MAX_LINE).read_until(b'\n', &mut line)?;
    Ok(match line.pop() {
        None => Line::End,
        Some(b'\n') => Line::Whole(line),
        Some(_) if (count as u64) < MAX_LINE => Line::CutOff,
        Some(_) => Line::TooLong,
    })
}

fn bad_header(path: &Path, reason: impl Into<String>) -> MediaError {
    MediaError::BadHeader { path: path.to_owned(), format: "y4m", reason: reason.into() }
}
