use super::{elementwise, util};
use crate::{Bound, OpDef};

pub(super) static DEF: OpDef = OpDef {
    name: "Log",
    doc: "The natural logarithm, element by element: -inf at 0, NaN below.",
    reference: |args| elementwise::map(args, f64::ln),
    // 3 ULP, and near 1, where the result crosses zero, 2^-21 in f32: what Vulkan and WGSL allow.
    bound: Bound::Scaled(|args, outputs| elementwise::bound(args, outputs, |_, y| 6.0 * y.abs() + 8.0)),
    flops: |_, outputs| util::cost(outputs, 2),
    ..elementwise::UNARY
};
