//! Elements as bytes, and back.

use bytemuck::Pod;
use half::{bf16, f16};
use kinograph_backend::{HostData, HostTensor};
use kinograph_graph::{DType, TensorDesc};

use crate::error::{Failure, FailureKind};

/// Bytes behind a tensor that a device must leave alone.
const GUARD: usize = 64;
const GUARD_BYTE: u8 = 0xa5;

/// A tensor whose bytes `fill` writes.
pub(crate) fn receive(
    desc: &TensorDesc,
    fill: impl FnOnce(&mut [u8]) -> Result<(), Failure>,
) -> Result<HostTensor, Failure> {
    let n = desc.elements();
    let data = match desc.dtype {
        DType::F32 => HostData::F32(elements(n, fill)?),
        DType::F16 => HostData::F16(elements::<f16>(n, fill)?),
        DType::BF16 => HostData::BF16(elements::<bf16>(n, fill)?),
        DType::I8 => HostData::I8(elements(n, fill)?),
        DType::U8 => HostData::U8(elements(n, fill)?),
        DType::I32 => HostData::I32(elements(n, fill)?),
        DType::I64 => HostData::I64(elements(n, fill)?),
        DType::Bool => HostData::Bool(truths(elements(n, fill)?)?),
    };
    HostTensor::new(desc.shape.clone(), data).map_err(|e| Failure::violation("download", e.to_string()))
}

fn elements<T: Pod>(
    count: usize,
    fill: impl FnOnce(&mut [u8]) -> Result<(), Failure>,
) -> Result<Vec<T>, Failure> {
    let guard = GUARD / size_of::<T>();
    let mut elements: Vec<T> = Vec::new();
    elements.try_reserve_exact(count.saturating_add(guard)).map_err(|_| {
        let bytes = count.saturating_mul(size_of::<T>()) as u64;
        Failure { function: "download", kind: FailureKind::OutOfMemory { bytes }, message: String::new() }
    })?;
    elements.resize(count + guard, T::zeroed());
    let (own, behind) = bytemuck::cast_slice_mut::<T, u8>(&mut elements).split_at_mut(count * size_of::<T>());
    behind.fill(GUARD_BYTE);
    fill(own)?;
    if behind.iter().any(|&byte| byte != GUARD_BYTE) {
        return Err(Failure::violation("download", "it wrote beyond the memory that it was given"));
    }
    elements.truncate(count);
    Ok(elements)
}

fn truths(bytes: Vec<u8>) -> Result<Vec<u8>, Failure> {
    match bytes.iter().find(|&&byte| byte > 1) {
        Some(byte) => Err(Failure::violation("download", format!("{byte} is no truth value; 0 and 1 are"))),
        None => Ok(bytes),
    }
}
