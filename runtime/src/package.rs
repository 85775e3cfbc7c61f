//! A model on disk, or inside the program: `model.toml`, graphs, tokenizers and weights.
//!
//! docs/package-format.md describes it. A directory of another maker, such as diffusers, becomes a package by a
//! [`Family`]. Every file is untrusted: sizes are bounded before reading,
//! names stay inside the package, and what is wrong is named with its file.

mod manifest;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Component as PathPart, Path, PathBuf};
use std::sync::Arc;

use kinograph_graph::{GraphFile, Limits};

pub use manifest::{
    ComponentSpec, LatentSpec, Manifest, ParamValue, PreviewSpec, SamplerSpec, TextSpec, TilingSpec,
    ToldSpec, VideoSpec,
};

use crate::family::{self, Directory, Family, FamilyError};
use crate::weights::{Bytes, FileWeights, Text};

/// The name of the file that makes a directory a package.
const MANIFEST: &str = "model.toml";

/// The largest `model.toml`, in bytes.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;

/// What git leaves in the place of a file that Git LFS has not fetched begins with this.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Why a package cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// A file is missing or cannot be read.
    #[error("{path}: {source}{}", hint(path, source))]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is larger than any honest one.
    #[error("{path}: larger than {limit} bytes, which is more than such a file needs")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// Only the pointer of Git LFS is there.
    #[error("{path}: only the pointer of Git LFS is there: fetch the file itself with `git lfs pull`")]
    Unfetched {
        /// The file.
        path: PathBuf,
    },
    /// `model.toml` does not parse or says something impossible.
    #[error("{path}: {reason}")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its line where there is one.
        reason: String,
    },
    /// A file name, or the link of that name, leads out of the package.
    #[error(
        "{manifest}: `{name}` must be a plain path inside the package, without `..`, not absolute, no link out of it"
    )]
    Outside {
        /// The `model.toml`, or the directory.
        manifest: PathBuf,
        /// The name.
        name: String,
    },
    /// A graph of the package.
    #[error(transparent)]
    Graph(#[from] kinograph_graph::GraphError),
    /// A directory that a family does not read.
    #[error("{path}: {source}")]
    Family {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: FamilyError,
    },
    /// A family that is wrong itself, or says what no manifest may say.
    #[error(transparent)]
    BadFamily(#[from] FamilyError),
    /// A weight file.
    #[error("{file}: {reason}")]
    Weights {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
}

impl PackageError {
    /// True when a file is not there.
    pub(crate) fn is_missing_file(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    }
}

fn hint(path: &Path, error: &std::io::Error) -> &'static str {
    let is_manifest = path.file_name().is_some_and(|name| name == MANIFEST);
    match error.kind() {
        std::io::ErrorKind::NotFound if is_manifest => {
            " (a model is a directory with a model.toml, or with a model_index.json as diffusers writes it)"
        }
        _ => "",
    }
}

/// Where the files are.
#[derive(Clone, Debug)]
enum Files {
    Directory(PathBuf),
    BuiltIn(&'static [(&'static str, &'static [u8])]),
    Memory(Arc<BTreeMap<String, Arc<[u8]>>>),
}

/// An opened package: its manifest is read and checked, its other files are read on demand.
#[derive(Clone, Debug)]
pub struct Package {
    files: Files,
    /// The name of the manifest's file.
    name: String,
    manifest: Manifest,
    limits: Limits,
    /// Where the graphs are, when not in the package itself.
    family: Option<Arc<Family>>,
}

impl Package {
    /// Opens a directory with a `model.toml`, or a manifest of another name by its path, such as one of several sizes
    /// of a model that share their graphs, or a directory of one of the built-in [families](Family).
    ///
    /// Weight files are mapped, not read, for as long as a model of this package lives: nobody may change them in
    /// place meanwhile. Replacing a file by renaming another over it is fine.
    ///
    /// # Errors
    /// [`PackageError`].
    pub fn open(path: &Path) -> Result<Self, PackageError> {
        let name = path.file_name().and_then(|name| name.to_str());
        match (path.extension(), name) {
            (Some(extension), Some(name)) if extension == "toml" && !path.is_dir() => {
                let directory = path.parent().filter(|p| !p.as_os_str().is_empty());
                let directory = directory.unwrap_or(Path::new("."));
                Self::new(Files::Directory(directory.to_owned()), name)
            }
            _ => Self::new(Files::Directory(path.to_owned()), MANIFEST),
        }
    }

    /// A package whose files are part of the program: pairs of name and content.
    ///
    /// # Errors
    /// [`PackageError`].
    pub fn built_in(files: &'static [(&'static str, &'static [u8])]) -> Result<Self, PackageError> {
        Self::new(Files::BuiltIn(files), MANIFEST)
    }

    /// A package whose files are in memory, by their names: for hosts that keep models in archives of their own.
    ///
    /// # Errors
    /// [`PackageError`].
    pub fn in_memory(files: BTreeMap<String, Arc<[u8]>>) -> Result<Self, PackageError> {
        Self::new(Files::Memory(Arc::new(files)), MANIFEST)
    }

    /// Opens a directory by these families, whether it has a `model.toml` or not.
    ///
    /// # Errors
    /// [`PackageError`].
    pub fn open_as(path: &Path, families: &[Family]) -> Result<Self, PackageError> {
        let files = Files::Directory(path.to_owned());
        match Self::of_family(&files, families)? {
            Some(package) => Ok(package),
            None => {
                let index = families.first().map_or(Ok(MANIFEST), Family::index_file)?;
                Err(PackageError::Io { path: path.join(index), source: std::io::ErrorKind::NotFound.into() })
            }
        }
    }

    fn of_family(files: &Files, families: &[Family]) -> Result<Option<Self>, PackageError> {
        let in_place = |error| match error {
            PackageError::BadFamily(source) => PackageError::Family { path: files.path(""), source },
            other => other,
        };
        let Some((family, manifest)) = family::recognise(families, files).map_err(in_place)? else {
            return Ok(None);
        };
        let name = family.index_file()?.to_owned();
        let (files, family) = (files.clone(), Some(Arc::new(family.clone())));
        Ok(Some(Self { files, name, manifest, limits: Limits::default(), family }))
    }

    fn new(files: Files, name: &str) -> Result<Self, PackageError> {
        if name == MANIFEST
            && !files.exists(MANIFEST)
            && let Some(package) = Self::of_family(&files, &Family::built_in()?)?
        {
            return Ok(package);
        }
        let path = files.path(name);
        let bytes = files.read(name, MAX_MANIFEST_BYTES)?;
        let fail = |reason: String| PackageError::Manifest { path: path.clone(), reason };
        let text = std::str::from_utf8(&bytes).map_err(|e| fail(format!("not UTF-8: {e}")))?;
        let manifest = Manifest::parse(text).map_err(fail)?;
        Ok(Self { files, name: name.to_owned(), manifest, limits: Limits::default(), family: None })
    }

    /// Replaces the limits on what its graphs may ask for.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// A graph of the package, with the module files that it includes.
    ///
    /// # Errors
    /// [`PackageError`].
    pub fn graph(&self, name: &str) -> Result<GraphFile, PackageError> {
        let limit = self.limits.file_bytes as u64;
        let shown = match &self.family {
            Some(family) => format!("<{}>/{name}", family.name()),
            None => self.files.path(name).display().to_string(),
        };
        let read = |name: &str| {
            if let Some(family) = &self.family {
                let text = family.graph(name).map(str::to_owned);
                return text.ok_or_else(|| PackageError::Io {
                    path: self.files.path(name),
                    source: std::io::ErrorKind::NotFound.into(),
                });
            }
            let bytes = self.read(name, limit)?;
            String::from_utf8(bytes.into_owned()).map_err(|e| PackageError::Manifest {
                path: self.files.path(name),
                reason: format!("not UTF-8: {e}"),
            })
        };
        let text = read(name)?;
        let include = |included: &str| read(included).map_err(|e| e.to_string());
        Ok(GraphFile::parse_with(&shown, &text, &self.limits, &include)?)
    }

    /// A small file of the package, at most `limit` bytes.
    ///
    /// # Errors
    /// [`PackageError`].
    pub(crate) fn read(&self, name: &str, limit: u64) -> Result<Text, PackageError> {
        self.check_name(name)?;
        self.files.read(name, limit)
    }

    /// Weight files of the package, mapped.
    ///
    /// # Errors
    /// [`PackageError`].
    pub(crate) fn weights(&self, names: &[String]) -> Result<FileWeights, PackageError> {
        let map = |name: &String| {
            self.check_name(name)?;
            let shown = self.files.path(name).display().to_string();
            self.files.bytes(name).map(|bytes| (shown, bytes))
        };
        FileWeights::new(names.iter().map(map).collect::<Result<_, _>>()?)
    }

    /// The manifest's file as it is, or what a family makes of all its configurations.
    #[cfg(feature = "replay")]
    pub(crate) fn manifest_bytes(&self) -> Result<Text, PackageError> {
        match &self.family {
            Some(family) => Ok(Text::Owned(family.manifest_bytes(&self.files)?)),
            None => self.files.read(&self.name, MAX_MANIFEST_BYTES),
        }
    }

    /// The content of a file of the package, mapped.
    #[cfg(feature = "replay")]
    pub(crate) fn with_file(&self, name: &str, read: impl FnOnce(&[u8])) -> Result<(), PackageError> {
        self.check_name(name)?;
        read(self.files.bytes(name)?.as_slice());
        Ok(())
    }

    fn check_name(&self, name: &str) -> Result<(), PackageError> {
        if is_plain(name) { Ok(()) } else { Err(self.files.outside(&self.name, name)) }
    }
}

/// Where the links of a snapshot in the cache of `huggingface_hub` lead: `models--NAME/snapshots/REVISION` is a directory of
/// links to files of `models--NAME/blobs`, and to nothing else.
fn blobs_of(snapshot: &Path) -> Option<PathBuf> {
    let snapshots = snapshot.parent().filter(|folder| folder.ends_with("snapshots"))?;
    let repository = snapshots.parent()?;
    let name = repository.file_name()?.to_str()?;
    name.starts_with("models--").then(|| repository.join("blobs"))
}

fn check_fetched(path: &Path, bytes: &[u8]) -> Result<(), PackageError> {
    if bytes.starts_with(LFS_POINTER) {
        return Err(PackageError::Unfetched { path: path.to_owned() });
    }
    Ok(())
}

/// Whether a name leads to a file inside of a directory.
fn is_plain(name: &str) -> bool {
    let plain = !name.is_empty() && Path::new(name).components().all(|c| matches!(c, PathPart::Normal(_)));
    // A Windows path must not become plain by being read elsewhere.
    plain && !name.contains(['\\', ':', '\0'])
}

impl Directory for Files {
    fn exists(&self, name: &str) -> bool {
        match self {
            Files::Directory(directory) => directory.join(name).exists(),
            Files::BuiltIn(_) | Files::Memory(_) => self.held(name).is_ok(),
        }
    }

    fn read(&self, name: &str, limit: u64) -> Result<Text, PackageError> {
        if is_plain(name) { Files::read(self, name, limit) } else { Err(self.outside("", name)) }
    }
}

impl Files {
    fn path(&self, name: &str) -> PathBuf {
        match self {
            Files::Directory(directory) => directory.join(name),
            Files::BuiltIn(_) => Path::new("<built in>").join(name),
            Files::Memory(_) => Path::new("<in memory>").join(name),
        }
    }

    fn outside(&self, manifest: &str, name: &str) -> PackageError {
        PackageError::Outside { manifest: self.path(manifest), name: name.to_owned() }
    }

    /// The real path of a file on disk: a plain file inside the directory even when it is a symbolic link, or in the blobs of
    /// the snapshot that the directory is.
    fn locate(&self, directory: &Path, name: &str) -> Result<PathBuf, PackageError> {
        let io = |source| PackageError::Io { path: self.path(name), source };
        let real = directory.join(name).canonicalize().map_err(io)?;
        let root = directory.canonicalize().map_err(io)?;
        let is_blob = || blobs_of(&root).is_some_and(|blobs| real.parent() == Some(&*blobs));
        if !real.starts_with(&root) && !is_blob() {
            return Err(self.outside("", name));
        }
        if !real.metadata().map_err(io)?.is_file() {
            return Err(io(std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a plain file")));
        }
        Ok(real)
    }

    /// A file that is not on disk.
    fn held(&self, name: &str) -> Result<Bytes, PackageError> {
        let found = match self {
            Files::Directory(_) => None,
            Files::BuiltIn(files) => {
                files.iter().find(|(n, _)| *n == name).map(|(_, bytes)| Bytes::Static(bytes))
            }
            Files::Memory(files) => files.get(name).map(|bytes| Bytes::Shared(bytes.clone())),
        };
        found.ok_or_else(|| PackageError::Io {
            path: self.path(name),
            source: std::io::ErrorKind::NotFound.into(),
        })
    }

    fn read(&self, name: &str, limit: u64) -> Result<Text, PackageError> {
        let path = self.path(name);
        let too_large = || PackageError::TooLarge { path: path.clone(), limit };
        let Files::Directory(directory) = self else {
            return match self.held(name)? {
                Bytes::Static(bytes) => Ok(Text::Borrowed(bytes)),
                bytes if bytes.as_slice().len() as u64 > limit => Err(too_large()),
                bytes => Ok(Text::Owned(bytes.as_slice().to_vec())),
            };
        };
        let io = |source| PackageError::Io { path: path.clone(), source };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(self.locate(directory, name)?).map_err(io)?;
        file.take(limit + 1).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() as u64 > limit {
            return Err(too_large());
        }
        check_fetched(&path, &bytes)?;
        Ok(Text::Owned(bytes))
    }

    fn bytes(&self, name: &str) -> Result<Bytes, PackageError> {
        match self {
            Files::BuiltIn(_) | Files::Memory(_) => self.held(name),
            Files::Directory(directory) => {
                let path = self.path(name);
                let bytes = Bytes::map(&self.locate(directory, name)?)
                    .map_err(|source| PackageError::Io { path: path.clone(), source })?;
                check_fetched(&path, bytes.as_slice())?;
                Ok(bytes)
            }
        }
    }
}
