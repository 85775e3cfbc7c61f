//! The op table: one file an op, one row in [`OPS`].
//!
//! To add an op, write `ops/<name>.rs` with a `pub(super) static DEF: OpDef`, add its row here, its
//! goldens to `tests/goldens/make.py`, and its cases to `conformance/cases/<name>.toml`; the tests of
//! the table say what is missing.
//!
//! A reference starts from the op's own inference (`util::output_of`), so it refuses what inference
//! refuses. Bounds follow one rule: sums, statistics and coordinates are kept in f32 at least,
//! every other step may be rounded to the type (`util::accumulated`).

mod abs;
mod add;
mod and;
mod arg_max;
mod attention;
mod cast;
mod clip;
mod concat;
mod constant;
mod conv;
mod conv_transpose;
mod cos;
mod div;
mod docs;
mod elementwise;
mod equal;
mod erf;
mod exact;
mod exp;
mod expand;
mod floor;
mod gather;
mod gelu;
mod geometry;
mod greater;
mod group_normalization;
mod heads;
mod identity;
mod iota;
mod layer_normalization;
mod leaky_relu;
mod less;
mod linear;
mod log;
mod mat_mul;
mod max;
mod min;
mod mul;
mod neg;
mod norm;
mod not;
mod or;
mod pad;
mod pow;
mod reciprocal;
mod reduce;
mod reduce_max;
mod reduce_mean;
mod reduce_min;
mod reduce_sum;
mod relative_buckets;
mod relu;
mod reshape;
mod resize;
mod rms_normalization;
mod rotary_embedding;
mod round;
mod sigmoid;
mod sin;
mod sinusoidal_embedding;
mod slice;
mod snake;
mod softmax;
mod softplus;
mod split;
mod sqrt;
mod sub;
mod swish;
mod tanh;
mod tile;
mod transpose;
mod util;
mod where_;

use crate::{Args, Attrs, Limits, OpDef, OpError, Tensor, TensorDesc};

pub use docs::markdown;

/// Every op, in the order of names.
pub static OPS: &[&OpDef] = &[
    &abs::DEF,
    &add::DEF,
    &and::DEF,
    &arg_max::DEF,
    &attention::DEF,
    &cast::DEF,
    &clip::DEF,
    &concat::DEF,
    &constant::DEF,
    &conv::DEF,
    &conv_transpose::DEF,
    &cos::DEF,
    &div::DEF,
    &equal::DEF,
    &erf::DEF,
    &exp::DEF,
    &expand::DEF,
    &floor::DEF,
    &gather::DEF,
    &gelu::DEF,
    &greater::DEF,
    &group_normalization::DEF,
    &identity::DEF,
    &iota::DEF,
    &layer_normalization::DEF,
    &leaky_relu::DEF,
    &less::DEF,
    &linear::DEF,
    &log::DEF,
    &mat_mul::DEF,
    &max::DEF,
    &min::DEF,
    &mul::DEF,
    &neg::DEF,
    &not::DEF,
    &or::DEF,
    &pad::DEF,
    &pow::DEF,
    &rms_normalization::DEF,
    &reciprocal::DEF,
    &reduce_max::DEF,
    &reduce_mean::DEF,
    &reduce_min::DEF,
    &reduce_sum::DEF,
    &relu::DEF,
    &reshape::DEF,
    &resize::DEF,
    &rotary_embedding::DEF,
    &round::DEF,
    &sigmoid::DEF,
    &sin::DEF,
    &slice::DEF,
    &snake::DEF,
    &softmax::DEF,
    &softplus::DEF,
    &split::DEF,
    &sqrt::DEF,
    &sub::DEF,
    &swish::DEF,
    &tanh::DEF,
    &tile::DEF,
    &transpose::DEF,
    &where_::DEF,
    &exact::elementwise::ADD,
    &exact::attention::ATTENTION,
    &exact::conv::CONV,
    &exact::elementwise::COS,
    &exact::elementwise::EXP,
    &exact::elementwise::FLUSH,
    &exact::elementwise::GELU,
    &exact::norm::LAYER,
    &exact::products::LINEAR,
    &exact::products::MAT_MUL,
    &exact::elementwise::MUL,
    &exact::norm::RMS,
    &exact::elementwise::SIGMOID,
    &exact::elementwise::SIN,
    &exact::attention::SOFTMAX,
    &exact::elementwise::SUB,
    &exact::elementwise::SWISH,
    &exact::elementwise::TANH,
    &relative_buckets::DEF,
    &sinusoidal_embedding::DEF,
];

