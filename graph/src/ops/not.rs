use super::{elementwise, util};
use crate::{InputSpec, OpDef, Types};

pub(super) static DEF: OpDef = OpDef {
    name: "Not",
    doc: "True where the input is false, element by element.",
    inputs: &[InputSpec::required("X", Types::Bool)],
    reference: |args| elementwise::map(args, |x| f64::from(u8::from(x == 0.0))),
    flops: util::flops_none,
    ..elementwise::UNARY
};
