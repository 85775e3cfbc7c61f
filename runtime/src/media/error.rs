//! What may go wrong between frames and a file, either way.

use std::io;
use std::path::{Path, PathBuf};

/// Why frames or latents could not be written or read. Messages name the file and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// The extension names no known format.
    #[error("{}: the name must end in one of {known}", path.display())]
    UnknownExtension {
        /// The file asked for.
        path: PathBuf,
        /// The extensions this build writes.
        known: String,
    },
    /// The format exists, but not in this build.
    #[error("{}: this build leaves .{feature} out: build kinograph with the cargo feature \"{feature}\"", path.display())]
    FeatureOff {
        /// The file asked for.
        path: PathBuf,
        /// The cargo feature.
        feature: &'static str,
    },
    /// The folder is not there.
    #[error("{}: the folder {} does not exist: create it first", path.display(), folder.display())]
    NoFolder {
        /// The file asked for.
        path: PathBuf,
        /// Its folder.
        folder: PathBuf,
    },
    /// There is a folder of that name.
    #[error("{}: this is a folder: name a file in it", path.display())]
    IsFolder {
        /// The file asked for.
        path: PathBuf,
    },
    /// The folder may not be written to.
    #[error("{}: no right to write here: choose another folder or change its rights", path.display())]
    NotAllowed {
        /// The file asked for.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// No space left.
    #[error("{}: the disk is full: free some space or choose another folder; nothing was kept", path.display())]
    DiskFull {
        /// The file asked for.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Any other error of the file system.
    #[error("{}: {doing} failed; nothing was kept", path.display())]
    Io {
        /// The file asked for.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// Finished without a frame.
    #[error("{}: there are no frames to write", path.display())]
    NoFrames {
        /// The file asked for.
        path: PathBuf,
    },
    /// A frame of another size than the file's.
    #[error("{}: a frame has {got} bytes where {want} are due", path.display())]
    FrameLength {
        /// The file asked for.
        path: PathBuf,
        /// Bytes given.
        got: usize,
        /// Bytes of a frame, `height * width * 3`.
        want: usize,
    },
    /// The format cannot hold frames of this size.
    #[error("{}: frames of {width}x{height} cannot be written here: they must be {limits}; .png and .y4m take any size", path.display())]
    BadSize {
        /// The file asked for.
        path: PathBuf,
        /// Pixels across.
        width: usize,
        /// Pixels down.
        height: usize,
        /// What the format takes.
        limits: &'static str,
    },
    /// The encoder refused or failed.
    #[error("{}: the encoder failed: {reason}", path.display())]
    Encoder {
        /// The file asked for.
        path: PathBuf,
        /// Its words.
        reason: String,
    },
    /// Frames whose data does not fit their sizes.
    #[error("{frames} frames of {height}x{width} RGB need {} values, there are {got}", need.map_or("too many".to_owned(), |n| n.to_string()))]
    BadFrames {
        /// Frames.
        frames: usize,
        /// Pixels down.
        height: usize,
        /// Pixels across.
        width: usize,
        /// Values needed, if that can be counted at all; 0 if a size is zero.
        need: Option<usize>,
        /// Values given.
        got: usize,
    },
    /// A frame rate that is none.
    #[error("frame rate \"{0}\": use frames a second from 1/1000 to 1000, like 16, 24000/1001 or 29.97")]
    BadRate(String),
    /// A tensor whose data does not fit its shape, or a name that cannot be used.
    #[error("{}: tensor \"{name}\" {reason}", path.display())]
    BadTensor {
        /// The file asked for.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The extension names no format that can be read.
    #[error(
        "{}: only {known} can be read: convert it, for example \
         `ffmpeg -i in.mp4 -vf scale=out_color_matrix=bt601 -pix_fmt yuv444p out.y4m`",
        path.display()
    )]
    NoReader {
        /// The file asked for.
        path: PathBuf,
        /// What this build reads.
        known: String,
    },
    /// There is nothing to read.
    #[error("{}: there is no such file{also}: check the name", path.display())]
    NoFile {
        /// The file asked for.
        path: PathBuf,
        /// What else was looked for.
        also: &'static str,
    },
    /// The file system failed while reading.
    #[error("{}: reading it failed", path.display())]
    Reading {
        /// The file asked for.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// What comes before the frames is not as the format has it.
    #[error("{}: this is no readable .{format} file: {reason}", path.display())]
    BadHeader {
        /// The file asked for.
        path: PathBuf,
        /// The format's extension.
        format: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Samples that this runtime does not convert.
    #[error(
        "{}: pixel format \"{format}\" cannot be read, only 8-bit 4:2:0, 4:2:2, 4:1:1, 4:4:4 and mono: convert it, \
         for example `ffmpeg -i in.y4m -pix_fmt yuv444p out.y4m`",
        path.display()
    )]
    PixelFormat {
        /// The file asked for.
        path: PathBuf,
        /// The format, as the file names it.
        format: String,
    },
    /// Frames larger than are read from files that nobody vouches for.
    #[error(
        "{}: frames of {width}x{height} cannot be read: they must be from 1x1 to 65535x65535, of 2^28 pixels at most",
        path.display()
    )]
    TooLarge {
        /// The file asked for.
        path: PathBuf,
        /// Pixels across.
        width: usize,
        /// Pixels down.
        height: usize,
    },
    /// A file without frames.
    #[error("{}: there are no frames in it", path.display())]
    Empty {
        /// The file or folder asked for.
        path: PathBuf,
    },
    /// The file ends too early.
    #[error("{}: the file ends within frame {frame}: it was cut off, copy or make it again", path.display())]
    CutOff {
        /// The file.
        path: PathBuf,
        /// The frame, the first being 1.
        frame: usize,
    },
    /// A frame that cannot be decoded.
    #[error("{}: frame {frame} cannot be decoded: {reason}", path.display())]
    BadFrame {
        /// The file.
        path: PathBuf,
        /// The frame, the first being 1.
        frame: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The pictures of a set have different sizes.
    #[error(
        "{}: this is {}x{}, but the first of its set is {}x{}: all frames of a video have one size",
        path.display(), size.0, size.1, first.0, first.1
    )]
    SizesDiffer {
        /// The first file of another size.
        path: PathBuf,
        /// Its pixels across and down.
        size: (usize, usize),
        /// Pixels across and down of the first file.
        first: (usize, usize),
    },
}

impl MediaError {
    /// Sorts an error of the file system by what a person can do about it.
    pub(super) fn io(path: &Path, doing: &'static str, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::NotAllowed { path, source }
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path, source },
            _ => Self::Io { path, doing, source },
        }
    }

    /// Sorts an error of the file system that stopped reading.
    pub(super) fn reading(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => Self::NoFile { path, also: "" },
            _ => Self::Reading { path, source },
        }
    }

    pub(super) fn bad_size(path: &Path, width: usize, height: usize, limits: &'static str) -> Self {
        Self::BadSize { path: path.to_owned(), width, height, limits }
    }
}