/// The row of that name, if there is one.
pub fn find(name: &str) -> Option<&'static OpDef> {
    OPS.binary_search_by(|op| op.name.cmp(name)).ok().map(|i| OPS[i])
}

/// Infers the outputs of one node: limits, arity, types, and the op's own rule.
///
/// # Errors
/// What does not fit, and what would.
pub fn infer(
    op: &'static OpDef,
    inputs: &[Option<&TensorDesc>],
    attrs: &Attrs,
    limits: &Limits,
) -> Result<Vec<TensorDesc>, OpError> {
    inputs.iter().flatten().try_for_each(|desc| limits.check(desc))?;
    crate::infer::infer(op, inputs, attrs, limits)
}

/// Runs the reference of one node on data that inference accepts.
///
/// # Errors
/// Those of [`infer`] under the default limits, and data outside the op's domain, such as an index
/// outside an axis.
pub fn evaluate(
    op: &'static OpDef,
    inputs: &[Option<&Tensor>],
    attrs: &Attrs,
) -> Result<Vec<Tensor>, OpError> {
    let descs: Vec<Option<&TensorDesc>> = inputs.iter().map(|t| t.map(Tensor::desc)).collect();
    infer(op, &descs, attrs, &Limits::default())?;
    (op.reference)(&Args { op, inputs, attrs })
}

/// The known op whose name is nearest to a misspelt one, if one is near.
pub fn suggest(name: &str) -> Option<&'static str> {
    crate::nearest(name, OPS.iter().map(|op| op.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AttrDefault, AttrKind};

    #[test]
    fn names_are_unique_and_sorted() {
        for pair in OPS.windows(2) {
            assert!(pair[0].name < pair[1].name, "{} must come before {}", pair[1].name, pair[0].name);
        }
    }

    #[test]
    fn every_op_and_attribute_is_documented() {
        for op in OPS {
            assert!(op.doc.trim().ends_with('.'), "{}: the doc is a sentence", op.name);
            assert!(!op.outputs.is_empty(), "{}", op.name);
            for attr in op.attrs {
                assert!(attr.doc.trim().ends_with('.'), "{}.{}: the doc is a sentence", op.name, attr.name);
            }
        }
    }

    #[test]
    fn defaults_are_of_their_kind_and_names_are_unique() {
        for op in OPS {
            for (i, attr) in op.attrs.iter().enumerate() {
                let what = format!("{}.{}", op.name, attr.name);
                let fits = match (attr.default, attr.kind) {
                    (AttrDefault::Required | AttrDefault::Absent, _)
                    | (AttrDefault::Int(_), AttrKind::Int)
                    | (AttrDefault::Float(_), AttrKind::Float)
                    | (AttrDefault::Bool(_), AttrKind::Bool)
                    | (AttrDefault::Ints(_), AttrKind::Ints) => true,
                    (AttrDefault::Str(word), AttrKind::Choice(words)) => words.contains(&word),
                    _ => false,
                };
                assert!(fits, "{what}: the default {:?} is not {}", attr.default, attr.kind);
                assert!(op.attrs[..i].iter().all(|a| a.name != attr.name), "{what} is listed twice");
            }
        }
    }

    #[test]
    fn only_the_last_input_is_variadic_and_optional_ones_come_last() {
        for op in OPS {
            for pair in op.inputs.windows(2) {
                assert!(!pair[0].variadic, "{}: {}", op.name, pair[0].name);
                assert!(pair[0].required || !pair[1].required, "{}: {}", op.name, pair[1].name);
            }
        }
    }

    #[test]
    fn find_and_suggest() {
        assert_eq!(find("Linear").map(|op| op.name), Some("Linear"));
        assert!(find("linear").is_none());
        assert_eq!(suggest("Linaer"), Some("Linear"));
        assert_eq!(suggest("CompletelyDifferent"), None);
    }
}
