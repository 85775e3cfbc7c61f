use super::elementwise::{self, exp_units};
use super::util;
use crate::{Bound, OpDef};

pub(super) static DEF: OpDef = OpDef {
    name: "Exp",
    doc: "e to the power of x, element by element.",
    reference: |args| elementwise::map(args, f64::exp),
    bound: Bound::Scaled(|args, outputs| elementwise::bound(args, outputs, |x, y| exp_units(x) * y)),
    flops: |_, outputs| util::cost(outputs, 2),
    ..elementwise::UNARY
};
