use super::elementwise;
use crate::OpDef;

pub(super) static DEF: OpDef = OpDef {
    name: "Round",
    doc: "The nearest whole number, element by element; halves go to the even one.",
    reference: |args| elementwise::map(args, f64::round_ties_even),
    ..elementwise::UNARY
};
