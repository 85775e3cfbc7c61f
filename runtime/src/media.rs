//! Writing frames and latents to files, and reading frames.
//!
//! [`write()`] takes a whole clip, [`create`] a clip frame by frame, so that frames may be written while later ones are still
//! being decoded; [`open`] gives a file's frames one by one. The format goes by the extension; each is a cargo feature of its
//! own name, all on by default:
//!
//! | extension | what | colour | sizes | read |
//! |---|---|---|---|---|
//! | `.mp4` | AV1 video, plays in browsers | BT.709 matrix, limited range, sRGB transfer, tagged so; 4:4:4 or 4:2:0 | 16 to 65535 | no |
//! | `.gif` | endless loop, 256 colours a frame | palette per frame | 1 to 65535 | yes |
//! | `.png` | one frame: the file; more: `name-0001.png` ... | lossless, tagged sRGB | 1 and up | yes, and folders of them |
//! | `.y4m` | raw video for other encoders | BT.601 matrix, limited range, 4:4:4 | 1 and up | yes, 4:2:0 and 4:2:2 too |
//!
//! [`write_tensors`] writes latents (`.safetensors`).
//!
//! Every file is written under a temporary name in its own folder, synced, and renamed when it is complete: an error or a
//! dropped sink leaves nothing behind and an older file of that name untouched. The same frames give the same bytes: no
//! file holds a time or a host's name.
//!
//! ```
//! use kinograph::media::{FrameRate, Frames, WriteOptions, write};
//!
//! # #[cfg(feature = "png")] {
//! let folder = tempfile::tempdir()?;
//! let frames = Frames::new(vec![0; 2 * 16 * 16 * 3], 2, 16, 16)?;
//! let files = write(&folder.path().join("out.png"), &frames, FrameRate::new(16, 1)?, &WriteOptions::default())?;
//! assert!(files[1].ends_with("out-0002.png"));
//!
//! let mut source = kinograph::media::open(&folder.path().join("out.png"))?;
//! let mut frame = Vec::new();
//! assert!(source.next_frame(&mut frame)?);
//! assert_eq!(frame, [0; 16 * 16 * 3]);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
// A build without some of the formats has no use for some of what they share.
#![cfg_attr(not(all(feature = "mp4", feature = "gif", feature = "png", feature = "y4m")), allow(dead_code))]

use std::io::Write as _;
use std::path::{Path, PathBuf};

mod error;
mod frames;
mod rate;
mod read;
mod staged;
mod temporary;
mod tensors;
mod yuv;

#[cfg(feature = "gif")]
mod gif;
#[cfg(feature = "mp4")]
mod mp4;
#[cfg(feature = "png")]
mod png;
#[cfg(feature = "y4m")]
mod y4m;

#[cfg(test)]
mod tests;

pub use error::MediaError;
pub use frames::Frames;
pub(crate) use frames::{check_count, frame_of_planes, planes_of_frame};
pub use rate::FrameRate;
pub use read::{FrameSource, open, readable_extensions};
pub(crate) use staged::check_folder;
pub(crate) use temporary::TemporaryFile;
pub use tensors::{TensorView, write_tensors};

/// Takes frames one by one and makes a file of them.
///
/// Dropping it instead of calling [`finish`](Self::finish) removes all that was written. After an error it is of no more use.
pub trait FrameSink: Send {
    /// Adds a frame: `height * width * 3` bytes, rows from the top, red green blue.
    ///
    /// # Errors
    /// [`MediaError::FrameLength`] for another length; the file system's and the encoder's errors.
    fn frame(&mut self, rgb: &[u8]) -> Result<(), MediaError>;

    /// Completes the file and gives it its name. Returns the files written, in the order of their frames.
    ///
    /// # Errors
    /// [`MediaError::NoFrames`] without a frame; the file system's and the encoder's errors.
    fn finish(self: Box<Self>) -> Result<Vec<PathBuf>, MediaError>;
}

/// How colour is sampled in a compressed video.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Chroma {
    /// Colour in every pixel (AV1 profile "High"). Browsers play it; some hardware decoders do not.
    #[default]
    Yuv444,
    /// Colour averaged over 2x2 pixels (AV1 profile "Main"): plays wherever AV1 does, but blurs small coloured detail.
    Yuv420,
}

/// What a writer may choose. The defaults suit small generated clips.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriteOptions {
    /// Colour sampling of `.mp4`.
    pub chroma: Chroma,
    /// Quantiser of `.mp4`, 0 (largest file) to 255 (coarsest).
    pub quantizer: u8,
    /// Effort of the `.mp4` encoder, 0 (slowest, smallest file) to 10 (fastest).
    pub speed: u8,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self { chroma: Chroma::default(), quantizer: 60, speed: 9 }
    }
}

