//! Slices of a table picked by indices.

use kinograph_graph::DType;

use crate::kernels::integer::read;
use crate::memory::Floats;
use crate::run::{Fault, Io, Kernel, Run};

/// Gather: `[.., axis, inner]` by indices to `[.., indices, inner]`.
pub(crate) struct Gather {
    pub(crate) axis: usize,
    pub(crate) inner: usize,
    /// The output's type; the table may be of another float type, and is then widened to `f32`.
    pub(crate) output: DType,
}

impl Gather {
    fn positions(&self, io: &Io<'_, '_>) -> Result<Vec<usize>, Fault> {
        let indices = io.inputs[1];
        let count = indices.bytes.len() / indices.dtype.size();
        let wrap = |i: usize| {
            let index = read(indices, i);
            let wrapped = if index < 0 { index.saturating_add(self.axis as i64) } else { index };
            usize::try_from(wrapped).ok().filter(|&p| p < self.axis).ok_or_else(|| {
                Fault::Data(format!("index {index} is outside the axis, which has {} entries", self.axis))
            })
        };
        (0..count).map(wrap).collect()
    }
}

impl Kernel for Gather {
    fn run(&self, run: &Run<'_>, io: Io<'_, '_>) -> Result<(), Fault> {
        let positions = self.positions(&io)?;
        let table = io.inputs[0];
        let row = self.inner * self.output.size();
        if row == 0 || positions.is_empty() {
            return Ok(());
        }
        let rows = ((1 << 16) / row).max(1);
        run.chunks(&mut *io.outputs[0], rows * row, |task, out| {
            for (i, out) in out.chunks_exact_mut(row).enumerate() {
                let at = task * rows + i;
                let (outer, picked) = (at / positions.len(), positions[at % positions.len()]);
                let from = (outer * self.axis + picked) * self.inner;
                if table.dtype == self.output {
                    out.copy_from_slice(&table.bytes[from * self.output.size()..][..row]);
                } else {
                    Floats::of(table).slice(from, self.inner).widen_into(bytemuck::cast_slice_mut(out));
                }
            }
        })
    }
}
