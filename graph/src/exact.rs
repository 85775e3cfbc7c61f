//! The arithmetic of reproducible numerics: what docs/reproducible.md specifies, number by number. Plain and slow, and
//! shared with no backend: the ops called `exact.` are defined by it, and devices are held against it bit for bit.
//!
//! Every step is one `f32` operation rounded to nearest even, or a sum of integers, which no order can change.
// The digits are those of the specification: each fixes a bit pattern, which a named constant need not have.
#![allow(clippy::approx_constant, clippy::excessive_precision)]

/// The version of the arithmetic. A change of any bit of any result is a change of version.
pub const VERSION: u32 = 1;

/// The most terms of one integer sum. Each sum of products of slices stays below 2^24 (with [`Slices::One`], 127 * 127 * 1024), so
/// that a device may add them up in `f32`, and in any order.
pub const CHUNK: usize = 1024;

/// Numbers smaller than this are zero: the least number whose neighbours are all normal, so that it does not matter
/// whether a device flushes subnormal numbers, or whether it does so before or after rounding.
pub const TINY: f32 = f32::from_bits(2 << 23);

/// How many slices of eight bits an operand of a product is cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slices {
    /// `r8`: whole numbers to 127.
    One,
    /// `r16`: whole numbers to 8127 = 63 * 128 + 63.
    Two,
}

impl Slices {
    /// The settings by their number of slices.
    pub fn from_count(count: i64) -> Option<Self> {
        match count {
            1 => Some(Slices::One),
            2 => Some(Slices::Two),
            _ => None,
        }
    }

    /// How many they are.
    pub const fn count(self) -> i64 {
        match self {
            Slices::One => 1,
            Slices::Two => 2,
        }
    }

    /// The largest magnitude of a whole number.
    pub const fn limit(self) -> i32 {
        match self {
            Slices::One => 127,
            Slices::Two => 8127,
        }
    }

    /// The exponent of two by which numbers in [1, 2) are scaled at most.
    pub(crate) const fn head(self) -> i32 {
        match self {
            Slices::One => 6,
            Slices::Two => 12,
        }
    }
}

/// Makes a number clean: NaN is 0, infinities are the largest numbers, what is below [`TINY`] is 0, and 0 has no sign.
pub fn flush(x: f32) -> f32 {
    if x.is_nan() || x.abs() < TINY {
        return 0.0;
    }
    x.clamp(-f32::MAX, f32::MAX)
}

/// a + b.
pub fn add(a: f32, b: f32) -> f32 {
    flush(a + b)
}

/// a - b.
pub fn sub(a: f32, b: f32) -> f32 {
    flush(a - b)
}

/// a * b.
pub fn mul(a: f32, b: f32) -> f32 {
    flush(a * b)
}

/// 2^e for -126 <= e <= 127.
fn power_of_two(e: i32) -> f32 {
    f32::from_bits(((e + 127) as u32) << 23)
}

/// The whole numbers of a row: x is nearly `whole * unit`.
#[derive(Clone, Debug, PartialEq)]
pub struct Whole {
    /// Each within the limit of the slices.
    pub numbers: Vec<i32>,
    /// What one is worth: a power of two.
    pub unit: f32,
}

/// The factor that makes whole numbers of a row whose largest magnitude is `max`, and its inverse: powers of two.
pub fn scale(max: f32, slices: Slices) -> (f32, f32) {
    let max = if max < power_of_two(-100) { power_of_two(-100) } else { max };
    let exponent = (max.to_bits() >> 23) as i32 - 127;
    let fraction = max * power_of_two(-(exponent.min(126))) * if exponent == 127 { 0.5 } else { 1.0 };
    let head = slices.head();
    let fits = fraction * power_of_two(head) < slices.limit() as f32 + 0.5;
    let up = head - exponent - i32::from(!fits);
    (power_of_two(up), power_of_two(-up))
}

