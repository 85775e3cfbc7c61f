//! Tensors on the device.

use std::any::Any;
use std::sync::Arc;

use kinograph_backend::{Buffer, DeviceError, HostTensor};
use kinograph_graph::TensorDesc;

use crate::gpu::{Gpu, Memory, internal};
use crate::words::{device_bytes, narrow, widen};

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
        let memory = gpu.storage(device_bytes(desc.dtype, desc.elements()))?;
        gpu.write(&memory, 0, &widen(desc.dtype, tensor.data().as_bytes()))?;
        Ok(Self { desc, gpu, memory })
    }

    pub(crate) fn download(&self) -> Result<HostTensor, DeviceError> {
        let elements = self.desc.elements();
        let bytes = if elements == 0 { 0 } else { device_bytes(self.desc.dtype, elements) };
        let bytes = self.gpu.read(&self.memory.buffer, bytes)?;
        HostTensor::new(self.desc.shape.clone(), narrow(self.desc.dtype, &bytes)).map_err(internal)
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
