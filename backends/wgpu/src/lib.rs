//! The backend of wgpu: every GPU with Vulkan, Metal, DX12 or OpenGL.
//!
//! A graph is lowered to dispatches (`lower`): reshapes, transposes, slices and broadcasts become strides of what reads them
//! (`layout`), chains of elementwise ops become one kernel that is written for them, the rest are the files of `kernels/`,
//! specialised by constants in front (`shader`). Before the first run every value has its buffer (`memory`). A run (`exec`)
//! submits as many dispatches at a time as stay below a time budget, so that a desktop stays usable and cancelling is soon.
//!
//! Devices are `wgpu:0`, `wgpu:1` and so on; `wgpu:vulkan`, `wgpu:vulkan:llvmpipe` find one by what it is. Options, under
//! `extra`: `max_submission_ms` (100), `memory` (the most bytes of buffers), `subgroups` (`true` or `false`), `lanes` (16, 32 or 64
//! invocations that share a tile), `dots` (whole numbers of reproducible numerics by dot products of bytes), `matrices` (their products by
//! cooperative matrices), `no_contraction` (their kernels as SPIR-V that is decorated so, on Vulkan), `tuning` (`true` or `false`), `guards`
//! (`true`: words behind every buffer are checked after each dispatch, for work on kernels).
//! With a directory under `cache` (see [`DeviceOptions`]) compiled kernels are kept there, and the fastest of the variants that
//! `subgroups`, `lanes`, `dots` and `matrices` leave open, which are measured when the adapter is seen for the first time; adapters in software are only
//! measured with `tuning=true`.
#![deny(unsafe_code)]

mod adapters;
mod buffer;
mod cache;
mod device;
mod exec;
mod gpu;
mod layout;
mod lower;
mod memory;
mod options;
mod shader;
mod spirv;
#[cfg(test)]
mod tests;
mod tuning;
mod upload;
mod words;

use std::sync::Arc;

use kinograph_backend::{Backend, Device, DeviceError, DeviceInfo, DeviceOptions};

/// The backend, with a device for each adapter. No adapter is an empty list.
#[derive(Clone, Copy, Debug, Default)]
pub struct WgpuBackend;

impl Backend for WgpuBackend {
    fn name(&self) -> &str {
        "wgpu"
    }

    fn devices(&self) -> Result<Vec<DeviceInfo>, DeviceError> {
        Ok(adapters::list(false).into_iter().map(|listed| listed.info).collect())
    }

    fn open(&self, id: &str, options: &DeviceOptions) -> Result<Arc<dyn Device>, DeviceError> {
        Ok(Arc::new(device::WgpuDevice::open(adapters::find(id)?, options)?))
    }
}
