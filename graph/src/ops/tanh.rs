use super::elementwise::{self, tanh_units};
use super::util;
use crate::{Bound, OpDef};

pub(super) static DEF: OpDef = OpDef {
    name: "Tanh",
    doc: "The hyperbolic tangent, element by element.",
    reference: |args| elementwise::map(args, f64::tanh),
    bound: Bound::Scaled(|args, outputs| elementwise::bound(args, outputs, tanh_units)),
    flops: |_, outputs| util::cost(outputs, 5),
    ..elementwise::UNARY
};