/// A row in whole numbers, each element cleaned first.
pub fn whole(row: &[f32], slices: Slices) -> Whole {
    let max = row.iter().fold(0.0, |max: f32, &x| max.max(flush(x).abs()));
    let (up, unit) = scale(max, slices);
    let numbers = row.iter().map(|&x| (flush(x) * up).round_ties_even() as i32).collect();
    Whole { numbers, unit }
}

/// The sum of products of whole numbers: exact for each chunk of terms, then rounded, and the chunks added in order.
pub fn dot(terms: impl IntoIterator<Item = (i32, i32)>) -> f32 {
    chunked(terms.into_iter().map(|(a, b)| i64::from(a) * i64::from(b)), CHUNK)
}

/// The sum of whole numbers by chunks.
pub fn chunked(terms: impl IntoIterator<Item = i64>, chunk: usize) -> f32 {
    let mut terms = terms.into_iter().peekable();
    let mut total = 0.0;
    while terms.peek().is_some() {
        total += terms.by_ref().take(chunk).sum::<i64>() as f32;
    }
    total
}

/// The product of two rows of whole numbers as a number: a sum of products in the units of both.
pub fn scaled(sum: f32, a_unit: f32, b_unit: f32) -> f32 {
    mul(mul(sum, a_unit), b_unit)
}

/// The coefficients of 2^f - 1 over f in [-1/2, 1/2], from the highest power down.
pub const EXP2: [f32; 6] =
    [0.000_154_740_35, 0.001_340_035_7, 0.009_618_012, 0.055_503_275, 0.240_226_5, 0.693_147_2];

/// The least argument of [`exp`]; smaller ones count as this.
pub const EXP_LEAST: f32 = -80.0;

/// exp(x) for x <= 0.
pub fn exp(x: f32) -> f32 {
    exp2(x.max(EXP_LEAST) * std::f32::consts::LOG2_E)
}

/// The least and the greatest argument of [`exp_wide`]: beyond them are numbers that are not clean, and those above half of the largest.
pub const EXP_WIDE: [f32; 2] = [-87.0, 88.0];

/// exp(x), from 0 up to e^88.
pub fn exp_wide(x: f32) -> f32 {
    flush(exp2(x.clamp(EXP_WIDE[0], EXP_WIDE[1]) * std::f32::consts::LOG2_E))
}

/// 2^u for -126.5 <= u <= 127.5.
fn exp2(u: f32) -> f32 {
    let n = u.round_ties_even();
    let f = u - n;
    let mut p = EXP2[0];
    for c in &EXP2[1..] {
        p = p * f + c;
    }
    p = p * f + 1.0;
    p * power_of_two(n as i32)
}

/// The start of [`recip`], a - b x.
pub const RECIP_START: [f32; 2] = [40.0 / 41.0, 8.0 / 41.0];

/// 1/x for x in [1, 4]: four steps of Newton's method.
pub fn recip(x: f32) -> f32 {
    let mut r = RECIP_START[0] - RECIP_START[1] * x;
    for _ in 0..4 {
        let e = 1.0 - x * r;
        r += r * e;
    }
    r
}

/// The start of [`rsqrt`], a - b x.
pub const RSQRT_START: [f32; 2] = [1.101, 0.163];

/// 1/x for a clean x >= 1.
pub fn reciprocal(x: f32) -> f32 {
    let exponent = (x.to_bits() >> 23) as i32 - 127;
    // Two powers, as one of them alone may be subnormal.
    let (half, rest) = (exponent / 2, exponent - exponent / 2);
    let fraction = x * power_of_two(-half) * power_of_two(-rest);
    mul(mul(recip(fraction), power_of_two(-half)), power_of_two(-rest))
}

/// 1/sqrt(x) for a clean x >= 0; 0 for 0.
pub fn rsqrt(x: f32) -> f32 {
    if x < TINY {
        return 0.0;
    }
    let exponent = (x.to_bits() >> 23) as i32 - 127;
    // x = f 4^half with f in [1, 4).
    let half = exponent.div_euclid(2);
    let f = x * power_of_two(-half) * power_of_two(-half);
    let h = 0.5 * f;
    let mut r = RSQRT_START[0] - RSQRT_START[1] * f;
    for _ in 0..4 {
        let t = h * (r * r);
        r *= 1.5 - t;
    }
    r * power_of_two(-half)
}

