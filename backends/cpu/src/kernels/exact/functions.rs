//! The functions of docs/reproducible.md, each step as written there, for the compiler to vectorise.
// The digits are those of the specification: each fixes a bit pattern. Selects are written out, as they become vector code.
#![allow(clippy::approx_constant, clippy::excessive_precision, clippy::manual_clamp)]

use super::Precision;

const TINY: f32 = 2.350_988_7e-38;

/// F: finite, no subnormal number, no negative zero.
#[inline(always)]
pub(crate) fn clean(x: f32) -> f32 {
    let bounded = if x > f32::MAX {
        f32::MAX
    } else if x < -f32::MAX {
        -f32::MAX
    } else {
        x
    };
    if x.abs() >= TINY { bounded } else { 0.0 }
}

#[inline(always)]
pub(crate) fn add(a: f32, b: f32) -> f32 {
    clean(a + b)
}

#[inline(always)]
pub(crate) fn sub(a: f32, b: f32) -> f32 {
    clean(a - b)
}

#[inline(always)]
pub(crate) fn mul(a: f32, b: f32) -> f32 {
    clean(a * b)
}

/// What a sum of 1.5 * 2^23 and a number below 2^22 holds beside the number, rounded half to even.
const MAGIC: f32 = 12_582_912.0;

/// The bits whose lower half is the nearest whole number.
#[inline(always)]
pub(crate) fn round_bits(x: f32) -> i32 {
    (x + MAGIC).to_bits() as i32
}

/// The nearest whole number of a number below 2^22, half to even.
#[inline(always)]
fn round(x: f32) -> f32 {
    (x + MAGIC) - MAGIC
}

/// Two rounded numbers of 16 bits in one.
#[inline(always)]
pub(crate) fn pair(even: f32, odd: f32) -> i32 {
    (round_bits(even) & 0xffff) | (round_bits(odd) << 16)
}

#[inline(always)]
fn power(e: i32) -> f32 {
    f32::from_bits(((e + 127) as u32) << 23)
}

/// The factor that makes whole numbers of what has this largest magnitude, and its inverse.
#[inline(always)]
pub(crate) fn scale(max: f32, precision: Precision) -> (f32, f32) {
    let least = power(-100);
    let bits = (if max < least { least } else { max }).to_bits();
    let head = precision.head();
    let full = (precision.limit() + 0.5) * power(-(head as i32));
    let fits = u32::from((bits & 0x7f_ffff) < (full.to_bits() & 0x7f_ffff));
    let up = 253 + head + fits - (bits >> 23);
    (f32::from_bits(up << 23), f32::from_bits((254 - up) << 23))
}

/// exp of what is 0 at most.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let x = if x > -80.0 { x } else { -80.0 };
    exp2(x * std::f32::consts::LOG2_E)
}

/// exp of any number.
#[inline(always)]
pub(crate) fn exp_wide(x: f32) -> f32 {
    let x = if x > -87.0 { x } else { -87.0 };
    let x = if x < 88.0 { x } else { 88.0 };
    clean(exp2(x * std::f32::consts::LOG2_E))
}

/// 2^u for -126.5 <= u <= 127.5.
#[inline(always)]
fn exp2(u: f32) -> f32 {
    let n = round(u);
    let f = u - n;
    let mut p = 0.000_154_740_35;
    p = p * f + 0.001_340_035_7;
    p = p * f + 0.009_618_012;
    p = p * f + 0.055_503_275;
    p = p * f + 0.240_226_5;
    p = p * f + 0.693_147_2;
    p = p * f + 1.0;
    // The lower bits of n + 1.5 * 2^23 are those of n.
    let exponent = round_bits(u).wrapping_add(127);
    p * f32::from_bits((exponent as u32) << 23)
}

/// 1/x for x in [1, 4].
#[inline(always)]
fn recip(x: f32) -> f32 {
    let mut r = 40.0 / 41.0 - (8.0 / 41.0) * x;
    r += r * (1.0 - x * r);
    r += r * (1.0 - x * r);
    r += r * (1.0 - x * r);
    r += r * (1.0 - x * r);
    r
}

/// 1/x for x >= 1 and below 2^126.
#[inline(always)]
pub(crate) fn reciprocal(x: f32) -> f32 {
    let bits = x.to_bits();
    let fraction = f32::from_bits((bits & 0x7f_ffff) | (127 << 23));
    mul(recip(fraction), f32::from_bits((254 - (bits >> 23)) << 23))
}

/// 1/sqrt(x) for x >= 0; 0 for 0.
#[inline(always)]
pub(crate) fn rsqrt(x: f32) -> f32 {
    let bits = x.to_bits();
    let half = ((bits >> 23) as i32 - 127) >> 1;
    let f = f32::from_bits(bits.wrapping_sub((half as u32) << 24));
    let h = 0.5 * f;
    let mut r = 1.101 - 0.163 * f;
    r *= 1.5 - h * (r * r);
    r *= 1.5 - h * (r * r);
    r *= 1.5 - h * (r * r);
    r *= 1.5 - h * (r * r);
    if x < TINY { 0.0 } else { r * power(-half) }
}

#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    let e = exp(-x.abs());
    let r = recip(1.0 + e);
    let other = e * r;
    if x < 0.0 { other } else { r }
}

#[inline(always)]
pub(crate) fn swish(x: f32, alpha: f32) -> f32 {
    mul(x, sigmoid(mul(alpha, x)))
}

#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let magnitude = x.abs();
    let t = exp(-2.0 * if magnitude < 40.0 { magnitude } else { 40.0 });
    let y = clean((1.0 - t) * recip(1.0 + t));
    clean(if x < 0.0 { -y } else { y })
}

#[inline(always)]
pub(crate) fn gelu(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let z = if z < 6.0 { z } else { 6.0 };
    let t = recip(1.0 + 0.327_591_1 * z);
    let mut p = 1.061_405_4;
    p = p * t + -1.453_152_1;
    p = p * t + 1.421_413_8;
    p = p * t + -0.284_496_75;
    p = p * t + 0.254_829_6;
    let tail = 0.5 * (p * t * exp(-(z * z)));
    mul(x, if x < 0.0 { tail } else { 1.0 - tail })
}

#[inline(always)]
pub(crate) fn gelu_tanh(x: f32) -> f32 {
    let c = if x > 16.0 {
        16.0
    } else if x < -16.0 {
        -16.0
    } else {
        x
    };
    let inner = (c * 1.595_769_1) * (1.0 + 0.044_715 * (c * c));
    mul(x, sigmoid(inner))
}

/// The sine, or the cosine, of an angle.
#[inline(always)]
pub(crate) fn wave(x: f32, cosine: bool) -> f32 {
    let u = x * std::f32::consts::FRAC_2_PI;
    let k = u.round_ties_even();
    let f = u - k;
    let g = f * f;
    let s = (((-0.004_592_289 * g + 0.079_675_905) * g + -0.645_962_95) * g + 1.570_796_3) * f;
    let c = (((0.000_904_021_4 * g + -0.020_860_288) * g + 0.253_669_23) * g + -1.233_700_5) * g + 1.0;
    let j = k - 4.0 * (k * 0.25).floor();
    // A cosine is the sine a quarter later.
    let j = if cosine { j + 1.0 } else { j };
    let odd = j == 1.0 || j == 3.0;
    let y = if odd { c } else { s };
    clean(if j == 2.0 || j == 3.0 { -y } else { y })
}
