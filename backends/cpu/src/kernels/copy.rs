//! Moving elements: by strides, by maps of indices, one after the other.

use bytemuck::Pod;

use crate::layout::Walk;
use crate::run::{Fault, Io, Kernel, Run};
#[cfg(target_arch = "x86_64")]
use crate::{kernels::turn::Turn, simd::Level};

/// The elements of one task.
const TASK: usize = 1 << 16;

/// The output in order, each element read at its strides from a start: Transpose, Slice, Expand,
/// Tile.
pub(crate) struct StridedCopy {
    element: usize,
    walk: Walk,
    start: usize,
}

impl StridedCopy {
    /// A copy of elements of that size. Operand 0 of the walk is the input.
    pub(crate) fn new(element: usize, shape: &[usize], strides: Vec<isize>, start: usize) -> Self {
        Self { element, walk: Walk::new(shape, &[strides]), start }
    }

    fn copy<T: Pod + Send + Sync>(&self, run: &Run<'_>, mut io: Io<'_, '_>) -> Result<(), Fault> {
        let from: &[T] = io.inputs[0].of();
        if io.outputs[0].is_empty() {
            return Ok(());
        }
        if let Some(columns) = self.transposes() {
            return self.transpose(run, from, io.out(), columns);
        }
        let stride = self.walk.inner_stride(0);
        run.chunks(io.out::<T>(), TASK, |task, out| {
            self.walk.stretches(0, task * TASK, out.len(), |done, offset, len| {
                let at = self.start as isize + offset;
                let out = &mut out[done..done + len];
                match stride {
                    1 => out.copy_from_slice(&from[at as usize..at as usize + len]),
                    0 => out.fill(from[at as usize]),
                    _ => out
                        .iter_mut()
                        .enumerate()
                        .for_each(|(i, o)| *o = from[(at + i as isize * stride) as usize]),
                }
            });
        })
    }
}

/// The side of the blocks by which matrices are transposed: a block's lines are a few cache lines
/// of each side.
const SIDE: usize = 32;

impl StridedCopy {
    /// The dimension, before the innermost, along which the input is contiguous, when the
    /// innermost is not.
    fn transposes(&self) -> Option<usize> {
        let last = self.walk.dims.len() - 1;
        let strides = &self.walk.strides[0];
        let along = (0..last).rev().find(|&a| strides[a] == 1 && self.walk.dims[a] >= 4)?;
        (strides[last] > 1 && self.walk.dims[last] >= 4).then_some(along)
    }

    /// A copy by blocks of the innermost dimension and the one that is contiguous in the input. A
    /// task is a part of what lies from that dimension inwards.
    fn transpose<T: Pod + Send + Sync>(
        &self,
        run: &Run<'_>,
        from: &[T],
        out: &mut [T],
        along: usize,
    ) -> Result<(), Fault> {
        let (dims, strides) = (&self.walk.dims, &self.walk.strides[0]);
        let inner = self.walk.inner();
        // From one index of the contiguous dimension to the next in the output; its slab.
        let step: usize = dims[along + 1..].iter().product();
        let slab = step * dims[along];
        let lines = step / inner;
        let mut bands = Vec::new();
        for (i, slab) in out.chunks_mut(slab).enumerate() {
            bands.extend(slab.chunks_mut(SIDE * step).enumerate().map(|(j, band)| (i, j * SIDE, band)));
        }
        let stride = strides[dims.len() - 1] as usize;
        run.each(bands, |_, (i, first, band)| {
            for line in 0..lines {
                let base = self.start as isize + self.walk.offset(0, i * slab + line * inner);
                let from = &from[base as usize + first..];
                #[cfg(target_arch = "x86_64")]
                if let Level::Avx512(simd) = run.level
                    && size_of::<T>() == size_of::<f32>()
                {
                    let (from, size) = ((bytemuck::cast_slice(from), stride), (inner, band.len() / step));
                    let out = (&mut bytemuck::cast_slice_mut(band)[line * inner..], step);
                    simd.vectorize(Turn { simd, from, size, out });
                    continue;
                }
                for columns in (0..inner).step_by(SIDE) {
                    let width = SIDE.min(inner - columns);
                    for (j, out) in band.chunks_exact_mut(step).enumerate() {
                        let out = &mut out[line * inner + columns..][..width];
                        let from = from[columns * stride + j..].iter().step_by(stride);
                        out.iter_mut().zip(from).for_each(|(o, v)| *o = *v);
                    }
                }
            }
        })
    }
}

