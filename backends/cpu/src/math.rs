//! Elementary functions on `f32`, written so that a loop over them vectorises: straight-line code,
//! no calls, no branches that a select cannot replace, no fused multiply-add. The same bits
//! at every SIMD level.
//!
//! The polynomials are minimax fits of this project (weighted least squares on Chebyshev nodes,
//! reweighted until level); the stated errors were measured over the whole range against f64.

use pulp::Simd;

/// Adding and subtracting it rounds a number below 2^22 to the nearest whole one, halves to even.
const ROUND: f32 = 12_582_912.0;

const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// ln 2 in two parts; the first has 12 trailing zero bits, so that a whole number times it is exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;

/// 2^n for a whole -126 <= n <= 127.
#[inline(always)]
fn power_of_two(n: f32) -> f32 {
    f32::from_bits(((n + ROUND).to_bits() << 23).wrapping_add(127 << 23))
}

/// e^x within 1 ULP, down into the subnormals; 0 and infinity beyond the range; NaN stays.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Written so that NaN passes.
    let x = if x < -104.5 { -104.5 } else { x };
    let x = if x > 89.0 { 89.0 } else { x };
    let n = (x * LOG2_E + ROUND) - ROUND;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    let p = 1.390_151_8e-3;
    let p = p * r + 8.363_74e-3;
    let p = p * r + 4.166_686e-2;
    let p = p * r + 1.666_657_3e-1;
    let p = p * r + 0.5;
    let y = (p * (r * r) + r) + 1.0;
    // In two steps, as 2^n alone leaves the normal range at both ends.
    let half = (n * 0.5 + ROUND) - ROUND;
    y * power_of_two(half) * power_of_two(n - half)
}

/// e^x for x up to 0, in vectors and with fused multiply-add where there is one: for attention, whose
/// time goes into it. Zero where the result would be subnormal; NaN stays.
#[inline(always)]
pub(crate) fn exp_below<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let splat = |v: f32| simd.splat_f32s(v);
    let tiny = simd.less_than_f32s(x, splat(-87.3));
    let x = simd.select_f32s(tiny, splat(0.0), x);
    let t = simd.mul_add_e_f32s(x, splat(LOG2_E), splat(ROUND));
    let n = simd.sub_f32s(t, splat(ROUND));
    let r = simd.mul_add_e_f32s(n, splat(-LN2_HIGH), x);
    let r = simd.mul_add_e_f32s(n, splat(-LN2_LOW), r);
    let mut p = splat(1.390_151_8e-3);
    for c in [8.363_74e-3, 4.166_686e-2, 1.666_657_3e-1, 0.5] {
        p = simd.mul_add_e_f32s(p, r, splat(c));
    }
    let y = simd.mul_add_e_f32s(p, simd.mul_f32s(r, r), r);
    let y = simd.add_f32s(y, splat(1.0));
    // 2^n from the low bits of n's sum with the rounding constant, as in `power_of_two`.
    let bits = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(t), simd.splat_u32s(23));
    let power = simd.transmute_f32s_u32s(simd.add_u32s(bits, simd.splat_u32s(127 << 23)));
    simd.select_f32s(tiny, splat(0.0), simd.mul_f32s(y, power))
}

/// 1 / (1 + e^-x), within 2 ULP.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// x * sigmoid(alpha * x); where the gate closes entirely the limit is 0.
#[inline(always)]
pub(crate) fn swish(x: f32, alpha: f32) -> f32 {
    let gate = sigmoid(alpha * x);
    let y = x * gate;
    if gate == 0.0 { 0.0 } else { y }
}

/// tanh x within 2 ULP.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let a = x.abs();
    let t = x * x;
    let p = -5.923_963e-3;
    let p = p * t + 2.087_366_2e-2;
    let p = p * t + -5.382_381_4e-2;
    let p = p * t + 1.333_258_5e-1;
    let p = p * t + -3.333_333e-1;
    let near = x + x * (t * p);
    let far = 1.0 - 2.0 / (exp(2.0 * a) + 1.0);
    if a < 0.65 { near } else { far.copysign(x) }
}

/// erf x within 2 ULP.
#[inline(always)]
pub(crate) fn erf(x: f32) -> f32 {
    let a = x.abs();
    let t = x * x;
    let p = 7.853_847e-5;
    let p = p * t + -8.010_189e-4;
    let p = p * t + 5.188_327_3e-3;
    let p = p * t + -2.685_381_1e-2;
    let p = p * t + 1.128_358_54e-1;
    let p = p * t + -3.761_262_6e-1;
    let p = p * t + std::f32::consts::FRAC_2_SQRT_PI;
    let near = x * p;
    let far = 1.0 - erfc_far(a);
    if a < 1.0 { near } else { far.copysign(x) }
}

