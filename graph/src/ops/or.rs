use super::elementwise;
use crate::OpDef;

pub(super) static DEF: OpDef = OpDef {
    name: "Or",
    doc: "True where either of two truth values is true, element by element, with broadcasting.",
    reference: |args| elementwise::truth(args, |a, b| a != 0.0 || b != 0.0),
    ..elementwise::LOGICAL
};
