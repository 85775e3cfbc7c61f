//! Reading frames from files.
//!
//! What is read is taken for hostile: sizes are checked before memory is asked for, and nothing grows with the number of
//! frames (but for the list of names in a folder of pictures).

use std::path::Path;

use super::{Format, FrameRate, MediaError, extension_of};

#[cfg(feature = "gif")]
mod gif;
#[cfg(feature = "png")]
mod png;
#[cfg(feature = "y4m")]
mod y4m;

#[cfg(test)]
mod tests;

/// Largest width and height of a frame that is read.
const MAX_SIDE: usize = 65_535;
/// Most pixels of a frame that is read.
const MAX_PIXELS: usize = 1 << 28;

/// Gives the frames of a video one by one.
///
/// After an error it is of no more use: it may give further errors, or frames that mean nothing.
pub trait FrameSource: Send {
    /// Pixels across, the same in all frames.
    fn width(&self) -> usize;

    /// Pixels down, the same in all frames.
    fn height(&self) -> usize;

    /// Frames a second, where the file says so.
    fn rate(&self) -> Option<FrameRate>;

    /// Number of frames, where the file says so.
    fn frames(&self) -> Option<usize>;

    /// Replaces what `rgb` holds by the next frame: `height * width * 3` bytes, rows from the top, red green blue.
    ///
    /// False after the last frame; `rgb` then holds nothing of use.
    ///
    /// # Errors
    /// [`MediaError::CutOff`], [`MediaError::BadFrame`], [`MediaError::SizesDiffer`] and the file system's, each naming the
    /// file.
    fn next_frame(&mut self, rgb: &mut Vec<u8>) -> Result<bool, MediaError>;
}

type Source = Box<dyn FrameSource>;
type Open = fn(&Path) -> Result<Source, MediaError>;

/// There is no `.mp4`: no AV1 decoder is at once pure Rust, permissively licensed, kept up, and safe to call.
const FORMATS: &[Format<Open>] = &[
    Format {
        extension: "gif",
        #[cfg(feature = "gif")]
        open: Some(gif::open),
        #[cfg(not(feature = "gif"))]
        open: None,
    },
    Format {
        extension: PNG,
        #[cfg(feature = "png")]
        open: Some(png::open),
        #[cfg(not(feature = "png"))]
        open: None,
    },
    Format {
        extension: "y4m",
        #[cfg(feature = "y4m")]
        open: Some(y4m::open),
        #[cfg(not(feature = "y4m"))]
        open: None,
    },
];

/// What a folder is read as.
const PNG: &str = "png";

/// The extensions that this build can read, without dots.
pub fn readable_extensions() -> impl Iterator<Item = &'static str> {
    Format::extensions(FORMATS)
}

/// Opens a video for reading. The format goes by the extension, without regard to case:
///
/// - `.gif`: frames as a viewer shows them, on black. The rate is the mean of the delays.
/// - `.y4m`: 8-bit 4:2:0, 4:2:2, 4:1:1, 4:4:4 or mono; BT.601, limited range unless it says `XCOLORRANGE=FULL`. Chroma is
///   repeated over its pixels, wherever it is sited; fields of interlaced video are not taken apart.
/// - `.png`: a file whose name ends in digits is read with those that follow it in number without a gap; another is one
///   frame; and where there is no `name.png`, it stands for `name-0001.png` ... as [`write()`](super::write()) names them.
///   8 and 16 bits, grey, palette; alpha is blended with black; of animated pictures only the still one is read. Gamma and
///   colour profiles are left aside.
/// - a folder: all its `.png` files in the order of their names, except hidden ones.
///
/// # Errors
/// [`MediaError::NoReader`] and [`MediaError::FeatureOff`] for a format that cannot be read; [`MediaError::NoFile`],
/// [`MediaError::BadHeader`], [`MediaError::PixelFormat`], [`MediaError::TooLarge`], [`MediaError::Empty`], and those of
/// [`FrameSource::next_frame`].
pub fn open(path: &Path) -> Result<Box<dyn FrameSource>, MediaError> {
    let extension = extension_of(path);
    let wanted = if path.is_dir() { PNG } else { &extension };
    match FORMATS.iter().find(|format| format.extension == wanted) {
        Some(Format { open: Some(open), .. }) => open(path),
        Some(format) => Err(MediaError::FeatureOff { path: path.to_owned(), feature: format.extension }),
        None if !path.exists() => Err(MediaError::NoFile { path: path.to_owned(), also: "" }),
        None => Err(MediaError::NoReader { path: path.to_owned(), known: known() }),
    }
}

/// What can be read, for a message.
fn known() -> String {
    let name = |extension| match extension {
        PNG => ".png or a folder of them".to_owned(),
        other => format!(".{other}"),
    };
    readable_extensions().map(name).collect::<Vec<_>>().join(", ")
}

/// Refuses frames that are empty or too large. Returns the pixels of one.
fn check_size(path: &Path, width: usize, height: usize) -> Result<usize, MediaError> {
    let sides = 1..=MAX_SIDE;
    let pixels = width.checked_mul(height).filter(|pixels| *pixels <= MAX_PIXELS);
    pixels.filter(|_| sides.contains(&width) && sides.contains(&height)).ok_or_else(|| MediaError::TooLarge {
        path: path.to_owned(),
        width,
        height,
    })
}

fn bad_frame(path: &Path, frame: usize, reason: impl ToString) -> MediaError {
    MediaError::BadFrame { path: path.to_owned(), frame, reason: reason.to_string() }
}
