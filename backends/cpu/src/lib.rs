//! The CPU backend: the embedded default. It needs no system library, reads weights where the
//! caller has them, and gives the same bytes for any number of threads.
//!
//! A graph is lowered to steps (`lower`), each a kernel with its operands (`kernels`); chains of
//! elementwise ops become one step. Before the first run every value has its place in one arena
//! (`plan`). A run (`exec`) takes an arena and goes through the steps.
//!
//! - Kernels are compiled for AVX-512, AVX2, NEON and plain code, and one is chosen at run time.
//!   The option `simd` asks for a lesser one.
//! - Work is divided into tasks by the shapes alone, and each task is computed by one thread in a
//!   fixed order: that is why threads do not change results.
//! - Unsafe code is confined to `mat`, and to a few lines of `halves` and `kept`.
//!
//! ```
//! use std::sync::Arc;
//! use kinograph_backend::{Backend, Control, DeviceOptions, HostTensor, MemoryWeights};
//! use kinograph_graph::{DType, GraphBuilder, TensorDesc, ops};
//!
//! let mut b = GraphBuilder::new("double");
//! let x = b.input("x", TensorDesc::new(DType::F32, [2]))?;
//! let y = b.node(ops::find("Add").unwrap(), &[Some(x), Some(x)], [], "sum")?[0];
//! let graph = Arc::new(b.finish([("y", y)])?);
//!
//! let device = kinograph_cpu::CpuBackend.open("cpu", &DeviceOptions::default())?;
//! let executable = device.compile(graph, Arc::new(MemoryWeights::new()))?;
//! let x = device.upload(HostTensor::f32([2], vec![1.0, 2.0])?)?;
//! let y = executable.run(&[x], &Control::new())?;
//! assert_eq!(device.download(&y[0])?.as_f32(), Some(&[2.0, 4.0][..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(unsafe_code)]

#[cfg(target_endian = "big")]
compile_error!("weights are read in place from little-endian files; a big-endian port needs to convert them");

mod device;
mod early;
mod exec;
mod halves;
#[cfg(feature = "cache")]
mod kept;
mod kernels;
mod layout;
mod lower;
mod mat;
mod math;
mod memory;
mod plan;
mod run;
mod simd;

use std::sync::Arc;

use kinograph_backend::{Backend, Device, DeviceError, DeviceInfo, DeviceOptions};

/// The backend, with one device of id `cpu`.
///
/// Options: `threads` (by default one for each processor), and under `extra` `simd`, one of
/// `avx512`, `avx2`, `neon` and `plain`, for instruction sets that the machine has, and `keep_weights` (`true`: weights that reproducible
/// numerics pack are kept in [`DeviceOptions::cache`] and mapped; with the cargo feature `cache`).
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuBackend;

impl CpuBackend {
    /// The names of the instruction sets that this machine has, best first.
    pub fn simd_levels() -> Vec<&'static str> {
        simd::Level::available().iter().map(|level| level.name()).collect()
    }
}

impl Backend for CpuBackend {
    fn name(&self) -> &str {
        device::ID
    }

    fn devices(&self) -> Result<Vec<DeviceInfo>, DeviceError> {
        Ok(vec![device::info(simd::Level::best(), device::default_threads())])
    }

    fn open(&self, id: &str, options: &DeviceOptions) -> Result<Arc<dyn Device>, DeviceError> {
        if id != device::ID {
            return Err(DeviceError::Internal(format!(
                "there is no device `{id}`; there is `{}`",
                device::ID
            )));
        }
        Ok(Arc::new(device::CpuDevice::open(options)?))
    }
}
