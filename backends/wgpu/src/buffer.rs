//! Tensors on the device.

use std::any::Any;
use std::sync::Arc;

use kinograph_backend::{Buffer, DeviceError, HostTensor};
use kinograph_graph::TensorDesc;

use crate::gpu::{Gpu, Memory, internal};
use crate::words::{device_bytes, halves, narrow, widen};

pub(crate) struct GpuBuffer {
    desc: TensorDesc,
    gpu: Arc<Gpu>,
    memory: Memory,
}

impl GpuBuffer {
    pub(crate) fn new(desc: TensorDesc, gpu: Arc<Gpu>, memory: Memory) -> Self {
        Self { desc, gpu, memory }
    }

    pub(crate) fn upload(gpu: Arc<Gpu>, tensor: &HostTensor) -> Result<Self, DeviceError> {
        let desc = tensor.desc().clone();
        let memory = gpu.storage(device_bytes(desc.dtype, gpu.is_half(desc.dtype), desc.elements()))?;
        let bytes = tensor.data().as_bytes();
        match gpu.is_half(desc.dtype) {
            true => gpu.write(&memory, 0, bytes)?,
            false => gpu.write(&memory, 0, &widen(desc.dtype, bytes))?,
        }
        Ok(Self { desc, gpu, memory })
    }

    pub(crate) fn download(&self) -> Result<HostTensor, DeviceError> {
        let (dtype, elements) = (self.desc.dtype, self.desc.elements());
        let half = self.gpu.is_half(dtype);
        let bytes = if elements == 0 { 0 } else { device_bytes(dtype, half, elements) };
        let bytes = self.gpu.read(&self.memory.buffer, bytes)?;
        let data = if half { halves(&bytes, elements) } else { narrow(dtype, &bytes) };
        HostTensor::new(self.desc.shape.clone(), data).map_err(internal)
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Whether it lies on this opened device.
    pub(crate) fn is_of(&self, gpu: &Arc<Gpu>) -> bool {
        Arc::ptr_eq(&self.gpu, gpu)
    }
}

impl Buffer for GpuBuffer {
    fn desc(&self) -> &TensorDesc {
        &self.desc
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
