use super::{elementwise, util};
use crate::{InputSpec, OpDef, Types};

pub(super) static DEF: OpDef = OpDef {
    name: "Identity",
    doc: "The input, unchanged.",
    inputs: &[InputSpec::required("X", Types::Any)],
    reference: |args| elementwise::map(args, |x| x),
    flops: util::flops_none,
    ..elementwise::UNARY
};
