//! Box-Muller with its own logarithm, sine and cosine, from IEEE `+ - * / sqrt` on `f64` only.
//!
//! Nothing here may be "simplified" into `mul_add`, `f64::ln` or `f64::sin_cos`: those differ between hosts, and the
//! golden values in the tests would say so.

use std::f64::consts::{FRAC_PI_4, LN_2, SQRT_2};

/// Bits of a uniform: as many as an `f64` holds exactly.
const UNIFORM_BITS: u32 = 53;
/// Bits of an angle left after its top three bits named the octant.
const OCTANT_BITS: u32 = 50;

/// Two standard normals from two random 64-bit words (their top 53 bits are used).
///
/// `r = sqrt(-2 ln u)` with `u` in (0, 1] of 53 bits, so `r` is at most 8.58 and never infinite; the results are `r cos(a)`
/// and `r sin(a)` for an angle `a` uniform over the circle.
pub(super) fn box_muller(radius: u64, angle: u64) -> [f32; 2] {
    let (sin, cos) = sin_cos_of_turn(angle >> (64 - UNIFORM_BITS));
    let u = (as_f64(radius >> (64 - UNIFORM_BITS)) + 1.0) / as_f64(1 << UNIFORM_BITS);
    let r = (-2.0 * ln(u)).sqrt();
    [(r * cos) as f32, (r * sin) as f32]
}

/// An integer of at most 53 bits as `f64`, exactly.
fn as_f64(x: u64) -> f64 {
    x as f64
}

/// Natural logarithm of a positive, normal `x`, to about 1e-15 relative.
///
/// `x = m * 2^e` with `m` in [1/sqrt(2), sqrt(2)); `ln m = 2 atanh(s)`, `s = (m - 1) / (m + 1)`, by its power series, which
/// needs terms to `s^25` because `|s|` is at most 0.172.
pub(crate) fn ln(x: f64) -> f64 {
    const EXPONENT_ONE: u64 = 1023;
    let bits = x.to_bits();
    let mut e = as_f64(bits >> 52) - as_f64(EXPONENT_ONE);
    let mut m = f64::from_bits((bits & ((1 << 52) - 1)) | EXPONENT_ONE << 52);
    if m >= SQRT_2 {
        m *= 0.5;
        e += 1.0;
    }
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let mut sum = 0.0;
    for k in (1..=12u32).rev() {
        sum = (sum + 1.0 / f64::from(2 * k + 1)) * z;
    }
    e * LN_2 + 2.0 * (s + s * sum)
}

/// Sine and cosine of `2 pi * turn / 2^53`.
///
/// The top three bits name one of eight octants, in each of which the angle is reduced exactly, in integers, to [0, pi/4].
pub(super) fn sin_cos_of_turn(turn: u64) -> (f64, f64) {
    let octant = turn >> OCTANT_BITS;
    let within = turn & ((1 << OCTANT_BITS) - 1);
    // Odd octants run backwards from the next multiple of pi/2.
    let distance = if octant.is_multiple_of(2) { within } else { (1 << OCTANT_BITS) - within };
    let x = as_f64(distance) / as_f64(1 << OCTANT_BITS) * FRAC_PI_4;
    let (s, c) = (sin_poly(x), cos_poly(x));
    match octant {
        0 => (s, c),
        1 => (c, s),
        2 => (c, -s),
        3 => (s, -c),
        4 => (-s, -c),
        5 => (-c, -s),
        6 => (-c, s),
        _ => (-s, c),
    }
}

/// Taylor series of the sine on [0, pi/4]; the first term left out is below 1e-19.
fn sin_poly(x: f64) -> f64 {
    let z = x * x;
    let mut sum = 1.0;
    for k in (1..=8u32).rev() {
        sum = 1.0 - z / f64::from(2 * k * (2 * k + 1)) * sum;
    }
    x * sum
}

/// Taylor series of the cosine on [0, pi/4]; the first term left out is below 1e-19.
fn cos_poly(x: f64) -> f64 {
    let z = x * x;
    let mut sum = 1.0;
    for k in (1..=9u32).rev() {
        sum = 1.0 - z / f64::from((2 * k - 1) * 2 * k) * sum;
    }
    sum
}
