use super::elementwise::{self, sigmoid, sigmoid_units};
use super::util;
use crate::{Bound, OpDef};

pub(super) static DEF: OpDef = OpDef {
    name: "Sigmoid",
    doc: "1 / (1 + exp(-x)), element by element.",
    reference: |args| elementwise::map(args, sigmoid),
    bound: Bound::Scaled(|args, outputs| elementwise::bound(args, outputs, |x, y| sigmoid_units(x) * y)),
    flops: |_, outputs| util::cost(outputs, 4),
    ..elementwise::UNARY
};
