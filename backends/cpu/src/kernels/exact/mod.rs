//! Kernels of reproducible numerics: docs/reproducible.md to the bit, at every SIMD level.
//!
//! Operands of products become pairs of neighbouring terms, two whole numbers of 16 bits in one `i32`: what one instruction
//! multiplies and adds up. Weights are packed so when they are loaded, in two bytes each.

pub(crate) mod attention;
pub(crate) mod dot;
pub(crate) mod functions;
pub(crate) mod linear;
pub(crate) mod norm;
pub(crate) mod whole;

/// The most terms of one exact sum.
pub(crate) const CHUNK: usize = 1024;

/// How many slices of eight bits an operand has, as far as kernels see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Precision {
    One,
    Two,
}

impl Precision {
    pub(crate) fn of(slices: i64) -> Self {
        if slices == 1 { Precision::One } else { Precision::Two }
    }

    /// The largest whole number.
    pub(crate) fn limit(self) -> f32 {
        match self {
            Precision::One => 127.0,
            Precision::Two => 8127.0,
        }
    }

    /// The exponent by which numbers in [1, 2) are scaled at most.
    fn head(self) -> u32 {
        match self {
            Precision::One => 6,
            Precision::Two => 12,
        }
    }

    /// The pairs whose products fit `i32` beside a remainder of 13 bits: 16 * 2 * 8127^2 + 2^13 < 2^31.
    pub(crate) fn fold(self) -> usize {
        match self {
            Precision::One => CHUNK / 2,
            Precision::Two => 16,
        }
    }
}
