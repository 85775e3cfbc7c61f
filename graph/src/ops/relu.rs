use super::elementwise;
use crate::OpDef;

pub(super) static DEF: OpDef = OpDef {
    name: "Relu",
    doc: "The larger of x and 0, element by element; NaN stays NaN.",
    reference: |args| elementwise::map(args, |x| if x < 0.0 { 0.0 } else { x }),
    ..elementwise::UNARY
};