/// 1 / (1 + exp(-x)).
pub fn sigmoid(x: f32) -> f32 {
    let e = exp(-x.abs());
    let r = recip(1.0 + e);
    if x < 0.0 { e * r } else { r }
}

/// x * sigmoid(alpha x).
pub fn swish(x: f32, alpha: f32) -> f32 {
    mul(x, sigmoid(mul(alpha, x)))
}

/// The hyperbolic tangent.
pub fn tanh(x: f32) -> f32 {
    let t = exp(-2.0 * x.abs().min(40.0));
    let y = flush((1.0 - t) * recip(1.0 + t));
    if x < 0.0 { flush(-y) } else { y }
}

/// The scale of the argument of the rational part of [`gelu`], and its coefficients from the highest power down:
/// Abramowitz and Stegun, 7.1.26.
pub const ERFC: [f32; 6] = [0.327_591_1, 1.061_405_4, -1.453_152_1, 1.421_413_8, -0.284_496_75, 0.254_829_6];

/// x times the normal distribution's cumulative function.
pub fn gelu(x: f32) -> f32 {
    let z = (x.abs() * std::f32::consts::FRAC_1_SQRT_2).min(6.0);
    let t = recip(1.0 + ERFC[0] * z);
    let mut p = ERFC[1];
    for c in &ERFC[2..] {
        p = p * t + c;
    }
    let tail = 0.5 * (p * t * exp(-(z * z)));
    mul(x, if x < 0.0 { tail } else { 1.0 - tail })
}

/// The constants of [`gelu_tanh`]: sqrt(8/pi), 0.044715, and the largest magnitude that matters.
pub const GELU_TANH: [f32; 3] = [1.595_769_1, 0.044_715, 16.0];

/// x sigmoid(sqrt(8/pi) (x + 0.044715 x^3)).
pub fn gelu_tanh(x: f32) -> f32 {
    let c = x.clamp(-GELU_TANH[2], GELU_TANH[2]);
    let inner = (c * GELU_TANH[0]) * (1.0 + GELU_TANH[1] * (c * c));
    mul(x, sigmoid(inner))
}

/// The coefficients of sin(pi/2 f) / f in f^2 from the highest power down, |f| <= 1/2.
pub const SIN: [f32; 4] = [-0.004_592_289, 0.079_675_905, -0.645_962_95, 1.570_796_3];

/// The coefficients of (cos(pi/2 f) - 1) / f^2 in f^2 from the highest power down, |f| <= 1/2.
pub const COS: [f32; 4] = [0.000_904_021_4, -0.020_860_288, 0.253_669_23, -1.233_700_5];

