//! Between the bytes of tensors and weights and the words in which a device keeps them.

use half::{bf16, f16};
use kinograph_backend::HostData;
use kinograph_graph::DType;

/// The words of one element.
pub(crate) fn words(dtype: DType) -> usize {
    if dtype == DType::I64 { 2 } else { 1 }
}

/// The bytes of so many elements on the device, halves or words: whole words, and never none, as no binding may be empty.
pub(crate) fn device_bytes(dtype: DType, half: bool, elements: usize) -> u64 {
    let each = if half { 2 } else { 4 * words(dtype) as u64 };
    (elements as u64).max(1).saturating_mul(each).next_multiple_of(4)
}

/// Turns little-endian elements of a type into the words of that type on the device.
pub(crate) fn widen(dtype: DType, bytes: &[u8]) -> Vec<u8> {
    fn each<const N: usize>(bytes: &[u8], word: impl Fn([u8; N]) -> [u8; 4]) -> Vec<u8> {
        let (elements, _) = bytes.as_chunks::<N>();
        elements.iter().flat_map(|e| word(*e)).collect()
    }
    match dtype {
        DType::F32 | DType::I32 | DType::I64 => bytes.to_vec(),
        DType::F16 => each(bytes, |e: [u8; 2]| f16::from_le_bytes(e).to_f32().to_le_bytes()),
        DType::BF16 => each(bytes, |e: [u8; 2]| bf16::from_le_bytes(e).to_f32().to_le_bytes()),
        DType::I8 => each(bytes, |[e]: [u8; 1]| i32::from(e as i8).to_le_bytes()),
        DType::U8 | DType::Bool => each(bytes, |[e]: [u8; 1]| u32::from(e).to_le_bytes()),
    }
}

/// Turns words of the device back into elements of a type; floats of a narrower type were rounded to it before.
pub(crate) fn narrow(dtype: DType, bytes: &[u8]) -> HostData {
    let (words, _) = bytes.as_chunks::<4>();
    let floats = || words.iter().map(|w| f32::from_le_bytes(*w));
    let integers = || words.iter().map(|w| i32::from_le_bytes(*w));
    match dtype {
        DType::F32 => HostData::F32(floats().collect()),
        DType::F16 => HostData::F16(floats().map(f16::from_f32).collect()),
        DType::BF16 => HostData::BF16(floats().map(bf16::from_f32).collect()),
        DType::I8 => HostData::I8(integers().map(|v| v as i8).collect()),
        DType::U8 => HostData::U8(integers().map(|v| v as u8).collect()),
        DType::Bool => HostData::Bool(integers().map(|v| u8::from(v != 0)).collect()),
        DType::I32 => HostData::I32(integers().collect()),
        DType::I64 => {
            let (pairs, _) = bytes.as_chunks::<8>();
            HostData::I64(pairs.iter().map(|p| i64::from_le_bytes(*p)).collect())
        }
    }
}

/// So many elements that a device keeps as halves; a word may end in one that is none.
pub(crate) fn halves(bytes: &[u8], elements: usize) -> HostData {
    let (halves, _) = bytes.as_chunks::<2>();
    HostData::F16(halves.iter().take(elements).map(|h| f16::from_le_bytes(*h)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_comes_back() {
        let values = [0.0, 1.0, -3.0, 100.0, 0.5];
        for dtype in DType::ALL {
            let data = HostData::from_f64(dtype, &values);
            assert_eq!(narrow(dtype, &widen(dtype, data.as_bytes())), data);
        }
    }
}
