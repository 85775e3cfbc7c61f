//! A new file under a name that nobody else has, removed unless it gets its place.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Names that are tried: one is free at once unless somebody makes it his business.
const TRIES: usize = 64;

/// An open file that is removed when dropped.
#[derive(Debug)]
pub(crate) struct TemporaryFile {
    // Closed before the path is dropped, as some systems do not remove open files.
    file: File,
    path: TemporaryPath,
}

/// The path of a file that is removed when dropped.
#[derive(Debug)]
pub(crate) struct TemporaryPath(Option<PathBuf>);

impl TemporaryFile {
    /// A new, empty file in a folder, with the rights that any new file gets. Never one that was there, nor through a link.
    pub(crate) fn new_in(folder: &Path) -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
        for _ in 0..TRIES {
            // Keys of the standard hash are random in each process and differ in each state: a name nobody can guess.
            let random = RandomState::new().hash_one(std::process::id());
            let path = folder.join(format!(".kinograph-{random:016x}.part"));
            match File::options().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Self { file, path: TemporaryPath(Some(path)) }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Puts everything on the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Closes the file.
    pub(crate) fn close(self) -> TemporaryPath {
        self.path
    }
}

impl TemporaryPath {
    /// Renames the file, replacing an older one; it is then no longer temporary.
    pub(crate) fn persist(mut self, path: &Path) -> io::Result<()> {
        if let Some(own) = &self.0 {
            fs::rename(own, path)?;
        }
        self.0 = None;
        Ok(())
    }
}

impl Drop for TemporaryPath {
    fn drop(&mut self) {
        if let Some(path) = &self.0
            && let Err(error) = fs::remove_file(path)
        {
            log::debug!("{}: {error}", path.display());
        }
    }
}

impl Write for TemporaryFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for TemporaryFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[test]
    fn files_are_gone_unless_they_get_a_place() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = TemporaryFile::new_in(folder.path()).unwrap();
        let second = TemporaryFile::new_in(folder.path()).unwrap();
        assert_eq!(names(folder.path()).len(), 2);
        first.write_all(b"new").unwrap();
        let place = folder.path().join("a");
        fs::write(&place, "older and longer").unwrap();
        first.close().persist(&place).unwrap();
        drop(second);
        assert_eq!(names(folder.path()), ["a"]);
        assert_eq!(fs::read(&place).unwrap(), b"new");
        let lost = TemporaryFile::new_in(folder.path()).unwrap().close();
        assert!(lost.persist(&folder.path().join("none/a")).is_err());
        assert_eq!(names(folder.path()), ["a"]);
        assert!(TemporaryFile::new_in(&folder.path().join("none")).is_err());
    }
}
