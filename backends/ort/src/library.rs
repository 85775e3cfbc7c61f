//! Finding and loading the shared library.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;

/// The oldest ONNX Runtime that is taken, 1.MINOR.
pub(crate) const OLDEST: u32 = ort::MINOR_VERSION;

/// Which library is loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Library {
    path: Option<PathBuf>,
}

/// Why ONNX Runtime is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LibraryError {
    /// No library was found.
    #[error(
        "ONNX Runtime was not found: install it (`pip install onnxruntime`, or a release of onnxruntime 1.{OLDEST} or \
         later) and set ORT_DYLIB_PATH to its library, or give the device option `library`; looked in {looked}"
    )]
    Missing {
        /// Where it was looked for.
        looked: String,
    },
    /// The library was not loaded.
    #[error("ONNX Runtime at {path} was not loaded: {reason}")]
    Load {
        /// The file.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// The library is too old.
    #[error("ONNX Runtime at {path} is version {found}; 1.{OLDEST} or later is needed")]
    Version {
        /// The file.
        path: String,
        /// Its version.
        found: String,
    },
    /// Another library is loaded already.
    #[error(
        "ONNX Runtime is loaded from {loaded} already; a process can use one library only, not {wanted} too"
    )]
    Another {
        /// The file in use.
        loaded: String,
        /// The file that was asked for.
        wanted: String,
    },
}

/// The library that this process uses.
#[derive(Clone)]
pub(crate) struct Loaded {
    pub(crate) path: PathBuf,
    pub(crate) version: String,
    pub(crate) environment: Environment,
}

impl Loaded {
    /// MINOR of version 1.MINOR.
    pub(crate) fn minor(&self) -> u32 {
        self.version.split('.').nth(1).and_then(|m| m.parse().ok()).unwrap_or(OLDEST)
    }
}

static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

impl Library {
    /// The library at a path.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: Some(path.into()) }
    }

    /// Loads the library, or finds it loaded.
    pub(crate) fn load(&self) -> Result<Loaded, LibraryError> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = &*loaded {
            return match &self.path {
                Some(wanted) if !same(wanted, &loaded.path) => {
                    Err(LibraryError::Another { loaded: shown(&loaded.path), wanted: shown(wanted) })
                }
                _ => Ok(loaded.clone()),
            };
        }
        let path = self.find()?;
        let version = check(&path)?;
        let fail = |reason: String| LibraryError::Load { path: shown(&path), reason };
        let environment = ort::init_from(&path)
            .map_err(|e| fail(e.to_string()))?
            .with_name("kinograph")
            .with_telemetry(false)
            .with_logger(std::sync::Arc::new(|level, category, _, _, message| {
                log::log!(target: "kinograph_ort", severity(level), "{category}: {message}");
            }))
            .build()
            .map_err(|e| fail(e.to_string()))?;
        Ok(loaded.insert(Loaded { path, version, environment }).clone())
    }

    /// The file to load: the one named, that of ORT_DYLIB_PATH, or the first in the usual places.
    fn find(&self) -> Result<PathBuf, LibraryError> {
        if let Some(path) = &self.path {
            return Ok(path.clone());
        }
        if let Some(path) = std::env::var_os("ORT_DYLIB_PATH").filter(|p| !p.is_empty()) {
            return Ok(path.into());
        }
        let places = places();
        places.iter().find_map(|place| inside(place)).ok_or_else(|| LibraryError::Missing {
            looked: places.iter().map(|p| shown(p)).collect::<Vec<_>>().join(", "),
        })
    }
}

