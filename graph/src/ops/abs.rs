use super::elementwise::{self, wrap};
use crate::{InputSpec, OpDef, Types};

pub(super) static DEF: OpDef = OpDef {
    name: "Abs",
    doc: "The absolute value, element by element. Integers wrap around: the least one stays negative.",
    inputs: &[InputSpec::required("X", Types::Number)],
    reference: |args| {
        let dtype = args.input(0)?.dtype();
        elementwise::map(
            args,
            |x| if dtype.is_int() { wrap(dtype, (x as i128).wrapping_abs()) } else { x.abs() },
        )
    },
    ..elementwise::UNARY
};
