use super::elementwise::{self, angle_units};
use super::util;
use crate::{Bound, OpDef};

pub(super) static DEF: OpDef = OpDef {
    name: "Cos",
    doc: "The cosine of an angle in radians, element by element: NaN at the infinities.",
    reference: |args| elementwise::map(args, f64::cos),
    bound: Bound::Scaled(|args, outputs| {
        elementwise::bound(args, outputs, |x, y| angle_units(x, 0.0, y, x.sin()))
    }),
    flops: |_, outputs| util::cost(outputs, 2),
    ..elementwise::UNARY
};
