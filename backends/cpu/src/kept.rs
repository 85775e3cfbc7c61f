//! Packed weights in files of a directory of the host's, mapped: memory that the system can take back, that processes share, and that the
//! next start finds ready.
//!
//! A file is named by the digest of what it was made from. Nothing here may fail a job: what is missing or damaged is made anew, and what
//! cannot be written stays in memory.

use std::fs::File;
use std::io::{Result, Write};
use std::path::{Path, PathBuf};

use memmap2::Mmap;

/// Changes whenever weights are packed in another way.
const VERSION: &str = "kinograph pairs 1";

/// Smaller ones are packed sooner than a file is opened.
const LEAST: usize = 64 << 10;

/// The digest of what a packed weight was made from.
pub(crate) type Key = blake3::Hash;

/// The key of a weight, from its bytes and all that says how it is packed.
pub(crate) fn key(layout: &str, bytes: &[u8]) -> Key {
    let mut hasher = blake3::Hasher::new();
    hasher.update(VERSION.as_bytes()).update(&[0]).update(layout.as_bytes()).update(&[0]).update(bytes);
    hasher.finalize()
}

/// A mapped file whose content is whole: the bytes in front of their digest.
pub(crate) struct Kept {
    map: Mmap,
    len: usize,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.map[..self.len]
    }
}

/// The directory.
pub(crate) struct Store(PathBuf);

impl Store {
    pub(crate) fn new(folder: &Path) -> Self {
        Self(folder.join("weights"))
    }

    /// Whether something of that size is kept at all.
    pub(crate) fn takes(&self, bytes: usize) -> bool {
        bytes >= LEAST
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.0.join(format!("{}.pairs", &key.to_hex()[..32]))
    }

    /// So many bytes that were written before, if they are there and whole.
    pub(crate) fn read(&self, key: &Key, len: usize) -> Option<Kept> {
        let path = self.path(key);
        let file = File::open(&path).ok()?;
        let whole = file.metadata().ok().filter(|about| about.is_file()).map(|about| about.len());
        let kept = (whole == Some(len as u64 + blake3::OUT_LEN as u64)).then(|| map(&file).ok()).flatten();
        let kept = kept.map(|map| Kept { map, len });
        let kept = kept.filter(|kept| blake3::hash(kept.as_ref()).as_bytes() == &kept.map[len..]);
        if kept.is_none() {
            log::debug!("{} is damaged; what it held is made anew", path.display());
        }
        kept
    }

    /// Writes beside the file, then renames, so that a killed process leaves nothing under its name; gives the mapped file.
    pub(crate) fn write(&self, key: &Key, content: &[u8]) -> Option<Kept> {
        let written = || -> Result<()> {
            std::fs::create_dir_all(&self.0)?;
            let mut file = tempfile::NamedTempFile::new_in(&self.0)?;
            file.write_all(content)?;
            file.write_all(blake3::hash(content).as_bytes())?;
            file.persist(self.path(key))?;
            Ok(())
        };
        match written() {
            Ok(()) => self.read(key, content.len()),
            Err(error) => {
                log::warn!("{}: a packed weight stays in memory: {error}", self.0.display());
                None
            }
        }
    }
}

#[allow(unsafe_code)]
fn map(file: &File) -> Result<Mmap> {
    // SAFETY: these files are only ever renamed into place and never written again, and the directory is the host's own, which it trusts as
    // its program's files; `DeviceOptions::cache` says so.
    unsafe { Mmap::map(file) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_mapped_and_damage_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(&folder.path().join("deep"));
        let key = key("linear", b"weight");
        assert!(store.read(&key, 5).is_none());
        assert_eq!(store.write(&key, b"pairs").unwrap().as_ref(), b"pairs");
        assert!(store.read(&super::key("conv", b"weight"), 5).is_none());
        assert!(store.read(&key, 4).is_none() && store.read(&key, 6).is_none());
        let path = store.path(&key);
        let whole = std::fs::read(&path).unwrap();
        for len in 0..whole.len() {
            std::fs::write(&path, &whole[..len]).unwrap();
            assert!(store.read(&key, 5).is_none(), "cut after {len} bytes");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, damaged).unwrap();
            assert!(store.read(&key, 5).is_none(), "byte {at}");
        }
        assert_eq!(store.write(&key, b"pairs").unwrap().as_ref(), b"pairs");
    }

    #[test]
    fn what_cannot_be_written_stays_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("weights"), b"a file").unwrap();
        assert!(Store::new(folder.path()).write(&key("linear", b"w"), b"x").is_none());
    }
}
