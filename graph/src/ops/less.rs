use super::elementwise;
use crate::OpDef;

pub(super) static DEF: OpDef = OpDef {
    name: "Less",
    doc: "True where the first tensor is below the second, element by element, with broadcasting; false for NaN.",
    reference: |args| elementwise::truth(args, |a, b| a < b),
    ..elementwise::COMPARISON
};