fn severity(level: ort::logging::LogLevel) -> log::Level {
    use ort::logging::LogLevel;
    match level {
        LogLevel::Fatal | LogLevel::Error => log::Level::Error,
        LogLevel::Warning => log::Level::Warn,
        LogLevel::Info => log::Level::Debug,
        LogLevel::Verbose => log::Level::Trace,
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn same(a: &Path, b: &Path) -> bool {
    a == b || a.canonicalize().ok().zip(b.canonicalize().ok()).is_some_and(|(a, b)| a == b)
}

/// Folders that may hold it: beside the program, in an active Python environment, and the system's.
fn places() -> Vec<PathBuf> {
    let mut places = Vec::new();
    if let Some(folder) = std::env::current_exe().ok().as_deref().and_then(Path::parent) {
        places.extend([folder.to_owned(), folder.join("lib")]);
    }
    if let Some(environment) = std::env::var_os("VIRTUAL_ENV") {
        places.extend(wheels(&Path::new(&environment).join("lib")));
    }
    if cfg!(unix) {
        places.extend(
            ["/usr/local/lib", "/usr/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"]
                .map(PathBuf::from),
        );
        places.push("/opt/homebrew/lib".into());
    }
    places
}

/// Where wheels put it under an environment's `lib`.
fn wheels(lib: &Path) -> Vec<PathBuf> {
    let versions = std::fs::read_dir(lib).into_iter().flatten().flatten();
    versions.map(|v| v.path().join("site-packages/onnxruntime/capi")).filter(|p| p.is_dir()).collect()
}

/// The library in a folder: its plain name, or with a version as wheels have it.
fn inside(folder: &Path) -> Option<PathBuf> {
    let plain = format!("{}onnxruntime{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let exact = folder.join(&plain);
    if exact.is_file() {
        return Some(exact);
    }
    let entries = std::fs::read_dir(folder).ok()?.flatten().map(|e| e.path());
    let versioned = |path: &PathBuf| {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        name.starts_with(&format!("{plain}."))
            || (name.starts_with("libonnxruntime.1") && name.ends_with(".dylib"))
    };
    entries.filter(versioned).max()
}

/// Loads a file, checks that it is ONNX Runtime of a version that is taken, and tells the version.
///
/// The `ort` crate does so too, but panics on a library whose entry point gives nothing.
#[allow(unsafe_code)]
fn check(path: &Path) -> Result<String, LibraryError> {
    let fail = |reason: String| LibraryError::Load { path: shown(path), reason };
    if !path.is_file() {
        return Err(fail("there is no such file".into()));
    }
    type Base = unsafe extern "C" fn() -> *const ort::sys::OrtApiBase;
    // SAFETY: loading a library runs its initialisers. The host named the file, or the place where it is installed.
    let library = unsafe { libloading::Library::new(path) }.map_err(|e| fail(e.to_string()))?;
    // SAFETY: `OrtGetApiBase` has this type in every release of ONNX Runtime.
    let base = unsafe { library.get::<Base>(b"OrtGetApiBase\0") }
        .map_err(|_| fail("it is no ONNX Runtime: it does not export `OrtGetApiBase`".into()))?;
    // SAFETY: the function takes nothing and gives a static table, or null.
    let base = unsafe { base().as_ref() }.ok_or_else(|| fail("`OrtGetApiBase` gave nothing".into()))?;
    // SAFETY: the table's second entry gives a static C string.
    let version = unsafe { std::ffi::CStr::from_ptr((base.GetVersionString)()) };
    let found = version.to_string_lossy().into_owned();
    let minor =
        found.strip_prefix("1.").and_then(|v| v.split('.').next()).and_then(|v| v.parse::<u32>().ok());
    if minor.is_none_or(|minor| minor < OLDEST) {
        return Err(LibraryError::Version { path: shown(path), found });
    }
    // It is loaded again by its path, and stays loaded: unloading ONNX Runtime with live threads is not safe.
    std::mem::forget(library);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_library_is_refused_by_name() {
        let this = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let error = check(&this).unwrap_err();
        assert!(matches!(&error, LibraryError::Load { path, .. } if path.ends_with("Cargo.toml")), "{error}");
        let error = check(Path::new("/nowhere/libonnxruntime.so")).unwrap_err();
        assert!(error.to_string().contains("no such file"), "{error}");
    }
}
