//! Element by element.

use super::only_f32;
use crate::ops::elementwise::{BINARY, UNARY, map, zip};
use crate::{
    Args, AttrDefault, AttrKind, AttrSpec, InputSpec, OpDef, OpError, Tensor, TensorDesc, Types, exact,
};

const ONE: OpDef = OpDef { infer: infer_one, ..UNARY };
const TWO: OpDef = OpDef {
    inputs: &[InputSpec::required("A", Types::Float), InputSpec::required("B", Types::Float)],
    infer: infer_two,
    ..BINARY
};

fn infer_one(args: &Args<'_, TensorDesc>) -> Result<Vec<TensorDesc>, OpError> {
    only_f32(args.inputs.iter().flatten().copied())?;
    (UNARY.infer)(args)
}

fn infer_two(args: &Args<'_, TensorDesc>) -> Result<Vec<TensorDesc>, OpError> {
    only_f32(args.inputs.iter().flatten().copied())?;
    (BINARY.infer)(args)
}

fn one(args: &Args<'_, Tensor>, f: impl Fn(f32) -> f32) -> Result<Vec<Tensor>, OpError> {
    map(args, |x| f64::from(f(x as f32)))
}

fn two(args: &Args<'_, Tensor>, f: impl Fn(f32, f32) -> f32) -> Result<Vec<Tensor>, OpError> {
    zip(args, |a, b| f64::from(f(a as f32, b as f32)))
}

pub(in crate::ops) static FLUSH: OpDef = OpDef {
    name: "exact.Flush",
    doc: "Makes any number clean: NaN becomes 0, an infinity the largest number of its sign, what is below 2^-125 in \
          magnitude 0, and 0 loses its sign.",
    reference: |args| one(args, exact::flush),
    ..ONE
};

pub(in crate::ops) static ADD: OpDef = OpDef {
    name: "exact.Add",
    doc: "The sum, rounded once to nearest even, made clean; operands broadcast.",
    reference: |args| two(args, exact::add),
    ..TWO
};

pub(in crate::ops) static SUB: OpDef = OpDef {
    name: "exact.Sub",
    doc: "The difference, rounded once to nearest even, made clean; operands broadcast.",
    reference: |args| two(args, exact::sub),
    ..TWO
};

pub(in crate::ops) static MUL: OpDef = OpDef {
    name: "exact.Mul",
    doc: "The product, rounded once to nearest even, made clean; operands broadcast.",
    reference: |args| two(args, exact::mul),
    ..TWO
};

pub(in crate::ops) static SIGMOID: OpDef = OpDef {
    name: "exact.Sigmoid",
    doc: "1 / (1 + exp(-x)) by the steps of docs/reproducible.md.",
    reference: |args| one(args, exact::sigmoid),
    ..ONE
};

pub(in crate::ops) static SWISH: OpDef = OpDef {
    name: "exact.Swish",
    doc: "x * sigmoid(alpha * x) by the steps of docs/reproducible.md.",
    attrs: &[AttrSpec {
        name: "alpha",
        kind: AttrKind::Float,
        default: AttrDefault::Float(1.0),
        doc: "The steepness of the sigmoid, rounded to f32.",
    }],
    reference: |args| {
        let alpha = exact::flush(args.attrs.float("alpha")? as f32);
        one(args, |x| exact::swish(x, alpha))
    },
    ..ONE
};

pub(in crate::ops) static EXP: OpDef = OpDef {
    name: "exact.Exp",
    doc: "e^x by the steps of docs/reproducible.md; e^88 for what is above, 0 for what is not clean.",
    reference: |args| one(args, exact::exp_wide),
    ..ONE
};

pub(in crate::ops) static TANH: OpDef = OpDef {
    name: "exact.Tanh",
    doc: "The hyperbolic tangent by the steps of docs/reproducible.md.",
    reference: |args| one(args, exact::tanh),
    ..ONE
};

pub(in crate::ops) static GELU: OpDef = OpDef {
    name: "exact.Gelu",
    doc: "x times the normal distribution's cumulative function at x by the steps of docs/reproducible.md.",
    attrs: &[AttrSpec {
        name: "approximate",
        kind: AttrKind::Choice(&["none", "tanh"]),
        default: AttrDefault::Str("none"),
        doc: "`none` or `tanh`, as of Gelu.",
    }],
    reference: |args| match args.attrs.str("approximate")? {
        "tanh" => one(args, exact::gelu_tanh),
        _ => one(args, exact::gelu),
    },
    ..ONE
};

pub(in crate::ops) static SIN: OpDef = OpDef {
    name: "exact.Sin",
    doc: "The sine of an angle in radians by the steps of docs/reproducible.md.",
    reference: |args| one(args, |x| exact::sin_cos(x).0),
    ..ONE
};

pub(in crate::ops) static COS: OpDef = OpDef {
    name: "exact.Cos",
    doc: "The cosine of an angle in radians by the steps of docs/reproducible.md.",
    reference: |args| one(args, |x| exact::sin_cos(x).1),
    ..ONE
};
