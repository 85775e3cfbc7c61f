use super::elementwise::{self, DIV_UNITS};
use super::util;
use crate::{Bound, OpDef};

pub(super) static DEF: OpDef = OpDef {
    name: "Div",
    doc: "The first tensor over the second, element by element, with broadcasting. Integers truncate \
          towards zero, and an integer over zero is 0 by definition; floats follow IEEE.",
    reference: |args| elementwise::arithmetic(args, |a, b| a / b, |a, b| a.checked_div(b).unwrap_or(0)),
    bound: Bound::Scaled(|_, outputs| Ok(util::relative(outputs, DIV_UNITS))),
    ..elementwise::BINARY
};