/// erfc x for 0.9 <= x: e^(-x^2) times a polynomial in 1 / (1 + x/2); below 2e-8 beyond 4.
#[inline(always)]
fn erfc_far(x: f32) -> f32 {
    let x = if x > 10.0 { 10.0 } else { x };
    let t = 1.0 / (1.0 + 0.5 * x);
    let q = 1.184_671_4e-1;
    let q = q * t + -4.680_875e-1;
    let q = q * t + 5.585_988e-1;
    let q = q * t + -9.975_095e-2;
    let q = q * t + 3.459_032e-1;
    let q = q * t + 2.602_439_8e-1;
    let q = q * t + 2.848_227_3e-1;
    let q = q * t + -1.480_232_6e-4;
    exp(-(x * x)) * q
}

/// x/2 (1 + erf(x / sqrt 2)); the limit at -inf is 0.
#[inline(always)]
pub(crate) fn gelu(x: f32) -> f32 {
    let y = 0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2));
    if x < -1e4 { 0.0 } else { y }
}

/// x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), by 1 + tanh z = 2 / (1 + e^-2z), which does not
/// cancel; the limit at -inf is 0.
#[inline(always)]
pub(crate) fn gelu_tanh(x: f32) -> f32 {
    const TWICE_SQRT_2_OVER_PI: f32 = 1.595_769;
    let z = TWICE_SQRT_2_OVER_PI * (x + 0.044_715 * (x * x * x));
    let y = x * sigmoid(z);
    if x < -1e4 { 0.0 } else { y }
}

/// ln x within 1 ULP; -inf at 0, NaN below.
#[inline(always)]
pub(crate) fn ln(x: f32) -> f32 {
    // Subnormals are scaled up first.
    let tiny = x < f32::MIN_POSITIVE;
    let scaled = if tiny { x * 16_777_216.0 } else { x };
    let bits = scaled.to_bits();
    // The mantissa in [sqrt(1/2), sqrt 2): 0x3f3504f3 is sqrt(1/2).
    let shifted = bits.wrapping_sub(0x3f35_04f3);
    let e = (shifted as i32) >> 23;
    let m = f32::from_bits((shifted & 0x007f_ffff).wrapping_add(0x3f35_04f3));
    let e = e as f32 - if tiny { 24.0 } else { 0.0 };
    let y = ln_mantissa(m, e);
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    let y = if x < 0.0 { f32::NAN } else { y };
    // Infinity and NaN stay themselves.
    if x < f32::INFINITY { y } else { x }
}

/// ln(m) + e ln 2 for m in [sqrt(1/2), sqrt 2).
#[inline(always)]
fn ln_mantissa(m: f32, e: f32) -> f32 {
    let f = m - 1.0;
    let p = 6.717_217e-2;
    let p = p * f + -1.126_186_85e-1;
    let p = p * f + 1.169_290_1e-1;
    let p = p * f + -1.246_506_35e-1;
    let p = p * f + 1.425_188e-1;
    let p = p * f + -1.666_545_9e-1;
    let p = p * f + 2.000_058_3e-1;
    let p = p * f + -2.500_004_2e-1;
    let p = p * f + 3.333_333e-1;
    let square = f * f;
    let tail = (f * square) * p + e * LN2_LOW;
    let y = f - (0.5 * square - tail);
    y + e * LN2_HIGH
}

/// ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|).
#[inline(always)]
pub(crate) fn softplus(x: f32) -> f32 {
    let t = exp(-x.abs());
    // ln(1 + t) loses what 1 + t rounds away; the quotient brings it back.
    let one_plus = 1.0 + t;
    let lost = t - (one_plus - 1.0);
    let positive = if x < 0.0 { 0.0 } else { x };
    positive + (ln(one_plus) + lost / one_plus)
}

/// Beyond this an angle is reduced by the scalar functions of the standard library.
pub(crate) const ANGLE_LIMIT: f32 = 1e6;

/// sin x for |x| up to [`ANGLE_LIMIT`], within 1 ULP; the reduction is done in f64.
#[inline(always)]
pub(crate) fn sin(x: f32) -> f32 {
    let (quadrant, r) = reduce(x);
    let y = quarter(quadrant, r);
    // Keeps the sign of zero.
    if x == 0.0 { x } else { y }
}

