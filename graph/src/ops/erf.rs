use super::elementwise::{self, erf_units};
use super::util;
use crate::{Bound, OpDef};

pub(super) static DEF: OpDef = OpDef {
    name: "Erf",
    doc: "The error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x, element by element.",
    reference: |args| elementwise::map(args, erf),
    bound: Bound::Scaled(|args, outputs| elementwise::bound(args, outputs, erf_units)),
    flops: |_, outputs| util::cost(outputs, 8),
    ..elementwise::UNARY
};

/// Where [`erfc`] changes from the series to the continued fraction.
const SWITCH: f64 = 2.0;

pub(super) fn erf(x: f64) -> f64 {
    if x.abs() < SWITCH { series(x) } else { (1.0 - fraction(x.abs())).copysign(x) }
}

/// 1 - erf(x), without cancellation.
pub(super) fn erfc(x: f64) -> f64 {
    if x >= SWITCH { fraction(x) } else { 1.0 - erf(x) }
}

/// erf(x) = 2/sqrt(pi) * exp(-x^2) * sum of 2^n x^(2n+1) / (1 * 3 * ... * (2n+1)): all terms have
/// the sign of x, so nothing cancels. 60 terms suffice up to 2.
fn series(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..60 {
        term *= 2.0 * x * x / (2 * n + 1) as f64;
        sum += term;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

/// erfc(x) = exp(-x^2) / (sqrt(pi) * (x + (1/2) / (x + 1 / (x + (3/2) / (x + ...))))), from the
/// inside out; 200 levels suffice from 2 on.
fn fraction(x: f64) -> f64 {
    // At infinity the levels would be inf + 0/inf, which is right; NaN passes through.
    let denominator = (1..200).rev().fold(x, |inner, n| x + n as f64 / 2.0 / inner);
    (-x * x).exp() / (std::f64::consts::PI.sqrt() * denominator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_branches_agree_where_they_meet() {
        for x in [1.9, 2.0, 2.1, 2.5] {
            assert!((series(x) - (1.0 - fraction(x))).abs() < 1e-15, "{x}");
        }
    }

    #[test]
    fn limits_and_nan() {
        assert_eq!((erf(0.0), erf(f64::INFINITY), erf(f64::NEG_INFINITY)), (0.0, 1.0, -1.0));
        assert_eq!((erfc(f64::INFINITY), erfc(f64::NEG_INFINITY)), (0.0, 2.0));
        assert!(erf(f64::NAN).is_nan() && erfc(f64::NAN).is_nan());
    }
}