/// The sine and the cosine of an angle in radians.
pub fn sin_cos(x: f32) -> (f32, f32) {
    let u = x * std::f32::consts::FRAC_2_PI;
    let k = u.round_ties_even();
    let f = u - k;
    let f2 = f * f;
    let horner = |c: [f32; 4]| ((c[0] * f2 + c[1]) * f2 + c[2]) * f2 + c[3];
    let (s, c) = (horner(SIN) * f, horner(COS) * f2 + 1.0);
    let quarter = k - 4.0 * (k * 0.25).floor();
    let (s, c) = match quarter as i32 {
        0 => (s, c),
        1 => (c, -s),
        2 => (-s, -c),
        _ => (-c, s),
    };
    (flush(s), flush(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The greatest relative error of a function over a range.
    fn error(lo: f64, hi: f64, f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64) -> f64 {
        (0..=20_000).fold(0.0, |worst: f64, i| {
            let x = (lo + (hi - lo) * f64::from(i) / 20_000.0) as f32;
            let y = exact(f64::from(x));
            worst.max((f64::from(f(x)) - y).abs() / y.abs().max(1e-3))
        })
    }

    /// The normal distribution's cumulative function, by its series, which serves near 0.
    fn normal(x: f64) -> f64 {
        let z = x / std::f64::consts::SQRT_2;
        let (mut term, mut sum) = (z, z);
        for n in 1..150 {
            term *= -z * z / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        0.5 + sum / std::f64::consts::PI.sqrt()
    }

    #[test]
    fn functions_are_good_to_a_few_units() {
        assert!(error(-60.0, 0.0, exp, f64::exp) < 1e-6);
        assert!(error(-80.0, 88.0, exp_wide, f64::exp) < 5e-6);
        assert_eq!([exp_wide(-87.0), exp_wide(-1e9), exp_wide(0.0)], [0.0, 0.0, 1.0]);
        assert_eq!(exp_wide(f32::MAX), exp_wide(88.0));
        assert!(error(1.0, 4.0, recip, |x| 1.0 / x) < 2e-7);
        assert!(error(1.0, 1e9, reciprocal, |x| 1.0 / x) < 2e-7);
        assert!(error(1e-9, 1e-3, rsqrt, |x| 1.0 / x.sqrt()) < 3e-7);
        assert!(error(1e-3, 1e9, rsqrt, |x| 1.0 / x.sqrt()) < 3e-7);
        assert!(error(-30.0, 30.0, sigmoid, |x| 1.0 / (1.0 + (-x).exp())) < 2e-6);
        assert!(error(-30.0, 30.0, tanh, f64::tanh) < 1e-4);
        assert!(error(-10.0, 10.0, |x| swish(x, 1.0), |x| x / (1.0 + (-x).exp())) < 1e-5);
        assert!(error(-5.0, 5.0, gelu, |x| x * normal(x)) < 1e-3);
        let inner = |x: f64| (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
        assert!(error(-10.0, 10.0, gelu_tanh, |x| 0.5 * x * (1.0 + inner(x).tanh())) < 1e-5);
        assert!(error(-10.0, 10.0, |x| sin_cos(x).0, f64::sin) < 1e-3);
        assert!(error(-10.0, 10.0, |x| sin_cos(x).1, f64::cos) < 1e-3);
    }

    #[test]
    fn clean_numbers_are_neither_subnormal_nor_special() {
        assert_eq!(flush(f32::NAN), 0.0);
        assert_eq!(flush(f32::NEG_INFINITY), -f32::MAX);
        assert_eq!(flush(-0.0).to_bits(), 0);
        assert_eq!(flush(f32::MIN_POSITIVE), 0.0);
        assert_eq!(flush(TINY), TINY);
    }

    #[test]
    fn whole_numbers_stay_within_their_limit() {
        for slices in [Slices::One, Slices::Two] {
            for bits in (0..0x7f80_0000u32).step_by(9973) {
                let x = flush(f32::from_bits(bits));
                let (up, down) = scale(x, slices);
                assert_eq!(up * down, 1.0, "{x:e}");
                let q = (x * up).round_ties_even() as i32;
                assert!(q <= slices.limit(), "{x:e}: {q}");
                assert!(x < 1e-30 || q >= slices.limit() / 2, "{x:e}: {q}");
            }
        }
    }

    #[test]
    fn a_sum_is_rounded_once_in_each_chunk() {
        let terms = |n: usize| (0..n).map(|i| (8127 - (i % 5) as i32, 8000 + (i % 7) as i32));
        let exact: i64 = terms(CHUNK).map(|(a, b)| i64::from(a) * i64::from(b)).sum();
        assert_eq!(dot(terms(CHUNK)), exact as f32);
        assert_eq!(
            dot(terms(CHUNK + 1)),
            exact as f32 + terms(CHUNK + 1).next_back().map_or(0.0, |(a, b)| (a * b) as f32)
        );
        assert_eq!(dot([]), 0.0);
    }
}
