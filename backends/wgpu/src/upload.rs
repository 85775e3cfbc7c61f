//! Weights on their way from the file to the device, in pieces, so that little memory is needed in between.

use std::sync::Arc;

use half::f16;
use kinograph_backend::{CompileError, DeviceError, Weights};
use kinograph_graph::DType;
use kinograph_graph::exact::{self, Slices, Whole};

use crate::gpu::{Gpu, Memory};
use crate::lower::{Form, Lay, WeightPart, WholeWeight};
use crate::words::{narrow, widen};

/// The most bytes of a weight that are made ready at a time, as far as whole elements, rows and words allow.
const PIECE: usize = 4 << 20;

/// A weight on the device, uploaded where it is not there yet.
pub(crate) fn upload_weight(
    gpu: &Gpu,
    weights: &Arc<dyn Weights>,
    part: &WeightPart,
    bytes: u64,
) -> Result<Arc<Memory>, CompileError> {
    let view = weights.get(&part.name).ok_or_else(|| CompileError::MissingWeight(part.name.clone()))?;
    let own = part.first.checked_add(part.bytes).and_then(|end| view.bytes.get(part.first..end));
    let own = own.ok_or_else(|| CompileError::Weight {
        name: part.name.clone(),
        reason: "it changed after the graph was checked".into(),
    })?;
    let upload = || {
        let memory = gpu.storage(bytes)?;
        match part.lay {
            Lay::Wide(declared) => wide(gpu, &memory, part.stored, declared, own)?,
            Lay::Packed => gpu.write(&memory, 0, own)?,
            Lay::ByTap(taps) => by_tap(gpu, &memory, part.stored.size(), taps, own)?,
            Lay::Whole(whole) => whole_numbers(gpu, &memory, part.stored, whole, own)?,
        }
        Ok(memory)
    };
    Ok(gpu.weight(Arc::as_ptr(weights).cast::<()>() as usize, part, upload)?)
}

/// Each element rounded to its declared type and widened; a piece is a whole number of elements and of words.
fn wide(gpu: &Gpu, memory: &Memory, stored: DType, declared: DType, own: &[u8]) -> Result<(), DeviceError> {
    let mut at = 0;
    for piece in own.chunks(PIECE) {
        let mut widened = widen(stored, piece);
        if stored != declared && declared != DType::F32 {
            widened = widen(declared, narrow(declared, &widened).as_bytes());
        }
        gpu.write(memory, at, &widened)?;
        at += widened.len() as u64;
    }
    Ok(())
}

/// Each tap of all channels together, of a weight of a multiple of eight channels.
fn by_tap(gpu: &Gpu, memory: &Memory, size: usize, taps: usize, own: &[u8]) -> Result<(), DeviceError> {
    let least = 8 * size * taps;
    let piece = (PIECE / least).max(1) * least;
    for (i, bytes) in own.chunks(piece).enumerate() {
        for tap in 0..taps {
            let of_tap: Vec<u8> =
                bytes.chunks_exact(size).skip(tap).step_by(taps).flatten().copied().collect();
            gpu.write(memory, (tap * own.len() / taps + i * piece / taps) as u64, &of_tap)?;
        }
    }
    Ok(())
}

/// Each row in whole numbers.
fn whole_numbers(
    gpu: &Gpu,
    memory: &Memory,
    stored: DType,
    lay: WholeWeight,
    own: &[u8],
) -> Result<(), DeviceError> {
    if lay.form == Form::Halves {
        return halves(gpu, memory, stored, lay, own);
    }
    let row = lay.channels * lay.taps * stored.size();
    let (rows, tap_bytes) = (own.len() / row.max(1), 2 * lay.width());
    let piece = (PIECE / row.max(1)).max(1);
    let mut units = Vec::new();
    for (i, bytes) in own.chunks(piece * row.max(1)).enumerate() {
        let whole: Vec<Whole> = bytes.chunks_exact(row).map(|row| whole_row(stored, row, lay)).collect();
        for tap in 0..lay.taps {
            let mut image = vec![0; whole.len() * tap_bytes];
            for (row, image) in whole.iter().zip(image.chunks_exact_mut(tap_bytes)) {
                let of_tap = row.numbers.iter().skip(tap).step_by(lay.taps);
                for (channel, &number) in of_tap.enumerate() {
                    put(image, lay, lay.position(channel), number);
                }
            }
            gpu.write(memory, ((tap * rows + i * piece) * tap_bytes) as u64, &image)?;
        }
        units.extend(whole.iter().flat_map(|row| row.unit.to_le_bytes()));
    }
    gpu.write(memory, 4 * lay.units(rows) as u64, &units)
}

/// Each row of a matrix in slices as `f16`: the upper ones of all rows, then their lower ones, and the exponents of the units.
fn halves(
    gpu: &Gpu,
    memory: &Memory,
    stored: DType,
    lay: WholeWeight,
    own: &[u8],
) -> Result<(), DeviceError> {
    let (row, slices) = (lay.channels * stored.size(), lay.slices.count() as usize);
    let (rows, row_bytes) = (own.len() / row.max(1), 2 * lay.width());
    let plane = 4 * lay.units(rows) / slices;
    let piece = (PIECE / row.max(1)).max(1);
    let mut exponents = Vec::new();
    for (i, bytes) in own.chunks(piece * row.max(1)).enumerate() {
        let whole: Vec<Whole> = bytes.chunks_exact(row).map(|row| whole_row(stored, row, lay)).collect();
        for slice in 0..slices {
            let mut image = vec![0; whole.len() * row_bytes];
            for (row, image) in whole.iter().zip(image.chunks_exact_mut(row_bytes)) {
                for (half, &number) in image.chunks_exact_mut(2).zip(&row.numbers) {
                    let (high, low) = slices_of(number, lay.slices);
                    let part = if slice + 1 < slices { high } else { low };
                    half.copy_from_slice(&f16::from_f32(part as f32).to_le_bytes());
                }
            }
            gpu.write(memory, (slice * plane + i * piece * row_bytes) as u64, &image)?;
        }
        let exponent = |row: &Whole| (row.unit.to_bits() >> 23) as i32 - 127;
        exponents.extend(whole.iter().flat_map(|row| [f16::from_f32(exponent(row) as f32), f16::ZERO]));
    }
    let bytes: Vec<u8> = exponents.into_iter().flat_map(f16::to_le_bytes).collect();
    gpu.write(memory, 4 * lay.units(rows) as u64, &bytes)
}

/// The upper slice of a number, if there are two, and the lower one.
fn slices_of(number: i32, slices: Slices) -> (i32, i32) {
    let high = if slices == Slices::Two { (number + 64) >> 7 } else { 0 };
    (high, number - 128 * high)
}

/// Writes a number of a row.
fn put(image: &mut [u8], lay: WholeWeight, at: usize, number: i32) {
    if lay.form == Form::Pairs {
        image[2 * at..2 * at + 2].copy_from_slice(&(number as i16).to_le_bytes());
        return;
    }
    let (high, low) = slices_of(number, lay.slices);
    let first = at / 8 * 16 + at % 8;
    image[first] = high as i8 as u8;
    image[first + 8] = low as i8 as u8;
}

fn whole_row(stored: DType, row: &[u8], lay: WholeWeight) -> Whole {
    let words = widen(stored, row);
    let (words, _) = words.as_chunks::<4>();
    let numbers: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
    exact::whole(&numbers, lay.slices)
}
