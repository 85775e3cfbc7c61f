//! The functions of docs/reproducible.md, and powers of two, in ordinary ops.

use super::emit::{Emit, Made};
use crate::exact::{
    COS, ERFC, EXP_LEAST, EXP_WIDE, EXP2, GELU_TANH, RECIP_START, RSQRT_START, SIN, Slices, TINY,
};
use crate::{Attr, DType, OpError, ValueId};

/// The exponent of a second factor, from that of the first.
type Exponent = fn(i32) -> i32;

/// 2^e.
fn power(e: i32) -> f32 {
    f32::from_bits(((e + 127) as u32) << 23)
}

impl Emit<'_> {
    /// A polynomial from its highest power down.
    fn horner(&mut self, x: ValueId, coefficients: &[f32]) -> Made {
        let mut p = self.times(x, coefficients[0])?;
        for (i, &c) in coefficients[1..].iter().enumerate() {
            p = self.plus(p, c)?;
            if i + 2 < coefficients.len() {
                p = self.mul(p, x)?;
            }
        }
        Ok(p)
    }

    /// exp of what is 0 at most.
    pub(super) fn exp(&mut self, x: ValueId) -> Made {
        let x = self.at_least(x, EXP_LEAST)?;
        self.exp_between(x, EXP_LEAST, 0.0)
    }

    /// exp of any number.
    pub(super) fn exp_wide(&mut self, x: ValueId) -> Made {
        let [least, most] = EXP_WIDE;
        let x =
            self.op("Clip", &[x], &[("min", Attr::Float(least.into())), ("max", Attr::Float(most.into()))])?;
        let y = self.exp_between(x, least, most)?;
        self.flush(y)
    }

    /// exp of what lies between these limits.
    fn exp_between(&mut self, x: ValueId, least: f32, most: f32) -> Made {
        let u = self.times(x, std::f32::consts::LOG2_E)?;
        let n = self.one("Round", u)?;
        let f = self.sub(u, n)?;
        let mut coefficients = EXP2.to_vec();
        coefficients.push(1.0);
        let p = self.horner(f, &coefficients)?;
        // 2^n by a table of the powers that there are.
        let [first, last] = [most, least].map(|limit| (limit * std::f32::consts::LOG2_E).round_ties_even());
        let powers: Vec<f32> = (last as i32..=first as i32).rev().map(power).collect();
        let table = self.tensor(&powers, &[powers.len()])?;
        let index = self.minus_from(first, n)?;
        let index = self.cast(index, DType::I64)?;
        let power = self.op("Gather", &[table, index], &[("axis", Attr::Int(0))])?;
        self.mul(p, power)
    }

    /// 1/x for x in [1, 4].
    pub(super) fn recip(&mut self, x: ValueId) -> Made {
        let start = self.times(x, RECIP_START[1])?;
        let mut r = self.minus_from(RECIP_START[0], start)?;
        for _ in 0..4 {
            let e = self.mul(x, r)?;
            let e = self.minus_from(1.0, e)?;
            let e = self.mul(r, e)?;
            r = self.add(r, e)?;
        }
        Ok(r)
    }

    /// Brings x in [1, 2^128) below 2^last by factors, and gives the product of `of(factor's exponent)` with it.
    fn normalise(
        &mut self,
        mut x: ValueId,
        mut others: Vec<(ValueId, Exponent)>,
        last: i32,
    ) -> Result<(ValueId, Vec<ValueId>), OpError> {
        for e in [64, 32, 16, 8, 4, 2, 1].into_iter().filter(|&e| e >= last) {
            let small = self.below(x, power(e))?;
            let factor = self.choose(small, 1.0, power(-e))?;
            x = self.mul(x, factor)?;
            for (other, of) in &mut others {
                let factor = self.choose(small, 1.0, power(of(e)))?;
                *other = self.mul(*other, factor)?;
            }
        }
        Ok((x, others.into_iter().map(|(other, _)| other).collect()))
    }

    /// 1/x for x >= 1.
    pub(super) fn reciprocal(&mut self, x: ValueId) -> Made {
        let one = self.number(1.0)?;
        let (f, powers) = self.normalise(x, vec![(one, |e| -e)], 1)?;
        let r = self.recip(f)?;
        self.clean_mul(r, powers[0])
    }

    /// 1/sqrt(x) for x >= 0.
    pub(super) fn rsqrt(&mut self, x: ValueId) -> Made {
        let none = self.below(x, TINY)?;
        let small = self.below(x, 1.0)?;
        let (up, root) = (self.choose(small, power(126), 1.0)?, self.choose(small, power(63), 1.0)?);
        let f = self.mul(x, up)?;
        let (f, roots) = self.normalise(f, vec![(root, |e| -e / 2)], 2)?;
        let h = self.times(f, 0.5)?;
        let start = self.times(f, RSQRT_START[1])?;
        let mut r = self.minus_from(RSQRT_START[0], start)?;
        for _ in 0..4 {
            let t = self.mul(r, r)?;
            let t = self.mul(h, t)?;
            let t = self.minus_from(1.5, t)?;
            r = self.mul(r, t)?;
        }
        let (zero, r) = (self.number(0.0)?, self.mul(r, roots[0])?);
        self.select(none, zero, r)
    }

    /// The factor that makes whole numbers of what has this largest magnitude, and its inverse.
    pub(super) fn scale(&mut self, max: ValueId, slices: Slices) -> Result<(ValueId, ValueId), OpError> {
        let head = slices.head();
        let max = self.at_least(max, power(-100))?;
        let small = self.below(max, 1.0)?;
        let lift = self.choose(small, power(100), 1.0)?;
        let f = self.mul(max, lift)?;
        let up = self.choose(small, power(head + 100), power(head))?;
        let unit = self.choose(small, power(-head - 100), power(-head))?;
        let (f, powers) = self.normalise(f, vec![(up, |e| -e), (unit, |e| e)], 1)?;
        let fits = self.below(f, (slices.limit() as f32 + 0.5) * power(-head))?;
        let (half, two) = (self.choose(fits, 1.0, 0.5)?, self.choose(fits, 1.0, 2.0)?);
        Ok((self.mul(powers[0], half)?, self.mul(powers[1], two)?))
    }

    pub(super) fn sigmoid(&mut self, x: ValueId) -> Made {
        let magnitude = self.one("Abs", x)?;
        let below = self.times(magnitude, -1.0)?;
        let e = self.exp(below)?;
        let d = self.plus(e, 1.0)?;
        let r = self.recip(d)?;
        let (negative, other) = (self.below(x, 0.0)?, self.mul(e, r)?);
        self.select(negative, other, r)
    }

    pub(super) fn swish(&mut self, x: ValueId, alpha: f32) -> Made {
        let inner = self.number(alpha)?;
        let inner = self.clean_mul(inner, x)?;
        let gate = self.sigmoid(inner)?;
        self.clean_mul(x, gate)
    }

    pub(super) fn tanh(&mut self, x: ValueId) -> Made {
        let magnitude = self.one("Abs", x)?;
        let magnitude = self.at_most(magnitude, 40.0)?;
        let t = self.times(magnitude, -2.0)?;
        let t = self.exp(t)?;
        let (up, down) = (self.minus_from(1.0, t)?, self.plus(t, 1.0)?);
        let r = self.recip(down)?;
        let y = self.clean_mul(up, r)?;
        let other = self.times(y, -1.0)?;
        let (negative, other) = (self.below(x, 0.0)?, self.flush(other)?);
        self.select(negative, other, y)
    }

    pub(super) fn gelu(&mut self, x: ValueId) -> Made {
        let z = self.one("Abs", x)?;
        let z = self.times(z, std::f32::consts::FRAC_1_SQRT_2)?;
        let z = self.at_most(z, 6.0)?;
        let d = self.times(z, ERFC[0])?;
        let d = self.plus(d, 1.0)?;
        let t = self.recip(d)?;
        let p = self.horner(t, &ERFC[1..])?;
        let p = self.mul(p, t)?;
        let square = self.mul(z, z)?;
        let square = self.times(square, -1.0)?;
        let e = self.exp(square)?;
        let tail = self.mul(p, e)?;
        let tail = self.times(tail, 0.5)?;
        let rest = self.minus_from(1.0, tail)?;
        let negative = self.below(x, 0.0)?;
        let gate = self.select(negative, tail, rest)?;
        self.clean_mul(x, gate)
    }

    pub(super) fn gelu_tanh(&mut self, x: ValueId) -> Made {
        let most = f64::from(GELU_TANH[2]);
        let c = self.op("Clip", &[x], &[("min", Attr::Float(-most)), ("max", Attr::Float(most))])?;
        let square = self.mul(c, c)?;
        let square = self.times(square, GELU_TANH[1])?;
        let square = self.plus(square, 1.0)?;
        let inner = self.times(c, GELU_TANH[0])?;
        let inner = self.mul(inner, square)?;
        let gate = self.sigmoid(inner)?;
        self.clean_mul(x, gate)
    }

    /// The sine, or the cosine, of an angle.
    pub(super) fn wave(&mut self, x: ValueId, cosine: bool) -> Made {
        let u = self.times(x, std::f32::consts::FRAC_2_PI)?;
        let k = self.one("Round", u)?;
        let f = self.sub(u, k)?;
        let square = self.mul(f, f)?;
        let s = self.horner(square, &SIN)?;
        let s = self.mul(s, f)?;
        let c = self.horner(square, &COS)?;
        let c = self.mul(c, square)?;
        let c = self.plus(c, 1.0)?;
        let quarters = self.times(k, 0.25)?;
        let quarters = self.one("Floor", quarters)?;
        let quarters = self.times(quarters, 4.0)?;
        let j = self.sub(k, quarters)?;
        let (minus_s, minus_c) = (self.times(s, -1.0)?, self.times(c, -1.0)?);
        let of = if cosine { [c, minus_s, minus_c, s] } else { [s, c, minus_s, minus_c] };
        let mut y = of[3];
        for (i, &value) in of[..3].iter().enumerate().rev() {
            let below = self.below(j, i as f32 + 0.5)?;
            y = self.select(below, value, y)?;
        }
        self.flush(y)
    }
}
