use super::elementwise::{self, wrap};
use crate::{InputSpec, OpDef, Types};

pub(super) static DEF: OpDef = OpDef {
    name: "Neg",
    doc: "The negative, element by element. Integers wrap around: the least one is its own negative.",
    inputs: &[InputSpec::required("X", Types::Number)],
    reference: |args| {
        let dtype = args.input(0)?.dtype();
        elementwise::map(args, |x| if dtype.is_int() { wrap(dtype, (x as i128).wrapping_neg()) } else { -x })
    },
    ..elementwise::UNARY
};