impl Kernel for StridedCopy {
    fn run(&self, run: &Run<'_>, io: Io<'_, '_>) -> Result<(), Fault> {
        match self.element {
            1 => self.copy::<u8>(run, io),
            2 => self.copy::<u16>(run, io),
            4 => self.copy::<u32>(run, io),
            _ => self.copy::<u64>(run, io),
        }
    }
}

/// Inputs joined along an axis.
pub(crate) struct Concat {
    /// For each input, the bytes from its axis inwards.
    pub(crate) parts: Vec<usize>,
}

impl Kernel for Concat {
    fn run(&self, run: &Run<'_>, io: Io<'_, '_>) -> Result<(), Fault> {
        let row: usize = self.parts.iter().sum();
        let rows = (4 * TASK / row.max(1)).max(1);
        let inputs = io.inputs;
        run.chunks(&mut *io.outputs[0], rows * row, |task, out| {
            for (i, out) in out.chunks_exact_mut(row.max(1)).enumerate() {
                let mut at = 0;
                for (&part, view) in self.parts.iter().zip(inputs) {
                    let from = (task * rows + i) * part;
                    out[at..at + part].copy_from_slice(&view.bytes[from..from + part]);
                    at += part;
                }
            }
        })
    }
}

/// Each element read where the maps of its indices say, one map an axis: Pad, nearest Resize.
pub(crate) struct MappedCopy {
    pub(crate) element: usize,
    /// For each axis, the offset in elements that each index reads at, or `None` for the filler.
    pub(crate) maps: Vec<Vec<Option<usize>>>,
    /// The bytes of the filler.
    pub(crate) filler: Vec<u8>,
}

impl MappedCopy {
    fn copy<T: Pod + Send + Sync>(&self, run: &Run<'_>, mut io: Io<'_, '_>) -> Result<(), Fault> {
        let from: &[T] = io.inputs[0].of();
        let filler: T = bytemuck::pod_read_unaligned(&self.filler);
        let Some((inner, outer)) = self.maps.split_last() else {
            io.out::<T>().copy_from_slice(from);
            return Ok(());
        };
        let rows = (TASK / inner.len().max(1)).max(1);
        run.chunks(io.out::<T>(), rows * inner.len(), |task, out| {
            for (i, out) in out.chunks_exact_mut(inner.len().max(1)).enumerate() {
                match row_offset(outer, task * rows + i) {
                    None => out.fill(filler),
                    Some(base) => {
                        let row = &from[base..];
                        for (o, map) in out.iter_mut().zip(inner) {
                            *o = match map {
                                Some(offset) => row[*offset],
                                None => filler,
                            };
                        }
                    }
                }
            }
        })
    }
}

/// The sum of the offsets of a flat index of the outer axes; `None` where any is the filler.
fn row_offset(outer: &[Vec<Option<usize>>], mut flat: usize) -> Option<usize> {
    let mut offset = 0;
    for map in outer.iter().rev() {
        offset += map[flat % map.len()]?;
        flat /= map.len();
    }
    Some(offset)
}

impl Kernel for MappedCopy {
    fn run(&self, run: &Run<'_>, io: Io<'_, '_>) -> Result<(), Fault> {
        match self.element {
            1 => self.copy::<u8>(run, io),
            2 => self.copy::<u16>(run, io),
            4 => self.copy::<u32>(run, io),
            _ => self.copy::<u64>(run, io),
        }
    }
}
