use super::elementwise;
use crate::{InputSpec, OpDef, Types};

pub(super) static DEF: OpDef = OpDef {
    name: "Equal",
    doc: "True where two tensors are equal, element by element, with broadcasting; NaN equals nothing.",
    inputs: &[InputSpec::required("A", Types::Any), InputSpec::required("B", Types::Any)],
    reference: |args| elementwise::truth(args, |a, b| a == b),
    ..elementwise::COMPARISON
};
