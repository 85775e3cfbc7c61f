use super::elementwise;
use crate::OpDef;

pub(super) static DEF: OpDef = OpDef {
    name: "Floor",
    doc: "The largest whole number not above x, element by element.",
    reference: |args| elementwise::map(args, f64::floor),
    ..elementwise::UNARY
};
