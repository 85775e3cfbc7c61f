//! Files that appear under their name only when they are complete.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::MediaError;
use super::temporary::{TemporaryFile, TemporaryPath};

/// The folder of a file; `.` for a bare name.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Finds out early that a file could never get its name.
pub(crate) fn check_folder(path: &Path) -> Result<(), MediaError> {
    let folder = folder_of(path);
    if !folder.is_dir() {
        return Err(MediaError::NoFolder { path: path.to_owned(), folder: folder.to_owned() });
    }
    if path.is_dir() {
        return Err(MediaError::IsFolder { path: path.to_owned() });
    }
    Ok(())
}

/// A file being written beside its later place, under an unpredictable name. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Staged {
    path: PathBuf,
    file: BufWriter<TemporaryFile>,
}

impl Staged {
    /// A new, empty file in the folder of `path`.
    pub(super) fn new(path: &Path) -> Result<Self, MediaError> {
        check_folder(path)?;
        let file =
            TemporaryFile::new_in(folder_of(path)).map_err(|e| MediaError::io(path, "creating it", e))?;
        Ok(Self { path: path.to_owned(), file: BufWriter::with_capacity(1 << 16, file) })
    }

    /// The later place.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs something that writes, naming the file in its errors.
    pub(super) fn with<T>(
        &mut self,
        run: impl FnOnce(&mut BufWriter<TemporaryFile>) -> io::Result<T>,
    ) -> Result<T, MediaError> {
        run(&mut self.file).map_err(|e| MediaError::io(&self.path, "writing", e))
    }

    /// Everything on disk and the file closed, but not yet in its place.
    pub(super) fn complete(self) -> Result<Complete, MediaError> {
        let Self { path, file } = self;
        let fail = |e| MediaError::io(&path, "writing", e);
        let file = file.into_inner().map_err(|e| fail(e.into_error()))?;
        file.sync().map_err(fail)?;
        Ok(Complete(file.close()))
    }

    /// [`complete`](Self::complete), then to its place, replacing an older file.
    pub(super) fn commit(self) -> Result<PathBuf, MediaError> {
        let path = self.path.clone();
        self.complete()?.place(&path)?;
        sync_folder(&path);
        Ok(path)
    }
}

/// A complete file, still under its temporary name. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Complete(TemporaryPath);

impl Complete {
    /// Renames it to `path`, replacing an older file.
    pub(super) fn place(self, path: &Path) -> Result<(), MediaError> {
        self.0.persist(path).map_err(|e| MediaError::io(path, "renaming the finished file", e))
    }
}

/// Makes renames in the folder of `path` last through a power cut, where the system can.
pub(super) fn sync_folder(path: &Path) {
    // The file is complete and in place either way, so a system that cannot do this is no error.
    if cfg!(unix)
        && let Ok(folder) = File::open(folder_of(path))
    {
        let _ = folder.sync_all();
    }
}

impl Write for Staged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
