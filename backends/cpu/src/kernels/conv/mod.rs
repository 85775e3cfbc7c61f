//! Convolutions.
//!
//! [`direct`] is for every convolution: it reads a padded copy of a part of the input in place of
//! gathering what each tap meets; [`axis`] says what it finds where. [`gathered`] is for transposed ones, whose taps meet an element
//! only at some positions: it gathers a block of positions and multiplies. [`exact`] is for reproducible numerics.

pub(crate) mod axis;
pub(crate) mod direct;
pub(crate) mod exact;
pub(crate) mod gathered;
