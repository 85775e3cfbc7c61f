use std::any::Any;
use std::sync::Arc;

use kinograph_backend::{Buffer, BufferRef, DeviceError, HostData, HostTensor};
use kinograph_graph::{DType, TensorDesc};
use tract_onnx::prelude::*;

use crate::internal;

/// A tensor of tract.
pub(crate) struct TractBuffer {
    desc: TensorDesc,
    pub(crate) tensor: Arc<Tensor>,
}

impl Buffer for TractBuffer {
    fn desc(&self) -> &TensorDesc {
        &self.desc
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl TractBuffer {
    pub(crate) fn new(desc: TensorDesc, tensor: Arc<Tensor>) -> Self {
        Self { desc, tensor }
    }

    /// The buffer behind a shared one, if it is ours.
    pub(crate) fn of(buffer: &BufferRef) -> Option<&Self> {
        buffer.as_any().downcast_ref()
    }

    pub(crate) fn from_host(tensor: &HostTensor) -> Result<Self, DeviceError> {
        let desc = tensor.desc().clone();
        let shape = &desc.shape;
        let made = match tensor.data() {
            HostData::F32(v) => Tensor::from_shape(shape, v),
            HostData::F16(v) => Tensor::from_shape(shape, v),
            HostData::I8(v) => Tensor::from_shape(shape, v),
            HostData::U8(v) => Tensor::from_shape(shape, v),
            HostData::I32(v) => Tensor::from_shape(shape, v),
            HostData::I64(v) => Tensor::from_shape(shape, v),
            HostData::Bool(v) => Tensor::from_shape(shape, &v.iter().map(|&b| b != 0).collect::<Vec<bool>>()),
            HostData::BF16(_) => return Err(internal("tract has no bf16")),
        };
        Ok(Self { tensor: Arc::new(made.map_err(internal)?), desc })
    }

    pub(crate) fn to_host(&self) -> Result<HostTensor, DeviceError> {
        let data = match self.desc.dtype {
            DType::F32 => HostData::F32(self.elements()?),
            DType::F16 => HostData::F16(self.elements()?),
            DType::I8 => HostData::I8(self.elements()?),
            DType::U8 => HostData::U8(self.elements()?),
            DType::I32 => HostData::I32(self.elements()?),
            DType::I64 => HostData::I64(self.elements()?),
            DType::Bool => HostData::Bool(self.elements::<bool>()?.into_iter().map(u8::from).collect()),
            DType::BF16 => return Err(internal("tract has no bf16")),
        };
        HostTensor::new(self.desc.shape.clone(), data).map_err(internal)
    }

    fn elements<T: Datum + Copy>(&self) -> Result<Vec<T>, DeviceError> {
        let view = self.tensor.to_plain_array_view::<T>().map_err(internal)?;
        Ok(view.iter().copied().collect())
    }
}
