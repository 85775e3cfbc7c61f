use super::elementwise;
use crate::OpDef;

pub(super) static DEF: OpDef = OpDef {
    name: "And",
    doc: "True where both of two truth values are true, element by element, with broadcasting.",
    reference: |args| elementwise::truth(args, |a, b| a != 0.0 && b != 0.0),
    ..elementwise::LOGICAL
};
