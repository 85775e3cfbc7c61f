//! Bounds on what a graph file may ask for, checked before anything is allocated.

use crate::{OpError, TensorDesc};

/// Limits on parsing, expansion and inference. The defaults hold every published video model with
/// room to spare, and keep the cost of a hostile file small: under a second and some hundred megabytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of one graph file.
    pub file_bytes: usize,
    /// Nodes after expansion of modules and `repeat`.
    pub nodes: usize,
    /// Weights after expansion.
    pub weights: usize,
    /// Values after expansion: inputs, weights and outputs of nodes.
    pub values: usize,
    /// Files that one file includes.
    pub includes: usize,
    /// Depth of modules using modules.
    pub depth: usize,
    /// Dimensions of one tensor.
    pub rank: usize,
    /// Elements of one tensor.
    pub elements: usize,
    /// Entries of one list or table: inputs, outputs, parameters, attribute values.
    pub list: usize,
    /// Bytes of one name after expansion.
    pub name_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 4 << 20,
            nodes: 1 << 16,
            weights: 1 << 16,
            values: 1 << 18,
            includes: 16,
            depth: 16,
            rank: 8,
            elements: 1 << 40,
            list: 1024,
            name_bytes: 512,
        }
    }
}

impl Limits {
    /// No limits, for graphs that were checked before.
    pub(crate) fn none() -> Self {
        let most = usize::MAX;
        Self {
            file_bytes: most,
            nodes: most,
            weights: most,
            values: most,
            includes: most,
            depth: most,
            rank: most,
            elements: most,
            list: most,
            name_bytes: most,
        }
    }

    /// Checks rank and number of elements.
    ///
    /// # Errors
    /// [`OpError::Invalid`] that names the limit.
    pub fn check(&self, desc: &TensorDesc) -> Result<(), OpError> {
        if desc.rank() > self.rank {
            return Err(OpError::invalid(format!("rank {} is over the limit of {}", desc.rank(), self.rank)));
        }
        // The product of the non-zero dimensions is bounded too, so that index arithmetic on an
        // empty tensor cannot overflow either.
        let product = desc.shape.iter().filter(|&&d| d != 0).try_fold(1usize, |n, &d| n.checked_mul(d));
        match product {
            Some(n) if n <= self.elements => Ok(()),
            _ => {
                Err(OpError::invalid(format!("{desc} has more elements than the limit of {}", self.elements)))
            }
        }
    }
}
