use std::fmt;
use std::sync::Arc;

use kinograph_backend::{Backend, Device, DeviceError, DeviceInfo, DeviceOptions};

/// The backends that a host has: those built in, then those it registers.
pub struct Runtime {
    backends: Vec<Box<dyn Backend>>,
}

/// Why a device was not opened.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// No backend of that name.
    #[error("there is no device `{id}`; there are: {known}")]
    UnknownDevice {
        /// As asked.
        id: String,
        /// The ids of the devices that are there.
        known: String,
    },
    /// The device is there but did not open.
    #[error("the device `{id}` did not open: {source}")]
    Open {
        /// As asked.
        id: String,
        /// Why.
        source: DeviceError,
    },
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.backends.iter().map(|b| b.name())).finish()
    }
}

impl Default for Runtime {
    fn default() -> Self {
        Self::new()
    }
}

impl Runtime {
    /// A runtime with the built-in backends.
    pub fn new() -> Self {
        let mut runtime = Self::empty();
        runtime.register(Box::new(kinograph_cpu::CpuBackend));
        #[cfg(feature = "tract")]
        runtime.register(Box::new(kinograph_tract::TractBackend));
        #[cfg(feature = "wgpu")]
        runtime.register(Box::new(kinograph_wgpu::WgpuBackend));
        #[cfg(feature = "ort")]
        runtime.register(Box::new(kinograph_ort::OrtBackend::new()));
        runtime
    }

    /// A runtime without backends, for hosts that choose each.
    pub fn empty() -> Self {
        Self { backends: Vec::new() }
    }

    /// Adds a backend. One registered later under the same name is asked first.
    pub fn register(&mut self, backend: Box<dyn Backend>) {
        self.backends.insert(0, backend);
    }

    /// True when there is a backend of that name.
    pub fn has_backend(&self, name: &str) -> bool {
        self.backends.iter().any(|backend| backend.name() == name)
    }

    /// Every backend in the order of registration, with its devices or why it has none.
    pub fn survey(&self) -> Vec<(String, Result<Vec<DeviceInfo>, DeviceError>)> {
        self.backends.iter().rev().map(|backend| (backend.name().to_owned(), backend.devices())).collect()
    }

    /// Every device of every backend. A backend that fails to answer, such as for a library that is not installed, is
    /// logged and left out; [`survey`](Self::survey) tells why.
    pub fn devices(&self) -> Vec<DeviceInfo> {
        let list = |(name, answer): (String, Result<Vec<DeviceInfo>, _>)| {
            answer.unwrap_or_else(|error| {
                log::debug!("backend `{name}`: {error}");
                Vec::new()
            })
        };
        self.survey().into_iter().flat_map(list).collect()
    }

    /// Opens a device by its id, such as `cpu` or `wgpu:0`: the part before the colon is the backend's name.
    ///
    /// # Errors
    /// [`RuntimeError`].
    pub fn open(&self, id: &str, options: &DeviceOptions) -> Result<Arc<dyn Device>, RuntimeError> {
        let name = id.split(':').next().unwrap_or(id);
        let Some(backend) = self.backends.iter().find(|b| b.name() == name) else {
            let known: Vec<String> = self.devices().into_iter().map(|d| d.id).collect();
            return Err(RuntimeError::UnknownDevice { id: id.to_owned(), known: known.join(", ") });
        };
        backend.open(id, options).map_err(|source| RuntimeError::Open { id: id.to_owned(), source })
    }
}
