//! What a device keeps in a directory of the host's from one process to the next: compiled kernels, and how it was tuned.
//!
//! Nothing here may fail a job: what is missing, damaged or of another driver is made anew, and what cannot be written is not kept.

use std::path::{Path, PathBuf};

/// The largest file that is read: compiled kernels of a large model take a few megabytes.
const MOST_BYTES: u64 = 256 << 20;

/// The files of one adapter, driver and version of the kernels.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    key: String,
}

impl Store {
    pub(crate) fn new(folder: &Path, about: &wgpu::AdapterInfo) -> Self {
        let mut hasher = blake3::Hasher::new();
        let facts = [&about.name, &about.driver, &about.driver_info];
        let numbers = format!("{:?} {} {}", about.backend, about.vendor, about.device);
        for fact in facts.into_iter().chain([&numbers]) {
            hasher.update(fact.as_bytes()).update(&[0]);
        }
        hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
        crate::shader::files().for_each(|text| {
            hasher.update(text.as_bytes());
        });
        Self { folder: folder.to_owned(), key: hasher.finalize().to_hex()[..16].to_owned() }
    }

    pub(crate) fn path(&self, what: &str) -> PathBuf {
        self.folder.join(format!("wgpu-{}.{what}", self.key))
    }

    /// What was written before, if it is there and whole.
    pub(crate) fn read(&self, what: &str) -> Option<Vec<u8>> {
        let path = self.path(what);
        if !path.metadata().ok().filter(|m| m.len() <= MOST_BYTES)?.is_file() {
            return None;
        }
        let mut bytes = std::fs::read(&path).ok()?;
        let (digest, content) = bytes.split_first_chunk::<32>()?;
        if blake3::hash(content) != *digest {
            log::debug!("{} is damaged; what it held is made anew", path.display());
            return None;
        }
        bytes.drain(..32);
        Some(bytes)
    }

    /// Writes beside the file, then renames, so that a killed process leaves the old file or the new one.
    pub(crate) fn write(&self, what: &str, content: &[u8]) {
        let path = self.path(what);
        let written = || -> std::io::Result<()> {
            use std::io::Write;
            std::fs::create_dir_all(&self.folder)?;
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(blake3::hash(content).as_bytes())?;
            file.write_all(content)?;
            file.persist(&path)?;
            Ok(())
        };
        if let Err(error) = written() {
            log::debug!("{} was not written: {error}", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(folder: &Path) -> Store {
        Store { folder: folder.join("deep"), key: "0".into() }
    }

    #[test]
    fn what_was_written_is_read_and_damage_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        assert_eq!(store.read("tuning"), None);
        store.write("tuning", b"true 32");
        assert_eq!(store.read("tuning").unwrap(), b"true 32");
        let path = store.path("tuning");
        let whole = std::fs::read(&path).unwrap();
        for len in 0..whole.len() {
            std::fs::write(&path, &whole[..len]).unwrap();
            assert_eq!(store.read("tuning"), None, "cut after {len} bytes");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, damaged).unwrap();
            assert_eq!(store.read("tuning"), None, "byte {at}");
        }
    }

    #[test]
    fn a_process_that_was_killed_in_a_write_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        store.write("tuning", b"old");
        // What a killed process leaves is beside the file, under another name.
        std::fs::write(store.folder.join(".tmpKilled"), b"half").unwrap();
        assert_eq!(store.read("tuning").unwrap(), b"old");
        store.write("tuning", b"new");
        assert_eq!(store.read("tuning").unwrap(), b"new");
    }

    #[test]
    fn what_cannot_be_written_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("deep"), b"a file").unwrap();
        let store = store(folder.path());
        store.write("tuning", b"x");
        assert_eq!(store.read("tuning"), None);
    }
}