/// cos x for |x| up to [`ANGLE_LIMIT`], within 1 ULP.
#[inline(always)]
pub(crate) fn cos(x: f32) -> f32 {
    let (quadrant, r) = reduce(x);
    quarter(quadrant.wrapping_add(1), r)
}

/// The quadrant (modulo 4 counts) and the angle within it, at most pi/4 from its middle.
#[inline(always)]
fn reduce(x: f32) -> (u32, f32) {
    const ROUND64: f64 = 6_755_399_441_055_744.0;
    // pi/2 in two parts; the first has 20 trailing zero bits, so that a quadrant times it is exact.
    const HIGH: f64 = 1.5707963267341256;
    const LOW: f64 = 6.077100506506192e-11;
    let x = f64::from(x);
    let n = x * std::f64::consts::FRAC_2_PI + ROUND64;
    let whole = n - ROUND64;
    let r = (x - whole * HIGH) - whole * LOW;
    (n.to_bits() as u32, r as f32)
}

#[inline(always)]
fn quarter(quadrant: u32, r: f32) -> f32 {
    let t = r * r;
    let s = -1.958_227_8e-4;
    let s = s * t + 8.332_721e-3;
    let s = s * t + -1.666_666_4e-1;
    let sine = r + r * (t * s);
    let c = 2.454_252_4e-5;
    let c = c * t + -1.388_827_7e-3;
    let c = c * t + 4.166_666_4e-2;
    let cosine = 1.0 - (0.5 * t - (t * t) * c);
    let y = if quadrant & 1 == 0 { sine } else { cosine };
    f32::from_bits(y.to_bits() ^ ((quadrant & 2) << 30))
}

/// a^b, through f64 except for squares.
#[inline(always)]
pub(crate) fn pow(a: f32, b: f32) -> f32 {
    if b == 2.0 { a * a } else { f64::from(a).powf(f64::from(b)) as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest error in units of the last place of the result, over a range.
    fn worst(range: (f32, f32), f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64) -> f64 {
        const STEPS: usize = 200_000;
        let at = |i: usize| range.0 + (range.1 - range.0) * (i as f32 / STEPS as f32);
        let error = |x: f32| {
            let y = exact(f64::from(x));
            let unit = f64::from((y.abs() as f32).next_up()) - f64::from(y.abs() as f32);
            (f64::from(f(x)) - y).abs() / unit
        };
        (0..=STEPS).map(|i| error(at(i))).fold(0.0, f64::max)
    }

    #[test]
    fn errors_are_what_the_comments_say() {
        assert!(worst((-87.0, 88.7), exp, f64::exp) < 1.1);
        assert!(worst((-103.0, -80.0), exp, f64::exp) < 1.1);
        assert!(worst((-87.0, 0.0), |x| exp_below(pulp::Scalar, x), f64::exp) < 1.1);
        assert!(worst((-20.0, 20.0), sigmoid, |x| 1.0 / (1.0 + (-x).exp())) < 2.5);
        assert!(worst((-12.0, 12.0), tanh, f64::tanh) < 2.0);
        assert!(worst((1e-4, 3.0), ln, f64::ln) < 1.5);
        assert!(worst((1.0, 1e9), ln, f64::ln) < 1.1);
        assert!(worst((-3.0, 3.0), sin, f64::sin) < 1.5);
        assert!(worst((-1e5, 1e5), sin, f64::sin) < 1.5);
        assert!(worst((-1e5, 1e5), cos, f64::cos) < 1.5);
    }

    #[test]
    fn special_values() {
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert_eq!(exp_below(pulp::Scalar, f32::NEG_INFINITY), 0.0);
        assert_eq!(ln(0.0), f32::NEG_INFINITY);
        assert_eq!(ln(f32::INFINITY), f32::INFINITY);
        assert_eq!((tanh(f32::INFINITY), tanh(f32::NEG_INFINITY)), (1.0, -1.0));
        assert_eq!((erf(f32::INFINITY), erf(f32::NEG_INFINITY)), (1.0, -1.0));
        assert_eq!((gelu(f32::NEG_INFINITY), swish(f32::NEG_INFINITY, 1.0)), (0.0, 0.0));
        assert!(sin(-0.0).is_sign_negative());
        for f in [exp, ln, tanh, erf, gelu, gelu_tanh, sigmoid, softplus, sin, cos] {
            assert!(f(f32::NAN).is_nan());
        }
        assert!(ln(-1.0).is_nan() && sin(f32::INFINITY).is_nan());
    }
}
