//! Weights in a plan: in which type they are stored, how they lie on the device, and in how many parts.

use kinograph_backend::{CompileError, StoredTypes, Weights, check_weight};
use kinograph_graph::exact::Slices;
use kinograph_graph::{DType, Source, ValueId};

use super::builder::{Builder, LowerError, Origin};
use super::exact::Form;
use crate::layout::{Root, View};

/// Rows of a weight, and how they lie on the device.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct WeightPart {
    pub(crate) name: String,
    /// The type in the weight's file.
    pub(crate) stored: DType,
    /// The first byte in the file's tensor, and how many.
    pub(crate) first: usize,
    pub(crate) bytes: usize,
    pub(crate) lay: Lay,
}

/// How the elements of a weight lie on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lay {
    /// Each as the type that the graph declares has it, widened to its words.
    Wide(DType),
    /// As in the file.
    Packed,
    /// As in the file, but with so many last elements, the taps of a convolution, first: each tap of all channels together.
    ByTap(usize),
    /// As whole numbers.
    Whole(WholeWeight),
}

/// A weight of which each row of the first axis is in whole numbers: `[taps, rows, width]`, two bytes each, and behind them the units of
/// the rows. With [`Form::Halves`] that once for each slice, with room for [`BEYOND`](super::exact::BEYOND) more rows, and exponents for units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct WholeWeight {
    pub(crate) slices: Slices,
    pub(crate) channels: usize,
    pub(crate) taps: usize,
    /// The channels that are summed together; each chunk of them is padded to a multiple of eight.
    pub(crate) chunk: usize,
    pub(crate) form: Form,
}

impl WholeWeight {
    /// Where a channel stands in a row.
    pub(crate) fn position(&self, channel: usize) -> usize {
        channel / self.chunk * self.chunk.next_multiple_of(8) + channel % self.chunk
    }

    /// The elements of a row of one tap.
    pub(crate) fn width(&self) -> usize {
        self.channels
            .checked_sub(1)
            .map_or(0, |last| self.position(last) + 1)
            .next_multiple_of(self.form.step())
    }

    /// The word at which the units of so many rows begin.
    pub(crate) fn units(&self, rows: usize) -> usize {
        self.form.words(self.slices, rows * self.taps, self.width())
    }
}

/// Where a lowering learns of weights.
#[derive(Clone, Copy)]
pub(crate) enum WeightSource<'g> {
    Bytes(&'g dyn Weights),
    Types(StoredTypes<'g>),
    /// Nowhere: each is taken to be stored in the type that the graph declares.
    Declared,
}

impl Builder<'_> {
    /// The type that a weight is stored in.
    pub(super) fn stored(&self, id: ValueId) -> Result<DType, CompileError> {
        let name = &self.graph.value(id).name;
        match self.weights {
            WeightSource::Declared => Ok(self.desc(id).dtype),
            WeightSource::Bytes(weights) => Ok(check_weight(weights, name, self.desc(id))?.dtype),
            WeightSource::Types(stored) => {
                stored(name).ok_or_else(|| CompileError::MissingWeight(name.clone()))
            }
        }
    }

    pub(super) fn part(
        &self,
        id: ValueId,
        stored: DType,
        lay: Lay,
        first: usize,
        elements: usize,
    ) -> WeightPart {
        let name = self.graph.value(id).name.clone();
        let (first, bytes) = (first * stored.size(), elements * stored.size());
        WeightPart { name, stored, first, bytes, lay }
    }

    pub(super) fn part_root(&mut self, part: WeightPart, bytes: u64) -> Result<Root, LowerError> {
        if let Some(&root) = self.parts.get(&part) {
            return Ok(root);
        }
        let root = self.storage(bytes, Origin::Weight(part.clone()))?;
        self.parts.insert(part, root);
        Ok(root)
    }

    /// A float operand for a kernel that reads packed weights: in one part, or as many as its bindings need, each of
    /// whole rows of the first axis, with the first row of each.
    pub(crate) fn packed(&mut self, id: ValueId) -> Result<Vec<(View, usize)>, LowerError> {
        self.packed_by_tap(id, 1)
    }

    /// Whether [`packed`](Self::packed) gives what lies as in a file.
    pub(crate) fn is_packed(&self, id: ValueId) -> Result<bool, LowerError> {
        let declared = self.desc(id).dtype;
        if self.graph.value(id).source != Source::Weight || !declared.is_float() {
            return Ok(false);
        }
        // What is declared narrower than it is stored has to be rounded.
        Ok(declared == DType::F32 || declared == self.stored(id)?)
    }

    /// The same with so many taps, the last axes, before all else in each part, where the weight lies as in a file.
    pub(crate) fn packed_by_tap(
        &mut self,
        id: ValueId,
        taps: usize,
    ) -> Result<Vec<(View, usize)>, LowerError> {
        let desc = self.desc(id);
        if !self.is_packed(id)? {
            return Ok(vec![(self.view(id)?, 0)]);
        }
        let stored = self.stored(id)?;
        let lay = if taps > 1 { Lay::ByTap(taps) } else { Lay::Packed };
        let row = desc.elements() / desc.shape.first().copied().unwrap_or(1).max(1);
        let parts = self.by_rows(id, lay, |count| (count * row * stored.size()).max(1) as u64)?;
        let view = |(root, first, count): (Root, usize, usize)| {
            let mut shape = desc.shape.clone();
            if let Some(rows) = shape.first_mut() {
                *rows = count;
            }
            (View { packed: Some(stored), ..View::dense(root, DType::F32, &shape) }, first)
        };
        Ok(parts.into_iter().map(view).collect())
    }

    /// A weight as whole numbers, in as many parts as its bindings need, with the first row of each and how many there are.
    pub(crate) fn whole_weight(
        &mut self,
        id: ValueId,
        whole: WholeWeight,
    ) -> Result<Vec<(Root, usize, usize)>, LowerError> {
        self.by_rows(id, Lay::Whole(whole), |count| 4 * (whole.units(count) + count) as u64)
    }

    /// A weight in parts of whole rows of the first axis, each no larger than a binding: the storage of each, its first row and how many.
    /// `bytes` says what so many rows take on the device.
    fn by_rows(
        &mut self,
        id: ValueId,
        lay: Lay,
        bytes: impl Fn(usize) -> u64,
    ) -> Result<Vec<(Root, usize, usize)>, LowerError> {
        let desc = self.desc(id);
        let stored = self.stored(id)?;
        let rows = desc.shape.first().copied().unwrap_or(1).max(1);
        let row = desc.elements() / rows;
        // Beside its rows a part may have something of one size, and less than 16 bytes to the end of a word.
        let one = bytes(2) - bytes(1);
        let beside = bytes(1) - one;
        let most = (self.traits.binding.saturating_sub(16 + beside) / one.max(1)).max(1) as usize;
        let mut parts = Vec::new();
        for first in (0..rows).step_by(most) {
            let count = most.min(rows - first);
            let part = self.part(id, stored, lay, first * row, count * row);
            let root = self.part_root(part, bytes(count).next_multiple_of(16))?;
            parts.push((root, first, count));
        }
        Ok(parts)
    }
}
