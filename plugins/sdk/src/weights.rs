//! The host's weights, read where they lie.
#![allow(unsafe_code)]

use std::collections::HashMap;

use kinograph_backend::{WeightView, Weights};
use kinograph_graph::DType;

/// Weights in the host's memory.
#[derive(Default)]
pub(crate) struct HostWeights {
    tensors: HashMap<String, Stored>,
}

struct Stored {
    dtype: DType,
    shape: Vec<usize>,
    data: *const u8,
    bytes: usize,
}

// SAFETY: the host has the data stay valid and unchanged as long as the executable, which holds this; reading it needs no
// synchronisation.
unsafe impl Send for HostWeights {}
// SAFETY: as above.
unsafe impl Sync for HostWeights {}

impl HostWeights {
    /// Adds a weight.
    ///
    /// # Safety
    /// `data` leads to so many bytes, which stay valid and unchanged as long as this.
    pub(crate) unsafe fn insert(
        &mut self,
        name: &str,
        dtype: DType,
        shape: Vec<usize>,
        data: *const u8,
        bytes: usize,
    ) {
        self.tensors.insert(name.to_owned(), Stored { dtype, shape, data, bytes });
    }

    /// The type that a weight is stored in.
    pub(crate) fn dtype(&self, name: &str) -> Option<DType> {
        self.tensors.get(name).map(|stored| stored.dtype)
    }
}

impl Weights for HostWeights {
    fn get(&self, name: &str) -> Option<WeightView<'_>> {
        let stored = self.tensors.get(name)?;
        let bytes: &[u8] = if stored.data.is_null() {
            &[]
        } else {
            // SAFETY: what `insert` was promised.
            unsafe { std::slice::from_raw_parts(stored.data, stored.bytes) }
        };
        Some(WeightView { dtype: stored.dtype, shape: &stored.shape, bytes })
    }
}
