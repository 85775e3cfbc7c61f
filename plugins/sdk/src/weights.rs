//! The host's weights, read where they lie.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use kinograph_backend::{WeightView, Weights};
use kinograph_graph::DType;

/// Weights in the host's memory.
#[derive(Default)]
pub(crate) struct HostWeights {
    tensors: HashMap<String, Stored>,
    /// True once the host may have given the memory back: nothing is found any more.
    gone: AtomicBool,
}

struct Stored {
    dtype: DType,
    shape: Vec<usize>,
    data: *const u8,
    bytes: usize,
}

// SAFETY: the host has the data stay valid and unchanged as long as the executable, at whose end access ends; reading it needs
// no synchronisation.
unsafe impl Send for HostWeights {}
// SAFETY: as above.
unsafe impl Sync for HostWeights {}

impl HostWeights {
    /// Adds a weight.
    ///
    /// # Safety
    /// `data` leads to so many bytes, which stay valid and unchanged until [`end`](Self::end) is called.
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

    /// Ends access to the data, for backends that keep the weights longer than the executable.
    pub(crate) fn end(&self) {
        self.gone.store(true, Ordering::SeqCst);
    }

    /// The type that a weight is stored in.
    pub(crate) fn dtype(&self, name: &str) -> Option<DType> {
        self.tensors.get(name).map(|stored| stored.dtype)
    }
}

impl Weights for HostWeights {
    fn get(&self, name: &str) -> Option<WeightView<'_>> {
        if self.gone.load(Ordering::SeqCst) {
            return None;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_found_after_the_end() {
        let (data, mut weights) = ([1u8, 2], HostWeights::default());
        // SAFETY: the data outlive the weights.
        unsafe { weights.insert("w", DType::U8, vec![2], data.as_ptr(), data.len()) };
        assert_eq!(weights.get("w").unwrap().bytes, data);
        assert!(weights.get("v").is_none());
        weights.end();
        assert!(weights.get("w").is_none());
    }
}
