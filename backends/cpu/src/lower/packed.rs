//! Weights in pairs of whole numbers, made once for all executables of a device.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use kinograph_backend::{CompileError, Refusal, WeightView, check_weight};
use kinograph_graph::{DType, Source, ValueId};

use super::builder::{Builder, LowerError, Origin, Val, WeightSource};
use crate::kernels::exact::Precision;
use crate::memory::{Bytes, Constant, Held, convert_floats};

/// Where the weight is, its name, how it is packed, and its packed size.
type Key = (usize, String, Precision, usize);

/// Packed weights of a device.
#[derive(Default)]
pub(crate) struct PackedWeights {
    /// Those that an executable still holds. It also holds the weight that they were made from, so its address stands for it.
    known: Mutex<HashMap<Key, Weak<Held>>>,
    /// Where they are kept for other processes and later ones.
    #[cfg(feature = "cache")]
    store: Option<crate::kept::Store>,
}

impl PackedWeights {
    /// Packed weights that are kept in a directory.
    #[cfg(feature = "cache")]
    pub(crate) fn kept_in(folder: &std::path::Path) -> Self {
        Self { store: Some(crate::kept::Store::new(folder)), ..Self::default() }
    }

    /// The packed weight: as it was kept, or made now. `layout` says how it is packed, `bytes` how much that takes.
    #[cfg_attr(not(feature = "cache"), allow(unused_variables))]
    fn content(
        &self,
        layout: &str,
        view: WeightView<'_>,
        bytes: usize,
        make: impl FnOnce() -> Result<Bytes, CompileError>,
    ) -> Result<Constant, CompileError> {
        #[cfg(feature = "cache")]
        if let Some(store) = self.store.as_ref().filter(|store| store.takes(bytes)) {
            let key = crate::kept::key(layout, view.bytes);
            if let Some(kept) = store.read(&key, bytes) {
                return Ok(Arc::new(kept));
            }
            let made = make()?;
            return Ok(match store.write(&key, made.as_slice()) {
                Some(kept) => Arc::new(kept),
                None => Arc::new(made),
            });
        }
        Ok(Arc::new(make()?))
    }
}

/// Packs one row into all pairs, and gives its unit: row number, cleaned or not, all pairs.
pub(super) type Pack<'p> = &'p mut dyn FnMut(usize, &mut [f32], &mut [i32]) -> f32;

impl Builder<'_> {
    /// A weight of so many rows of a length as so many pairs, and a unit for each row. `layout` tells packings of equal sizes apart.
    pub(super) fn packed_weight(
        &mut self,
        id: ValueId,
        layout: &str,
        (rows, inner): (usize, usize),
        pairs: usize,
        precision: Precision,
        pack: Pack<'_>,
    ) -> Result<(Val, Val), LowerError> {
        if self.graph.value(id).source != Source::Weight {
            return Err(Refusal::Other("its weight is computed".into()).into());
        }
        let bytes = (pairs + rows) * size_of::<i32>();
        let content: Constant = match self.weights {
            WeightSource::Types(_) => Arc::new(Bytes::empty()),
            WeightSource::Bytes(weights) => {
                let value = self.graph.value(id);
                let view = check_weight(weights, &value.name, &value.desc)?;
                let key = (view.bytes.as_ptr() as usize, value.name.clone(), precision, pairs);
                let mut known = self.packed.known.lock().unwrap_or_else(PoisonError::into_inner);
                match known.get(&key).and_then(Weak::upgrade) {
                    Some(content) => content,
                    None => {
                        let layout = format!("{layout} {rows} {inner} {pairs} {precision:?} {}", view.dtype);
                        let make = || packed(view, (rows, inner), pairs, pack);
                        let content = self.packed.content(&layout, view, bytes, make)?;
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
