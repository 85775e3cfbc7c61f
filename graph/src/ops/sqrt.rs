use super::elementwise::{self, SQRT_UNITS};
use super::util;
use crate::{Bound, OpDef};

pub(super) static DEF: OpDef = OpDef {
    name: "Sqrt",
    doc: "The square root, element by element: NaN below 0.",
    reference: |args| elementwise::map(args, f64::sqrt),
    bound: Bound::Scaled(|_, outputs| Ok(util::relative(outputs, SQRT_UNITS))),
    ..elementwise::UNARY
};
