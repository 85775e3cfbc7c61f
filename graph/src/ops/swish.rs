use super::elementwise::{self, sigmoid, sigmoid_units};
use super::util;
use crate::{Args, AttrDefault, AttrKind, AttrSpec, Bound, OpDef, OpError, Tensor};

pub(super) static DEF: OpDef = OpDef {
    name: "Swish",
    doc: "x * sigmoid(alpha * x), element by element; at alpha = 1 it is SiLU. The limit at -inf is 0.",
    attrs: &[AttrSpec {
        name: "alpha",
        kind: AttrKind::Float,
        default: AttrDefault::Float(1.0),
        doc: "The steepness of the sigmoid.",
    }],
    reference: |args| {
        let alpha = args.attrs.float("alpha")?;
        elementwise::map(args, |x| swish(alpha, x))
    },
    bound: Bound::Scaled(bound),
    flops: |_, outputs| util::cost(outputs, 6),
    ..elementwise::UNARY
};

fn swish(alpha: f64, x: f64) -> f64 {
    let gate = sigmoid(alpha * x);
    // Where the gate closes entirely the limit is 0; the formula would give inf * 0.
    if gate == 0.0 && !x.is_nan() { 0.0 } else { x * gate }
}

/// The sigmoid's error on alpha * x, which is rounded twice (alpha and the product; the part of the
/// sigmoid that this reaches is its share in `sigmoid_units`), and a product. A sigmoid flushed to
/// zero is off by the floor, which x then scales.
fn bound(args: &Args<'_, Tensor>, outputs: &[Tensor]) -> Result<Vec<Vec<f64>>, OpError> {
    let alpha = args.attrs.float("alpha")?;
    let floor = util::floor(outputs[0].dtype());
    elementwise::bound(args, outputs, |x, y| {
        let z = alpha * x;
        (sigmoid_units(z) + sigmoid(-z) * 2.0 * z.abs() + 1.0) * y.abs() + floor * x.abs()
    })
}
