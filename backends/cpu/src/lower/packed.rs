//! Weights in pairs of whole numbers, made once for all executables of a device.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use kinograph_backend::{CompileError, Refusal, WeightView, check_weight};
use kinograph_graph::{DType, Source, ValueId};

use super::builder::{Builder, LowerError, Origin, Val, WeightSource};
use crate::kernels::exact::Precision;
use crate::memory::{Bytes, convert_floats};

/// Where the weight is, its name, how it is packed, and its packed size.
type Key = (usize, String, Precision, usize);

/// Packed weights that an executable still holds. An entry's executable also holds the weight that it was made from, so
/// its address stands for it.
#[derive(Default)]
pub(crate) struct PackedWeights(Mutex<HashMap<Key, Weak<Bytes>>>);

/// Packs one row into all pairs, and gives its unit: row number, cleaned or not, all pairs.
pub(super) type Pack<'p> = &'p mut dyn FnMut(usize, &mut [f32], &mut [i32]) -> f32;

impl Builder<'_> {
    /// A weight of so many rows of a length as so many pairs, and a unit for each row.
    pub(super) fn packed_weight(
        &mut self,
        id: ValueId,
        (rows, inner): (usize, usize),
        pairs: usize,
        precision: Precision,
        pack: Pack<'_>,
    ) -> Result<(Val, Val), LowerError> {
        if self.graph.value(id).source != Source::Weight {
            return Err(Refusal::Other("its weight is computed".into()).into());
        }
        let bytes = (pairs + rows) * size_of::<i32>();
        let content = match self.weights {
            WeightSource::Types(_) => Arc::new(Bytes::empty()),
            WeightSource::Bytes(weights) => {
                let value = self.graph.value(id);
                let view = check_weight(weights, &value.name, &value.desc)?;
                let key = (view.bytes.as_ptr() as usize, value.name.clone(), precision, pairs);
                let mut known = self.packed.0.lock().unwrap_or_else(PoisonError::into_inner);
                match known.get(&key).and_then(Weak::upgrade) {
                    Some(content) => content,
                    None => {
                        let content = Arc::new(packed(view, (rows, inner), pairs, pack)?);
                        known.retain(|_, content| content.strong_count() > 0);
                        known.insert(key, Arc::downgrade(&content));
                        content
                    }
                }
            }
        };
        let origin = self.add_constant(content, bytes);
        let all = self.add(DType::I32, bytes, origin);
        let part = |offset| Origin::Alias { of: all, offset };
        let packed = self.add(DType::I32, pairs * size_of::<i32>(), part(0));
        let units = self.add(DType::F32, rows * size_of::<f32>(), part(pairs * size_of::<i32>()));
        Ok((packed, units))
    }
}

/// A weight as so many pairs, then the units of its rows.
fn packed(
    view: WeightView<'_>,
    (rows, inner): (usize, usize),
    pairs: usize,
    pack: Pack<'_>,
) -> Result<Bytes, CompileError> {
    let mut content = Bytes::zeroed((pairs + rows) * size_of::<i32>())?;
    let (packed, units) = content.as_mut_slice().split_at_mut(pairs * size_of::<i32>());
    // No bytes may stand anywhere.
    let packed: &mut [i32] = if pairs == 0 { &mut [] } else { bytemuck::cast_slice_mut(packed) };
    let units: &mut [f32] = if rows == 0 { &mut [] } else { bytemuck::cast_slice_mut(units) };
    let stride = inner * view.dtype.size();
    for (r, unit) in units.iter_mut().enumerate() {
        let mut row = convert_floats(&view.bytes[r * stride..(r + 1) * stride], view.dtype, DType::F32)?;
        let row: &mut [f32] = if inner == 0 { &mut [] } else { bytemuck::cast_slice_mut(row.as_mut_slice()) };
        *unit = pack(r, row, packed);
    }
    Ok(content)
}
