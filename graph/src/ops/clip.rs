use super::{elementwise, util};
use crate::{Args, AttrDefault, AttrKind, AttrSpec, Attrs, OpDef, OpError, TensorDesc};

pub(super) static DEF: OpDef = OpDef {
    name: "Clip",
    doc: "Limits each element to a range; NaN stays NaN. The limits are rounded to the type of X.",
    attrs: &[
        AttrSpec {
            name: "min",
            kind: AttrKind::Float,
            default: AttrDefault::Absent,
            doc: "The lower limit; without it there is none.",
        },
        AttrSpec {
            name: "max",
            kind: AttrKind::Float,
            default: AttrDefault::Absent,
            doc: "The upper limit; without it there is none.",
        },
    ],
    infer,
    reference: |args| {
        let dtype = args.input(0)?.dtype();
        let (min, max) = limits(args.attrs)?;
        let (min, max) = (dtype.quantize(min), dtype.quantize(max));
        elementwise::map(args, |x| {
            if x < min {
                min
            } else if x > max {
                max
            } else {
                x
            }
        })
    },
    ..elementwise::UNARY
};

fn infer(args: &Args<'_, TensorDesc>) -> Result<Vec<TensorDesc>, OpError> {
    limits(args.attrs)?;
    util::infer_like_first(args)
}

fn limits(attrs: &Attrs) -> Result<(f64, f64), OpError> {
    let min = attrs.opt_float("min")?.unwrap_or(f64::NEG_INFINITY);
    let max = attrs.opt_float("max")?.unwrap_or(f64::INFINITY);
    if min <= max {
        return Ok((min, max));
    }
    Err(OpError::attribute("min", format!("{min} is not below max, which is {max}")))
}
