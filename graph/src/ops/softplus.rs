use super::elementwise::{self, exp_units, sigmoid};
use super::util;
use crate::{Bound, OpDef};

pub(super) static DEF: OpDef = OpDef {
    name: "Softplus",
    doc: "log(1 + exp(x)), element by element, a smooth Relu.",
    reference: |args| elementwise::map(args, softplus),
    // The exponential's error through the slope of log(1 + t), the logarithm's own (absolute near 1,
    // see Log), the rounding of 1 + t and of the last addition.
    bound: Bound::Scaled(|args, outputs| {
        elementwise::bound(args, outputs, |x, y| {
            sigmoid(-x.abs()) * exp_units(x) + 6.0 * softplus(-x.abs()) + 8.0 + 1.0 + y.abs()
        })
    }),
    flops: |_, outputs| util::cost(outputs, 6),
    ..elementwise::UNARY
};

/// max(x, 0) + log(1 + exp(-|x|)), which neither overflows nor cancels.
fn softplus(x: f64) -> f64 {
    let positive = if x < 0.0 { 0.0 } else { x };
    positive + (-x.abs()).exp().ln_1p()
}
