//! Attention heads in the two layouts that Attention and RotaryEmbedding take.

use super::util;
use crate::{Attrs, OpError, TensorDesc};

/// A tensor of heads: rank 4 is [B, H, L, D], rank 3 is [B, L, H * D].
#[derive(Clone, Copy, Debug)]
pub(super) struct Heads {
    pub(super) batch: usize,
    pub(super) heads: usize,
    pub(super) length: usize,
    pub(super) size: usize,
    packed: bool,
}

impl Heads {
    /// Reads the layout of the tensor called `what`; `heads_attr` names the attribute that gives the
    /// number of heads.
    pub(super) fn of(what: &str, x: &TensorDesc, attrs: &Attrs, heads_attr: &str) -> Result<Self, OpError> {
        let given = attrs.opt_int(heads_attr)?.map(|n| util::positive(heads_attr, n)).transpose()?;
        match (x.shape.as_slice(), given) {
            (&[batch, heads, length, size], None) => Ok(Self { batch, heads, length, size, packed: false }),
            (&[batch, heads, length, size], Some(n)) if n == heads => {
                Ok(Self { batch, heads, length, size, packed: false })
            }
            (&[_, heads, _, _], Some(n)) => Err(OpError::attribute(
                heads_attr,
                format!("{n} is given, but {what} is {x} with {heads} heads"),
            )),
            (&[batch, length, width], Some(heads)) if width % heads == 0 => {
                Ok(Self { batch, heads, length, size: width / heads, packed: true })
            }
            (&[_, _, width], Some(heads)) => Err(OpError::attribute(
                heads_attr,
                format!("{what} is {x}, whose last axis of {width} does not divide into {heads} heads"),
            )),
            (&[_, _, _], None) => {
                Err(OpError::attribute(heads_attr, format!("missing; {what} is {x}, and rank 3 needs it")))
            }
            _ => Err(OpError::invalid(format!("{what} is {x}, but must be [B, H, L, D] or [B, L, H * D]"))),
        }
    }

    /// The same layout with other sizes.
    pub(super) fn with_size(self, size: usize) -> Self {
        Self { size, ..self }
    }

    /// The shape of a tensor in this layout.
    pub(super) fn shape(&self) -> Result<Vec<usize>, OpError> {
        if !self.packed {
            return Ok(vec![self.batch, self.heads, self.length, self.size]);
        }
        let width = self.heads.checked_mul(self.size);
        let width = width.ok_or_else(|| OpError::invalid("the result is larger than any memory"))?;
        Ok(vec![self.batch, self.length, width])
    }

    /// The flat offset of an element.
    pub(super) fn at(&self, b: usize, h: usize, l: usize, d: usize) -> usize {
        let row = if self.packed {
            (b * self.length + l) * self.heads + h
        } else {
            (b * self.heads + h) * self.length + l
        };
        row * self.size + d
    }

    /// True for the layout of rank 3.
    pub(super) fn packed(&self) -> bool {
        self.packed
    }
}
