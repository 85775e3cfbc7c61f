use super::elementwise::{self, exp_units};
use super::util::{self, broadcast_offset};
use crate::{Args, Bound, OpDef, OpError, Tensor};

pub(super) static DEF: OpDef = OpDef {
    name: "Pow",
    doc: "The first tensor to the power of the second, element by element, with broadcasting. Floats \
          follow IEEE (a negative base with a fractional exponent is NaN). Integers wrap around; with a \
          negative exponent they truncate the exact value towards zero, and 0 gives 0.",
    reference: |args| elementwise::arithmetic(args, f64::powf, int_pow),
    bound: Bound::Scaled(bound),
    flops: |_, outputs| util::cost(outputs, 5),
    ..elementwise::BINARY
};

fn int_pow(base: i128, exponent: i128) -> i128 {
    match (base, exponent) {
        (1, _) => 1,
        (-1, e) => 1 - 2 * (e & 1),
        (_, e) if e < 0 => 0,
        _ => wrapping_pow(base, exponent),
    }
}

/// By squaring; exact modulo 2^128, and so modulo the range of any narrower type.
fn wrapping_pow(mut base: i128, mut exponent: i128) -> i128 {
    let mut product: i128 = 1;
    while exponent > 0 {
        if exponent & 1 == 1 {
            product = product.wrapping_mul(base);
        }
        base = base.wrapping_mul(base);
        exponent >>= 1;
    }
    product
}

/// A device may compute exp(b * ln a): ln is good to 3 ULP and near 1 to 2^-21 (see Log), and its
/// product with b, rounded once, becomes a relative error of the power.
fn bound(args: &Args<'_, Tensor>, outputs: &[Tensor]) -> Result<Vec<Vec<f64>>, OpError> {
    let (a, b, y) = (args.input(0)?, args.input(1)?, &outputs[0]);
    let units = Tensor::from_fn(y.desc().clone(), |index| {
        let base = a.data()[broadcast_offset(a.shape(), index)];
        let exponent = b.data()[broadcast_offset(b.shape(), index)];
        let y = y.data()[util::offset(y.shape(), index)].abs();
        let ln = base.abs().ln();
        if y == 0.0 || !ln.is_finite() || !exponent.is_finite() {
            return 0.0;
        }
        (exp_units(exponent * ln) + exponent.abs() * (8.0 + 7.0 * ln.abs())) * y
    });
    Ok(vec![util::with_floor(y.dtype(), units.into_data())])
}
