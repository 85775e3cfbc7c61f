//! tract as a backend: pure Rust, for hosts that can have no other library.
//!
//! A graph is lowered to ONNX, which tract reads, optimises and runs. It copies the weights, in f32 unless the graph
//! computes in another type. What it lacks is refused with the reason.
#![forbid(unsafe_code)]

mod buffer;
mod device;
mod exec;
mod proto;

use std::sync::Arc;

use kinograph_backend::{Backend, Device, DeviceError, DeviceInfo, DeviceOptions};

use device::TractDevice;

/// The id of the one device.
pub(crate) const ID: &str = "tract";
/// The version of tract.
pub const VERSION: &str = "0.23.9";

/// The backend of tract, with one device.
#[derive(Clone, Copy, Debug, Default)]
pub struct TractBackend;

impl Backend for TractBackend {
    fn name(&self) -> &str {
        ID
    }

    fn devices(&self) -> Result<Vec<DeviceInfo>, DeviceError> {
        Ok(vec![device::info(device::default_threads())])
    }

    fn open(&self, id: &str, options: &DeviceOptions) -> Result<Arc<dyn Device>, DeviceError> {
        if id != ID {
            return Err(DeviceError::Internal(format!("there is no device `{id}`; there is `{ID}`")));
        }
        if let Some(option) = options.extra.keys().next() {
            return Err(DeviceError::Internal(format!(
                "the tract device has no option `{option}`; it has none"
            )));
        }
        let threads = options.threads.unwrap_or_else(device::default_threads).max(1);
        Ok(Arc::new(TractDevice::new(threads)))
    }
}

fn internal(error: impl ToString) -> DeviceError {
    DeviceError::Internal(error.to_string())
}

/// Runs code of tract, whose panics become errors: it asserts what it takes for granted.
fn guarded<T>(what: impl FnOnce() -> tract_onnx::prelude::TractResult<T>) -> Result<T, DeviceError> {
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(what));
    match caught {
        Ok(result) => result.map_err(|e| internal(format!("{e:#}"))),
        Err(panic) => {
            let message = panic.downcast_ref::<String>().map(String::as_str);
            let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
            Err(internal(format!("tract panicked: {message}")))
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_is_that_of_the_lockfile() {
        let lock = include_str!("../../../Cargo.lock");
        let line = format!("name = \"tract-onnx\"\nversion = \"{}\"", super::VERSION);
        assert!(lock.contains(&line));
    }
}
