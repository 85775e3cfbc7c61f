//! Which files are plugins.

use std::collections::BTreeSet;
use std::env::consts::DLL_EXTENSION;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::{PluginError, PluginErrorKind};

/// The largest library that is hashed, in bytes; it is held in memory while it is.
const MOST_BYTES: u64 = 4 << 30;

/// The BLAKE3 digest of a file, as `b3sum` prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// A text that is no digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no BLAKE3 digest: 64 hexadecimal digits are, as b3sum prints them")]
pub struct DigestError(String);

impl Digest {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes).into())
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let hash = blake3::Hash::from_hex(text).map_err(|_| DigestError(text.chars().take(80).collect()))?;
        Ok(Self(hash.into()))
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

/// The directories that a host takes plugins from, and which files in them. Nothing is searched that is not named here: not the
/// working directory, not the system's library path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginDirectories {
    directories: Vec<PathBuf>,
    allowed: Option<BTreeSet<Digest>>,
}

impl PluginDirectories {
    /// All plugins of these directories. Whoever may write there may run code in this process.
    pub fn new<P: Into<PathBuf>>(directories: impl IntoIterator<Item = P>) -> Self {
        Self { directories: directories.into_iter().map(Into::into).collect(), allowed: None }
    }

    /// Only those files whose digest is in this list; others are refused and never loaded.
    ///
    /// A file could be changed between its hashing and its loading. So what was hashed is written to a new directory that only this
    /// user can enter, and is loaded from there: what runs is what was hashed. A plugin therefore does not find libraries that
    /// lie beside it (they are not on the list), unless the system's library path has them.
    pub fn allow_only(mut self, digests: impl IntoIterator<Item = Digest>) -> Self {
        self.allowed = Some(digests.into_iter().collect());
        self
    }

    /// True when there is no directory.
    pub fn is_empty(&self) -> bool {
        self.directories.is_empty()
    }

    /// The files that may be plugins, absolute, sorted within each directory, and the directories that cannot be searched.
    pub(crate) fn files(&self) -> (Vec<PathBuf>, Vec<PluginError>) {
        let (mut files, mut errors) = (Vec::new(), Vec::new());
        for directory in &self.directories {
            match list(directory) {
                Ok(found) => files.extend(found),
                Err(error) => {
                    let kind = PluginErrorKind::Directory(error.to_string());
                    errors.push(PluginError { path: directory.clone(), kind });
                }
            }
        }
        (files, errors)
    }

    /// The file to load for a path: itself, or where there is a list of digests, a private copy of what is on it.
    pub(crate) fn prepare(&self, path: &Path) -> Result<Prepared, PluginErrorKind> {
        let Some(allowed) = &self.allowed else {
            return Ok(Prepared { path: path.to_owned(), private: None });
        };
        let read = |e: std::io::Error| PluginErrorKind::Read(e.to_string());
        let mut bytes = Vec::new();
        fs::File::open(path).and_then(|f| f.take(MOST_BYTES + 1).read_to_end(&mut bytes)).map_err(read)?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(PluginErrorKind::Read(format!("it is larger than {MOST_BYTES} bytes")));
        }
        let digest = Digest::of(&bytes);
        if !allowed.contains(&digest) {
            return Err(PluginErrorKind::NotAllowed { digest: digest.to_string() });
        }
        stage(path, &bytes).map_err(read)
    }
}

/// A file that may be loaded.
pub(crate) struct Prepared {
    pub(crate) path: PathBuf,
    /// The directory of a private copy, removed when this is dropped.
    pub(crate) private: Option<tempfile::TempDir>,
}

fn stage(path: &Path, bytes: &[u8]) -> std::io::Result<Prepared> {
    // On Unix this directory has mode 0700.
    let private = tempfile::Builder::new().prefix("kinograph-plugin-").tempdir()?;
    let copy = private.path().join(path.file_name().unwrap_or("plugin".as_ref()));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&copy)?;
    file.write_all(bytes)?;
    Ok(Prepared { path: copy, private: Some(private) })
}

fn list(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    // An absolute path holds a separator, so that no loader takes a file for a name to be searched for. The empty path is an error
    // and not the working directory.
    let directory = fs::canonicalize(directory)?;
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        // The type of the entry itself: a link is no regular file.
        if entry.file_type()?.is_file() && path.extension().is_some_and(|e| e == DLL_EXTENSION) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_with_the_suffix_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for name in ["b", "a"] {
            fs::write(root.join(name).with_extension(DLL_EXTENSION), "x").unwrap();
        }
        fs::write(root.join("notes.txt"), "x").unwrap();
        fs::write(root.join(DLL_EXTENSION), "x").unwrap();
        fs::create_dir(root.join("c").with_extension(DLL_EXTENSION)).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(root.join("notes.txt"), root.join("d").with_extension(DLL_EXTENSION))
            .unwrap();
        let (files, errors) = PluginDirectories::new([&root]).files();
        let expected = ["a", "b"].map(|name| root.join(name).with_extension(DLL_EXTENSION));
        assert_eq!((files, errors), (expected.to_vec(), Vec::new()));
    }

    #[test]
    fn directories_that_cannot_be_searched_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let (files, errors) = PluginDirectories::new([folder.path().join("gone"), PathBuf::new()]).files();
        assert!(files.is_empty(), "{files:?}");
        assert_eq!(errors.len(), 2, "the empty path is not the working directory");
        assert!(errors[0].to_string().contains("gone: cannot be searched for plugins: "), "{}", errors[0]);
    }

    #[test]
    fn digests_round_trip_and_are_those_of_b3sum() {
        // The digest of nothing, from the BLAKE3 paper's test vectors.
        let empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(Digest::of(b"").to_string(), empty);
        assert_eq!(empty.parse(), Ok(Digest::of(b"")));
        assert_eq!(empty.to_uppercase().parse(), Ok(Digest::of(b"")));
        assert!("af13".parse::<Digest>().is_err());
    }

    #[test]
    fn what_is_on_the_list_is_copied_and_what_is_not_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x").with_extension(DLL_EXTENSION);
        fs::write(&path, "library").unwrap();
        let directories =
            |bytes: &[u8]| PluginDirectories::new([folder.path()]).allow_only([Digest::of(bytes)]);
        let prepared = directories(b"library").prepare(&path).unwrap();
        assert_ne!(prepared.path, path);
        assert_eq!(fs::read(&prepared.path).unwrap(), b"library");
        let refused = directories(b"another").prepare(&path).err();
        assert_eq!(refused, Some(PluginErrorKind::NotAllowed { digest: Digest::of(b"library").to_string() }));
    }
}
