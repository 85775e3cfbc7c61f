//! Loads backends from shared libraries and makes them [`Backend`]s, and trusts nothing that they say.
//!
//! A plugin is native code: once loaded it can do what the host can. What this crate guards against is a plugin that is broken,
//! built for another version, or wrong: everything that it hands over is checked, and before a plugin is used it must pass a
//! self-test on each of its devices ([`PluginHost::load`]). One that does not is refused with a [`PluginError`], and this host does
//! not try it again. What nothing guards against is a plugin that crashes, or hands over pointers that lead nowhere. Against files
//! that are not meant to be plugins there are [`PluginDirectories`], which a host names itself, and a list of allowed digests.
//!
//! Unwinding never crosses the interface: every function of it is `extern "C"`, so a panic or an exception that tries to leave one ends
//! the process. Plugins made with `kinograph-plugin-sdk` catch panics before, and the callbacks of this crate do too.
//!
//! A library is unloaded when the last of its devices, executables and buffers is gone, and the [`PluginBackend`] with them. One whose
//! table cannot be read stays, as nothing can tell it to end.
//!
//! ```no_run
//! use kinograph_backend::{Backend, DeviceOptions};
//! use kinograph_plugin_host::{PluginDirectories, PluginHost};
//!
//! let mut host = PluginHost::new();
//! let backends = host.load(&PluginDirectories::new(["/usr/lib/kinograph/plugins"]));
//! for refused in host.refused() {
//!     eprintln!("{refused}");
//! }
//! let device = backends[0].open("sample:0", &DeviceOptions::default())?;
//! # Ok::<(), kinograph_backend::DeviceError>(())
//! ```
#![deny(unsafe_code)]

mod backend;
mod directory;
mod error;
mod flat;
mod job;
mod objects;
mod plugin;
mod selftest;
mod text;
mod transfer;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use kinograph_backend::{Backend, Control};

pub use backend::PluginBackend;
pub use directory::{Digest, DigestError, PluginDirectories};
pub use error::{PluginError, PluginErrorKind};

use plugin::Plugin;

/// How long a host waits for plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Patience {
    /// For loading and the self-test of one plugin: devices may compile their kernels then. By default a minute.
    pub load: Duration,
    /// For a job to stop after it was cancelled; when it does not, the device is lost. By default half a minute.
    pub cancel: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { load: Duration::from_secs(60), cancel: Duration::from_secs(30) }
    }
}

impl Patience {
    /// The patience for loading.
    pub fn load(self, load: Duration) -> Self {
        Self { load, ..self }
    }

    /// The patience for cancelled jobs.
    pub fn cancel(self, cancel: Duration) -> Self {
        Self { cancel, ..self }
    }
}

/// Loads plugins, and remembers those that it refused.
#[derive(Debug, Default)]
pub struct PluginHost {
    patience: Patience,
    refused: Vec<PluginError>,
    tried: BTreeSet<PathBuf>,
}

impl PluginHost {
    /// A host that has loaded nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A host with another patience.
    pub fn with_patience(patience: Patience) -> Self {
        Self { patience, ..Self::default() }
    }

    /// Loads the plugins of these directories: regular files (no links) with the suffix of libraries on this platform, in the order of
    /// their names. Each must pass a self-test: on each of its devices, tensors of every type go there and back, and those of a
    /// handful of ops that it takes are run and held against the references of the op table.
    ///
    /// Files that this host has tried before, with or without success, are left alone. Those refused are in [`refused`](Self::refused).
    pub fn load(&mut self, directories: &PluginDirectories) -> Vec<PluginBackend> {
        let (files, errors) = directories.files();
        self.refused.extend(errors);
        let mut loaded: Vec<PluginBackend> = Vec::new();
        for path in files {
            if !self.tried.insert(path.clone()) {
                continue;
            }
            match self.load_file(&path, directories) {
                Ok(backend) if loaded.iter().any(|other| other.name() == backend.name()) => {
                    self.refuse_name(&backend)
                }
                Ok(backend) => loaded.push(backend),
                Err(kind) => self.refused.push(PluginError { path, kind }),
            }
        }
        loaded
    }

    /// What was refused so far, and why, in the order in which it was tried.
    pub fn refused(&self) -> &[PluginError] {
        &self.refused
    }

    /// Refuses a plugin that was loaded because another backend has its name.
    pub fn refuse_name(&mut self, backend: &PluginBackend) {
        let kind = PluginErrorKind::NameTaken(backend.name().to_owned());
        self.refused.push(PluginError { path: backend.path().to_owned(), kind });
    }

    /// Loads a file in a thread of its own, as a plugin may never return.
    fn load_file(
        &self,
        path: &Path,
        directories: &PluginDirectories,
    ) -> Result<PluginBackend, PluginErrorKind> {
        let (file, patience, control) = (directories.prepare(path)?, self.patience, Control::new());
        let (sender, receiver) = channel();
        let (shown, stop) = (path.to_owned(), control.clone());
        let work = move || {
            let result = Plugin::load(file, shown, patience.cancel).and_then(|plugin| {
                let backend = PluginBackend::new(Arc::new(plugin))?;
                selftest::check(&backend, &stop)?;
                Ok(backend)
            });
            // Nobody listens any more when the host has given up.
            let _ = sender.send(result);
        };
        let thread = thread::Builder::new().name("kinograph-plugin".into()).spawn(work);
        let thread = thread.map_err(|e| PluginErrorKind::Load(e.to_string()))?;
        let mut answer = receiver.recv_timeout(patience.load);
        if matches!(answer, Err(RecvTimeoutError::Timeout)) {
            control.cancel();
            answer = receiver.recv_timeout(patience.cancel.saturating_mul(2));
        }
        match answer {
            Ok(result) => {
                // The thread may still hold the plugin for a moment, and its end may belong to unloading.
                let _ = thread.join();
                result
            }
            Err(RecvTimeoutError::Timeout) => Err(PluginErrorKind::TimedOut),
            Err(RecvTimeoutError::Disconnected) => {
                Err(PluginErrorKind::Load("the host failed over it".into()))
            }
        }
    }
}
