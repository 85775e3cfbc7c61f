use super::{elementwise, util};
use crate::{AttrDefault, AttrKind, AttrSpec, InputSpec, OpDef, Types};

pub(super) static DEF: OpDef = OpDef {
    name: "Cast",
    doc: "Converts to another element type. Floats round to nearest even and overflow to infinity; \
          integers truncate towards zero and saturate, from floats and from wider integers alike, and \
          NaN becomes 0; bool is \"not zero\". The reference rounds too, so that the result is exact \
          and everything after it sees the values that a device sees.",
    inputs: &[InputSpec::required("X", Types::Any)],
    attrs: &[AttrSpec {
        name: "to",
        kind: AttrKind::Choice(util::DTYPES),
        default: AttrDefault::Required,
        doc: "The element type of the result.",
    }],
    infer: |args| Ok(vec![args.input(0)?.with_dtype(util::dtype(args.attrs, "to")?)]),
    reference: |args| {
        let desc = util::output_of(args)?;
        let data = args.input(0)?.data().iter().map(|&v| desc.dtype.quantize(v)).collect();
        Ok(vec![crate::Tensor::new(desc, data)?])
    },
    flops: util::flops_none,
    ..elementwise::UNARY
};
