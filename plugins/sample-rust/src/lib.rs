//! A backend in Rust as a plugin: the CPU backend under another name.

use std::sync::Arc;

use kinograph_backend::{Backend, Device, DeviceError, DeviceInfo, DeviceOptions};
use kinograph_cpu::CpuBackend;

/// The CPU backend as `sample-rust`.
#[derive(Debug, Default)]
pub struct SampleBackend;

const NAME: &str = "sample-rust";

impl Backend for SampleBackend {
    fn name(&self) -> &str {
        NAME
    }

    fn devices(&self) -> Result<Vec<DeviceInfo>, DeviceError> {
        let renamed = |info| DeviceInfo { id: NAME.to_owned(), ..info };
        Ok(CpuBackend.devices()?.into_iter().map(renamed).collect())
    }

    fn open(&self, _: &str, options: &DeviceOptions) -> Result<Arc<dyn Device>, DeviceError> {
        CpuBackend.open("cpu", options)
    }
}

kinograph_plugin_sdk::export_backend!(SampleBackend);
