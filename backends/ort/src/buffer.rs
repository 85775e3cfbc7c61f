//! Tensors in ONNX Runtime's hands.

use std::any::Any;
use std::fmt::Debug;

use half::{bf16, f16};
use kinograph_backend::{Buffer, BufferRef, DeviceError, HostData, HostTensor};
use kinograph_graph::{DType, TensorDesc};
use ort::memory::Allocator;
use ort::value::{DynValue, PrimitiveTensorElementType, Tensor, TensorElementType};

use crate::internal;

pub(crate) struct OrtBuffer {
    desc: TensorDesc,
    pub(crate) value: DynValue,
}

impl Buffer for OrtBuffer {
    fn desc(&self) -> &TensorDesc {
        &self.desc
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// ONNX Runtime's name of an element type.
pub(crate) fn element_type(dtype: DType) -> TensorElementType {
    match dtype {
        DType::F32 => TensorElementType::Float32,
        DType::F16 => TensorElementType::Float16,
        DType::BF16 => TensorElementType::Bfloat16,
        DType::I8 => TensorElementType::Int8,
        DType::U8 => TensorElementType::Uint8,
        DType::I32 => TensorElementType::Int32,
        DType::I64 => TensorElementType::Int64,
        DType::Bool => TensorElementType::Bool,
    }
}

impl OrtBuffer {
    pub(crate) fn new(desc: TensorDesc, value: DynValue) -> Self {
        Self { desc, value }
    }

    /// The buffer behind a shared one, if it is ours.
    pub(crate) fn of(buffer: &BufferRef) -> Option<&Self> {
        buffer.as_any().downcast_ref()
    }

    /// Takes a host tensor over; floats and wide integers are not copied.
    pub(crate) fn from_host(tensor: HostTensor) -> Result<Self, DeviceError> {
        let desc = tensor.desc().clone();
        let shape = &desc.shape;
        let value = match tensor.into_data() {
            HostData::F32(v) => own(shape, v),
            HostData::F16(v) => own(shape, v),
            HostData::BF16(v) => own(shape, v),
            HostData::I8(v) => own(shape, v),
            HostData::U8(v) => own(shape, v),
            HostData::I32(v) => own(shape, v),
            HostData::I64(v) => own(shape, v),
            HostData::Bool(v) => own(shape, v.into_iter().map(|b| b != 0).collect()),
        };
        Ok(Self { value: value.map_err(internal)?, desc })
    }

    /// Copies to the host.
    pub(crate) fn to_host(&self) -> Result<HostTensor, DeviceError> {
        let data = match self.desc.dtype {
            DType::F32 => HostData::F32(self.elements()?),
            DType::F16 => HostData::F16(self.elements::<f16>()?),
            DType::BF16 => HostData::BF16(self.elements::<bf16>()?),
            DType::I8 => HostData::I8(self.elements()?),
            DType::U8 => HostData::U8(self.elements()?),
            DType::I32 => HostData::I32(self.elements()?),
            DType::I64 => HostData::I64(self.elements()?),
            DType::Bool => HostData::Bool(self.elements::<bool>()?.into_iter().map(u8::from).collect()),
        };
        HostTensor::new(self.desc.shape.clone(), data).map_err(internal)
    }

    fn elements<T: PrimitiveTensorElementType + Clone>(&self) -> Result<Vec<T>, DeviceError> {
        if self.desc.elements() == 0 {
            return Ok(Vec::new());
        }
        self.value.try_extract_tensor::<T>().map(|(_, data)| data.to_vec()).map_err(internal)
    }
}

fn own<T>(shape: &[usize], data: Vec<T>) -> ort::Result<DynValue>
where
    T: PrimitiveTensorElementType + Debug + Clone + 'static,
{
    if data.is_empty() {
        // Empty data has no address that ONNX Runtime would take.
        let shape: Vec<i64> = shape.iter().map(|&d| d as i64).collect();
        return Tensor::<T>::new(&Allocator::default(), shape).map(|t| t.into_dyn());
    }
    Tensor::from_array((shape.to_vec(), data)).map(|t| t.into_dyn())
}
