use super::elementwise::{self, DIV_UNITS};
use super::util;
use crate::{Bound, OpDef};

pub(super) static DEF: OpDef = OpDef {
    name: "Reciprocal",
    doc: "1 / x, element by element.",
    reference: |args| elementwise::map(args, f64::recip),
    bound: Bound::Scaled(|_, outputs| Ok(util::relative(outputs, DIV_UNITS))),
    ..elementwise::UNARY
};
