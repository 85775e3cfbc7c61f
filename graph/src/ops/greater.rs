use super::elementwise;
use crate::OpDef;

pub(super) static DEF: OpDef = OpDef {
    name: "Greater",
    doc: "True where the first tensor is above the second, element by element, with broadcasting; false for NaN.",
    reference: |args| elementwise::truth(args, |a, b| a > b),
    ..elementwise::COMPARISON
};
