//! Small files that are read whole.

use std::fs::File;
use std::io::{Error, Read};
use std::path::Path;

/// Why a file was not read.
pub(crate) enum Unread {
    /// The file system's reason.
    Io(Error),
    /// It is a folder, a pipe or the like.
    NotPlain,
    /// It has more than so many bytes.
    TooLarge(u64),
}

/// The bytes of a plain file of at most so many.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Unread> {
    // Asked before it is opened: opening a pipe waits for its other end.
    if !path.metadata().map_err(Unread::Io)?.is_file() {
        return Err(Unread::NotPlain);
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(Unread::Io)?;
    let read = file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(Unread::Io)?;
    if read as u64 > limit { Err(Unread::TooLarge(limit)) } else { Ok(bytes) }
}

/// Numbers as safetensors stores them.
pub(crate) fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}
