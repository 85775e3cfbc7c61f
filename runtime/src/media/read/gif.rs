//! `.gif`: frames painted one over the other, as a viewer shows them.

use std::fs::File;
use std::io::{self, Seek};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use ::gif::{DecodeOptions, Decoder, DecodingError, DisposalMethod, Frame, MemoryLimit};

use super::{FrameSource, MAX_PIXELS, Source, bad_frame, check_size};
use crate::media::{FrameRate, MediaError};

/// Bytes of an image, of one each pixel, and of the metadata between images.
const LIMIT: NonZeroU64 = NonZeroU64::new(MAX_PIXELS as u64).unwrap();
/// Hundredths of a second below which viewers take a delay for a mistake, and what they play instead.
const MIN_DELAY: u16 = 2;
const USUAL_DELAY: u16 = 10;

struct GifSource {
    path: PathBuf,
    decoder: Decoder<File>,
    palette: Vec<u8>,
    canvas: Canvas,
    timing: Timing,
    /// Frames read so far.
    read: usize,
}

pub(super) fn open(path: &Path) -> Result<Source, MediaError> {
    let fail = |source| MediaError::reading(path, source);
    let mut file = File::open(path).map_err(fail)?;
    let timing = Timing::scan(path, &file)?;
    file.rewind().map_err(fail)?;
    let decoder = begin(path, file, &DecodeOptions::new())?;
    let (width, height) = (usize::from(decoder.width()), usize::from(decoder.height()));
    check_size(path, width, height)?;
    Ok(Box::new(GifSource {
        path: path.to_owned(),
        palette: decoder.global_palette().unwrap_or_default().to_vec(),
        decoder,
        canvas: Canvas::new(width, height),
        timing,
        read: 0,
    }))
}

impl FrameSource for GifSource {
    fn width(&self) -> usize {
        self.canvas.width
    }

    fn height(&self) -> usize {
        self.canvas.height
    }

    fn rate(&self) -> Option<FrameRate> {
        FrameRate::nearest(self.timing.frames as u64 * 100, self.timing.hundredths)
    }

    fn frames(&self) -> Option<usize> {
        Some(self.timing.frames)
    }

    fn next_frame(&mut self, rgb: &mut Vec<u8>) -> Result<bool, MediaError> {
        let image = self.decoder.read_next_frame();
        let Some(image) = image.map_err(|e| decoding_error(&self.path, self.read + 1, e))? else {
            return Ok(false);
        };
        self.canvas.show(image, image.palette.as_deref().unwrap_or(&self.palette));
        rgb.clear();
        rgb.extend_from_slice(&self.canvas.rgb);
        self.read += 1;
        Ok(true)
    }
}

/// How many frames there are and how long they are shown.
struct Timing {
    frames: usize,
    hundredths: u64,
}

impl Timing {
    /// Walks over the whole file without decoding it, since each frame has a delay of its own.
    fn scan(path: &Path, file: &File) -> Result<Self, MediaError> {
        let mut options = DecodeOptions::new();
        options.skip_frame_decoding(true);
        let mut decoder = begin(path, file, &options)?;
        let mut timing = Self { frames: 0, hundredths: 0 };
        loop {
            match decoder.next_frame_info() {
                Ok(Some(image)) => timing.add(image.delay),
                Ok(None) if timing.frames == 0 => return Err(MediaError::Empty { path: path.to_owned() }),
                Ok(None) => return Ok(timing),
                // The image was begun already: the error is in the data behind it, or before the next one.
                Err(error) => return Err(decoding_error(path, timing.frames.max(1), error)),
            }
        }
    }

    fn add(&mut self, delay: u16) {
        self.frames += 1;
        self.hundredths += u64::from(if delay < MIN_DELAY { USUAL_DELAY } else { delay });
    }
}

fn begin<R: io::Read>(path: &Path, input: R, options: &DecodeOptions) -> Result<Decoder<R>, MediaError> {
    let mut options = options.clone();
    options.set_memory_limit(MemoryLimit::Bytes(LIMIT));
    options.read_info(input).map_err(|error| match error {
        DecodingError::Io(source) => MediaError::reading(path, source),
        other => MediaError::BadHeader { path: path.to_owned(), format: "gif", reason: other.to_string() },
    })
}

fn decoding_error(path: &Path, frame: usize, error: DecodingError) -> MediaError {
    match error {
        DecodingError::Io(source) => MediaError::reading(path, source),
        DecodingError::UnexpectedEof => MediaError::CutOff { path: path.to_owned(), frame },
        other => bad_frame(path, frame, other),
    }
}

/// What a viewer shows. Where nothing is painted it is black.
struct Canvas {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
    /// The canvas before an image that wants it back.
    saved: Vec<u8>,
    /// What to do with the last image before the next one.
    disposal: DisposalMethod,
    painted: Area,
}

/// Where an image lies. It may reach over the canvas; what does is not seen.
#[derive(Clone, Copy, Default)]
struct Area {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

impl Canvas {
    fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            rgb: vec![0; width * height * 3],
            saved: Vec::new(),
            disposal: DisposalMethod::Keep,
            painted: Area::default(),
        }
    }

    /// Disposes of the last image as it asked for, then paints the next.
    fn show(&mut self, image: &Frame<'_>, palette: &[u8]) {
        match self.disposal {
            DisposalMethod::Any | DisposalMethod::Keep => {}
            // As viewers do: the background is transparent, whatever colour the file gives it.
            DisposalMethod::Background => self.rows(self.painted).for_each(|row| row.fill(0)),
            DisposalMethod::Previous => std::mem::swap(&mut self.rgb, &mut self.saved),
        }
        self.disposal = image.dispose;
        self.painted = Area {
            left: image.left.into(),
            top: image.top.into(),
            width: image.width.into(),
            height: image.height.into(),
        };
        if self.disposal == DisposalMethod::Previous {
            self.saved.clone_from(&self.rgb);
        }
        self.paint(image, palette);
    }

    /// Transparent pixels leave what is there, and so do numbers that the palette does not have.
    fn paint(&mut self, image: &Frame<'_>, palette: &[u8]) {
        let indices = image.buffer.chunks_exact(self.painted.width.max(1));
        for (row, indices) in self.rows(self.painted).zip(indices) {
            for (pixel, index) in row.chunks_exact_mut(3).zip(indices) {
                let colour = palette.chunks_exact(3).nth(usize::from(*index));
                if let Some(colour) = colour.filter(|_| image.transparent != Some(*index)) {
                    pixel.copy_from_slice(colour);
                }
            }
        }
    }

    /// The rows of an area, as far as they are on the canvas.
    fn rows(&mut self, area: Area) -> impl Iterator<Item = &mut [u8]> {
        let left = area.left.min(self.width);
        let right = (area.left + area.width).min(self.width);
        let rows = self.rgb.chunks_exact_mut(self.width * 3).skip(area.top).take(area.height);
        rows.map(move |row| &mut row[left * 3..right * 3])
    }
}
