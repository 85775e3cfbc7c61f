use super::{elementwise, util};
use crate::{Bound, OpDef};

pub(super) static DEF: OpDef = OpDef {
    name: "Mul",
    doc: "The product of two tensors, element by element, with broadcasting. Integers wrap around.",
    reference: |args| elementwise::arithmetic(args, |a, b| a * b, i128::wrapping_mul),
    // One rounding.
    bound: Bound::Scaled(|_, outputs| Ok(util::relative(outputs, 1.0))),
    ..elementwise::BINARY
};
