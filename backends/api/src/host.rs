use half::{bf16, f16};
use kinograph_graph::{DType, OpError, Tensor, TensorDesc};

/// The elements of a tensor in host memory, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum HostData {
    /// `f32`.
    F32(Vec<f32>),
    /// `f16`.
    F16(Vec<f16>),
    /// `bf16`.
    BF16(Vec<bf16>),
    /// `i8`.
    I8(Vec<i8>),
    /// `u8`.
    U8(Vec<u8>),
    /// `i32`.
    I32(Vec<i32>),
    /// `i64`.
    I64(Vec<i64>),
    /// `bool`, each 0 or 1.
    Bool(Vec<u8>),
}

impl HostData {
    /// The element type.
    pub fn dtype(&self) -> DType {
        match self {
            HostData::F32(_) => DType::F32,
            HostData::F16(_) => DType::F16,
            HostData::BF16(_) => DType::BF16,
            HostData::I8(_) => DType::I8,
            HostData::U8(_) => DType::U8,
            HostData::I32(_) => DType::I32,
            HostData::I64(_) => DType::I64,
            HostData::Bool(_) => DType::Bool,
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            HostData::F32(v) => v.len(),
            HostData::F16(v) => v.len(),
            HostData::BF16(v) => v.len(),
            HostData::I8(v) => v.len(),
            HostData::U8(v) | HostData::Bool(v) => v.len(),
            HostData::I32(v) => v.len(),
            HostData::I64(v) => v.len(),
        }
    }

    /// True when there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements' bytes in the order of this machine, which for every machine that weights can be read on in place is
    /// little-endian.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            HostData::F32(v) => bytemuck::cast_slice(v),
            HostData::F16(v) => bytemuck::cast_slice(v),
            HostData::BF16(v) => bytemuck::cast_slice(v),
            HostData::I8(v) => bytemuck::cast_slice(v),
            HostData::U8(v) | HostData::Bool(v) => v,
            HostData::I32(v) => bytemuck::cast_slice(v),
            HostData::I64(v) => bytemuck::cast_slice(v),
        }
    }

    /// The elements as f64, for comparing with the reference. `i64` beyond 2^53 rounds.
    pub fn to_f64(&self) -> Vec<f64> {
        match self {
            HostData::F32(v) => v.iter().map(|&x| f64::from(x)).collect(),
            HostData::F16(v) => v.iter().map(|x| x.to_f64()).collect(),
            HostData::BF16(v) => v.iter().map(|x| x.to_f64()).collect(),
            HostData::I8(v) => v.iter().map(|&x| f64::from(x)).collect(),
            HostData::U8(v) | HostData::Bool(v) => v.iter().map(|&x| f64::from(x)).collect(),
            HostData::I32(v) => v.iter().map(|&x| f64::from(x)).collect(),
            HostData::I64(v) => v.iter().map(|&x| x as f64).collect(),
        }
    }

    /// Elements of that type from f64, converted as [`DType::quantize`] says.
    pub fn from_f64(dtype: DType, values: &[f64]) -> Self {
        match dtype {
            DType::F32 => HostData::F32(values.iter().map(|&v| v as f32).collect()),
            DType::F16 => HostData::F16(values.iter().map(|&v| f16::from_f64(v)).collect()),
            DType::BF16 => HostData::BF16(values.iter().map(|&v| bf16::from_f64(v)).collect()),
            DType::I8 => HostData::I8(values.iter().map(|&v| v as i8).collect()),
            DType::U8 => HostData::U8(values.iter().map(|&v| v as u8).collect()),
            DType::I32 => HostData::I32(values.iter().map(|&v| v as i32).collect()),
            DType::I64 => HostData::I64(values.iter().map(|&v| v as i64).collect()),
            DType::Bool => HostData::Bool(values.iter().map(|&v| u8::from(v != 0.0)).collect()),
        }
    }
}

/// A tensor in host memory.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTensor {
    desc: TensorDesc,
    data: HostData,
}

impl HostTensor {
    /// A tensor of that shape.
    ///
    /// # Errors
    /// When the number of elements is not that of the shape.
    pub fn new(shape: impl Into<Vec<usize>>, data: HostData) -> Result<Self, OpError> {
        let desc = TensorDesc::new(data.dtype(), shape);
        if desc.elements() != data.len() {
            return Err(OpError::invalid(format!("{} elements were given for {desc}", data.len())));
        }
        Ok(Self { desc, data })
    }

    /// A tensor of `f32`.
    ///
    /// # Errors
    /// When the number of elements is not that of the shape.
    pub fn f32(shape: impl Into<Vec<usize>>, data: Vec<f32>) -> Result<Self, OpError> {
        Self::new(shape, HostData::F32(data))
    }

    /// A tensor of that type with the reference's values, converted as [`DType::quantize`] says.
    pub fn from_reference(tensor: &Tensor, dtype: DType) -> Self {
        let data = HostData::from_f64(dtype, tensor.data());
        Self { desc: tensor.desc().with_dtype(dtype), data }
    }

    /// The same values for the reference.
    pub fn to_reference(&self) -> Tensor {
        let mut values = self.data.to_f64().into_iter();
        Tensor::from_fn(self.desc.clone(), |_| values.next().unwrap_or(f64::NAN))
    }

    /// The type and shape.
    pub fn desc(&self) -> &TensorDesc {
        &self.desc
    }

    /// The elements.
    pub fn data(&self) -> &HostData {
        &self.data
    }

    /// The elements, by value.
    pub fn into_data(self) -> HostData {
        self.data
    }

    /// The elements when they are `f32`.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match &self.data {
            HostData::F32(v) => Some(v),
            _ => None,
        }
    }
}
