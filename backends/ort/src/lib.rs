//! ONNX Runtime as a backend: its CPU, CUDA, TensorRT, CoreML, DirectML and OpenVINO as devices.
//!
//! The library is loaded at run time ([`Library`] says where it is looked for); nothing links to it. ONNX Runtime allows
//! one environment a process, so the library that is loaded first serves every host in the process.
//!
//! A graph becomes one session. Weights stay in the mapped file where the session can read them there. What a provider
//! does not take is an error that names it, never silently the processor's work, unless the option `fallback` says so.
//!
//! Options of a device: `library` (a path), `fallback` (`cpu`), `weights` (`auto`, `mapped`, `copied`), `activations`
//! (`exact`, or `approximate`, which is faster and outside the op table's bounds far from 0), and those of the provider,
//! which are handed to it as they are.
#![deny(unsafe_code)]

mod buffer;
mod device;
mod exec;
mod library;
mod options;
mod provider;
mod session;

use std::sync::Arc;

use kinograph_backend::{Backend, Device, DeviceError, DeviceInfo, DeviceOptions};

pub use library::{Library, LibraryError};

use device::OrtDevice;
use provider::Provider;

/// The backend of ONNX Runtime.
#[derive(Clone, Debug, Default)]
pub struct OrtBackend {
    library: Library,
}

impl OrtBackend {
    /// With the library found in the usual places.
    pub fn new() -> Self {
        Self::default()
    }

    /// With this library.
    pub fn with_library(library: Library) -> Self {
        Self { library }
    }
}

impl Backend for OrtBackend {
    fn name(&self) -> &str {
        "ort"
    }

    fn devices(&self) -> Result<Vec<DeviceInfo>, DeviceError> {
        let runtime = self.library.load().map_err(internal)?;
        Ok(Provider::available().into_iter().map(|p| device::info(&runtime, p, 0)).collect())
    }

    fn open(&self, id: &str, options: &DeviceOptions) -> Result<Arc<dyn Device>, DeviceError> {
        let named = options.extra.get("library").map(Library::at);
        let runtime = named.as_ref().unwrap_or(&self.library).load().map_err(internal)?;
        let (provider, number) = Provider::parse(id).map_err(DeviceError::Internal)?;
        Ok(Arc::new(OrtDevice::open(runtime, provider, number, options)?))
    }
}

fn internal(error: impl ToString) -> DeviceError {
    DeviceError::Internal(error.to_string())
}
