use super::{elementwise, util};
use crate::{Bound, OpDef};

pub(super) static DEF: OpDef = OpDef {
    name: "Sub",
    doc: "The first tensor less the second, element by element, with broadcasting. Integers wrap around.",
    reference: |args| elementwise::arithmetic(args, |a, b| a - b, i128::wrapping_sub),
    // One rounding.
    bound: Bound::Scaled(|_, outputs| Ok(util::relative(outputs, 1.0))),
    ..elementwise::BINARY
};
