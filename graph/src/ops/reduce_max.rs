use super::reduce;
use crate::OpDef;

pub(super) static DEF: OpDef = OpDef {
    name: "ReduceMax",
    doc: "The largest element along axes, which must not be empty; NaN if any is NaN.",
    infer: reduce::infer_nonempty,
    reference: |args| {
        reduce::reduce(args, |values| {
            values.iter().fold(f64::NEG_INFINITY, |m, &v| if v.is_nan() || v > m { v } else { m })
        })
    },
    ..reduce::REDUCTION
};
