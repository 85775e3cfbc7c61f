use super::elementwise;
use crate::OpDef;

pub(super) static DEF: OpDef = OpDef {
    name: "Max",
    doc: "The larger of two tensors, element by element, with broadcasting; NaN if either is NaN.",
    reference: |args| elementwise::zip(args, |a, b| if a.is_nan() || a > b { a } else { b }),
    ..elementwise::BINARY
};
