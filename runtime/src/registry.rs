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

    /// Every device of every backend. A backend that fails to answer is logged and left out.
    pub fn devices(&self) -> Vec<DeviceInfo> {
        let list = |backend: &dyn Backend| match backend.devices() {
            Ok(devices) => devices,
            Err(error) => {
                log::warn!("backend `{}`: {error}", backend.name());
                Vec::new()
            }
        };
        self.backends.iter().rev().flat_map(|b| list(&**b)).collect()
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