/// What every sink is made from.
struct Target<'a> {
    path: &'a Path,
    width: usize,
    height: usize,
    /// Bytes of a frame.
    frame_bytes: usize,
    rate: FrameRate,
    options: &'a WriteOptions,
}

type Sink = Box<dyn FrameSink>;
type Open = fn(&Target<'_>) -> Result<Sink, MediaError>;

/// One format: its extension (also the name of its cargo feature) and its writer or reader, unless this build leaves it
/// out.
struct Format<O: 'static> {
    extension: &'static str,
    open: Option<O>,
}

impl<O> Format<O> {
    /// The extensions of the formats that this build has.
    fn extensions(formats: &'static [Self]) -> impl Iterator<Item = &'static str> {
        formats.iter().filter(|format| format.open.is_some()).map(|format| format.extension)
    }
}

/// The extension of a file, in lower case and without its dot.
fn extension_of(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
}

const FORMATS: &[Format<Open>] = &[
    Format {
        extension: "mp4",
        #[cfg(feature = "mp4")]
        open: Some(mp4::open),
        #[cfg(not(feature = "mp4"))]
        open: None,
    },
    Format {
        extension: "gif",
        #[cfg(feature = "gif")]
        open: Some(gif::open),
        #[cfg(not(feature = "gif"))]
        open: None,
    },
    Format {
        extension: "png",
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

/// The extensions that this build can write, without dots.
pub fn extensions() -> impl Iterator<Item = &'static str> {
    Format::extensions(FORMATS)
}

/// Checks that `path` has a known extension and an existing folder, without creating anything: worth a call before hours of
/// sampling.
///
/// # Errors
/// As [`create`], except for sizes and for what only writing shows (rights, space).
pub fn check(path: &Path) -> Result<(), MediaError> {
    format_of(path)?;
    staged::check_folder(path)
}

/// Begins the file `path` for frames of `width` by `height` pixels. Extensions are read without regard to case.
///
/// # Errors
/// [`MediaError::UnknownExtension`], [`MediaError::FeatureOff`], [`MediaError::BadSize`] and the file system's, each naming
/// the path.
pub fn create(
    path: &Path,
    width: usize,
    height: usize,
    rate: FrameRate,
    options: &WriteOptions,
) -> Result<Box<dyn FrameSink>, MediaError> {
    let open = format_of(path)?;
    staged::check_folder(path)?;
    let frame_bytes = frames::frame_bytes(height, width)
        .ok_or_else(|| MediaError::bad_size(path, width, height, "at least 1x1, and addressable memory"))?;
    open(&Target { path, width, height, frame_bytes, rate, options })
}

/// Writes all of `frames` to `path`. Returns the files written.
///
/// # Errors
/// Those of [`create`] and [`FrameSink`].
pub fn write(
    path: &Path,
    frames: &Frames,
    rate: FrameRate,
    options: &WriteOptions,
) -> Result<Vec<PathBuf>, MediaError> {
    let mut sink = create(path, frames.width(), frames.height(), rate, options)?;
    for frame in frames.iter() {
        sink.frame(frame)?;
    }
    sink.finish()
}

/// Writes a small file beside its place and gives it its name when it is whole, so that a failure leaves an older one as it was.
///
/// # Errors
/// Those of the file system, naming the path.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), MediaError> {
    let mut staged = staged::Staged::new(path)?;
    staged.with(|file| file.write_all(content))?;
    staged.commit().map(drop)
}

fn format_of(path: &Path) -> Result<Open, MediaError> {
    let extension = extension_of(path);
    match FORMATS.iter().find(|format| format.extension == extension) {
        Some(Format { open: Some(open), .. }) => Ok(*open),
        Some(format) => Err(MediaError::FeatureOff { path: path.to_owned(), feature: format.extension }),
        None => Err(MediaError::UnknownExtension {
            path: path.to_owned(),
            known: extensions().map(|e| format!(".{e}")).collect::<Vec<_>>().join(", "),
        }),
    }
}

/// Refuses a frame that is not of the target's size.
fn check_length(path: &Path, rgb: &[u8], want: usize) -> Result<(), MediaError> {
    if rgb.len() == want {
        Ok(())
    } else {
        Err(MediaError::FrameLength { path: path.to_owned(), got: rgb.len(), want })
    }
}
