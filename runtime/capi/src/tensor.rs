//! Tensors in host memory.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;
use std::sync::Arc;

use half::{bf16, f16};
use kinograph::graph::{DType, Limits, TensorDesc};
use kinograph::{HostData, HostTensor, latents};

use crate::failure::{Failure, KinographError, free, guard};
use crate::pointers::{Versioned, array, bytes, fill, give, given, slot, text};
use crate::status::KinographStatus;

/// The type of a tensor's elements.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KinographDtype {
    /// `float`.
    F32 = 0,
    /// IEEE 754 binary16, 2 bytes.
    F16 = 1,
    /// bfloat16, 2 bytes.
    Bf16 = 2,
    /// `int8_t`.
    I8 = 3,
    /// `uint8_t`.
    U8 = 4,
    /// `int32_t`.
    I32 = 5,
    /// `int64_t`.
    I64 = 6,
    /// One byte, 0 or 1.
    Bool = 7,
}

/// A tensor in host memory that never changes. Several threads may read it at once; what was given it keeps what it needs, so it
/// may be freed at any time.
#[derive(Clone, Debug)]
pub struct KinographTensor(pub(crate) Arc<HostTensor>);

/// What a tensor holds. The pointers live as long as the tensor.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographTensorView {
    /// The size of this struct.
    pub struct_size: usize,
    /// A `KinographDtype`.
    pub dtype: i32,
    /// Dimensions.
    pub rank: u32,
    /// The dimensions, outermost first.
    pub shape: *const usize,
    /// The elements, row by row, aligned to their type.
    pub data: *const c_void,
    /// Bytes of them.
    pub size: usize,
}

// SAFETY: `repr(C)`, the size first, and zeros are a valid value.
unsafe impl Versioned for KinographTensorView {}

/// Every type with its number.
const DTYPES: [(KinographDtype, DType); 8] = [
    (KinographDtype::F32, DType::F32),
    (KinographDtype::F16, DType::F16),
    (KinographDtype::Bf16, DType::BF16),
    (KinographDtype::I8, DType::I8),
    (KinographDtype::U8, DType::U8),
    (KinographDtype::I32, DType::I32),
    (KinographDtype::I64, DType::I64),
    (KinographDtype::Bool, DType::Bool),
];

fn dtype_of(number: i32) -> Result<DType, Failure> {
    let found = DTYPES.iter().find(|(known, _)| *known as i32 == number);
    found.map(|(_, dtype)| *dtype).ok_or_else(|| Failure::argument(format!("there is no dtype {number}")))
}

fn number_of(dtype: DType) -> i32 {
    DTYPES.iter().find(|(_, known)| *known == dtype).map_or(-1, |(number, _)| *number as i32)
}

/// Makes a tensor of a copy of `size` bytes, which must be those of the shape. `dtype` is a `KinographDtype`, `shape` has `rank`
/// dimensions, outermost first; none is a single value. `data` needs no alignment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_tensor_new(
    dtype: i32,
    shape: *const usize,
    rank: usize,
    data: *const c_void,
    size: usize,
    tensor: Option<&mut MaybeUninit<*mut KinographTensor>>,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let slot = slot(tensor, "tensor")?;
        let dtype = dtype_of(dtype)?;
        let limits = Limits::default();
        // SAFETY: an array of the caller.
        let shape = unsafe { array(shape, rank, limits.rank, "shape") }?;
        let desc = TensorDesc::new(dtype, shape);
        limits.check(&desc)?;
        if desc.bytes() != size {
            return Err(Failure::argument(format!(
                "{desc} has {} bytes, but {size} are given",
                desc.bytes()
            )));
        }
        // SAFETY: an array of the caller.
        let data = host_data(dtype, unsafe { bytes(data.cast(), size, "data") }?)?;
        give(slot, KinographTensor(Arc::new(HostTensor::new(shape, data)?)));
        Ok(())
    })
}

/// The elements of raw bytes in the order of this machine.
fn host_data(dtype: DType, raw: &[u8]) -> Result<HostData, Failure> {
    Ok(match dtype {
        DType::F32 => HostData::F32(elements(raw, f32::from_ne_bytes)?),
        DType::F16 => HostData::F16(elements(raw, f16::from_ne_bytes)?),
        DType::BF16 => HostData::BF16(elements(raw, bf16::from_ne_bytes)?),
        DType::I8 => HostData::I8(elements(raw, i8::from_ne_bytes)?),
        DType::U8 => HostData::U8(elements(raw, u8::from_ne_bytes)?),
        DType::I32 => HostData::I32(elements(raw, i32::from_ne_bytes)?),
        DType::I64 => HostData::I64(elements(raw, i64::from_ne_bytes)?),
        DType::Bool => match raw.iter().find(|&&byte| byte > 1) {
            Some(byte) => return Err(Failure::argument(format!("a bool is 0 or 1, not {byte}"))),
            None => HostData::Bool(elements(raw, u8::from_ne_bytes)?),
        },
    })
}

fn elements<T, const N: usize>(raw: &[u8], make: fn([u8; N]) -> T) -> Result<Vec<T>, Failure> {
    let mut values = reserve(raw.len() / N)?;
    values.extend(raw.as_chunks::<N>().0.iter().map(|bytes| make(*bytes)));
    Ok(values)
}

/// An empty vector with room, or an error where there is none.
pub(crate) fn reserve<T>(count: usize) -> Result<Vec<T>, Failure> {
    let mut values = Vec::new();
    values.try_reserve_exact(count).map_err(|_| {
        let bytes = count.saturating_mul(size_of::<T>());
        Failure::new(KinographStatus::OutOfMemory, format!("there is no room for {bytes} bytes"))
    })?;
    Ok(values)
}

/// Says what a tensor holds; set `view->struct_size` first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_tensor_view(
    tensor: Option<&KinographTensor>,
    view: *mut KinographTensorView,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let tensor = &given(tensor, "tensor")?.0;
        let (desc, raw) = (tensor.desc(), tensor.data().as_bytes());
        let value = KinographTensorView {
            struct_size: 0,
            dtype: number_of(desc.dtype),
            rank: desc.rank() as u32,
            shape: desc.shape.as_ptr(),
            data: raw.as_ptr().cast(),
            size: raw.len(),
        };
        // SAFETY: a struct of the caller, or null.
        unsafe { fill(view, value, "view") }
    })
}

/// Reads latents from a `.safetensors` file: to begin from as noise, or to decode.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_latents_read(
    path: *const c_char,
    latents: Option<&mut MaybeUninit<*mut KinographTensor>>,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let slot = slot(latents, "latents")?;
        // SAFETY: a text of the caller.
        let path = unsafe { text(path, "path") }?;
        let (tensor, _) = latents::read_with_metadata(path.as_ref())?;
        give(slot, KinographTensor(Arc::new(tensor)));
        Ok(())
    })
}

/// Writes latents, `f32`, to a `.safetensors` file, which appears only when it is complete.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_latents_write(
    path: *const c_char,
    latents: Option<&KinographTensor>,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        // SAFETY: a text of the caller.
        let path = unsafe { text(path, "path") }?;
        let tensor = &given(latents, "latents")?.0;
        if tensor.as_f32().is_none() {
            return Err(Failure::argument(format!("latents are f32, but these are {}", tensor.desc())));
        }
        latents::write(path.as_ref(), tensor, &Default::default())?;
        Ok(())
    })
}

/// Frees a tensor; null is fine.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_tensor_free(tensor: Option<Box<KinographTensor>>) {
    free(tensor);
}
