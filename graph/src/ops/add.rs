use super::{elementwise, util};
use crate::{Bound, OpDef};

pub(super) static DEF: OpDef = OpDef {
    name: "Add",
    doc: "The sum of two tensors, element by element, with broadcasting. Integers wrap around.",
    reference: |args| elementwise::arithmetic(args, |a, b| a + b, i128::wrapping_add),
    // One rounding; the sum of two f32 in f64 is exact enough that the reference adds none.
    bound: Bound::Scaled(|_, outputs| Ok(util::relative(outputs, 1.0))),
    ..elementwise::BINARY
};
