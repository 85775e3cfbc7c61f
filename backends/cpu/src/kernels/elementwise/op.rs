//! The operations of elementwise programs, each a loop over one block.

use half::{bf16, f16};

use crate::kernels::exact::functions as exact;
use crate::math;
use crate::simd::Level;

/// One operation on blocks of `f32`; truth values are 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Op {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Min,
    Max,
    Equal,
    Less,
    Greater,
    And,
    Or,
    Not,
    /// The second where the first is true, the third elsewhere.
    Where,
    Neg,
    Abs,
    Exp,
    Log,
    Sqrt,
    Reciprocal,
    Sin,
    Cos,
    Tanh,
    Sigmoid,
    Relu,
    Swish(f32),
    Gelu,
    GeluTanh,
    Erf,
    Floor,
    Round,
    Clip(f32, f32),
    /// x + sin(alpha x)^2 / (alpha + eps), alpha the second operand.
    Snake(f32),
    LeakyRelu(f32),
    Softplus,
    Copy,
    /// Whether it is not zero.
    Truth,
    /// Rounding to `f16` and back.
    ToF16,
    /// Rounding to `bf16` and back.
    ToBF16,
    /// Made clean, as reproducible numerics have it; so are the following.
    Clean,
    CleanAdd,
    CleanSub,
    CleanMul,
    ExactSigmoid,
    ExactSwish(f32),
    ExactExp,
    ExactTanh,
    ExactGelu,
    ExactGeluTanh,
    ExactSin,
    ExactCos,
}

impl Op {
    /// The number of operands.
    pub(crate) fn arity(self) -> usize {
        match self {
            Op::Where => 3,
            Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Pow | Op::Min | Op::Max => 2,
            Op::Equal | Op::Less | Op::Greater | Op::And | Op::Or | Op::Snake(_) => 2,
            Op::CleanAdd | Op::CleanSub | Op::CleanMul => 2,
            _ => 1,
        }
    }

    /// Computes one block; operands beyond the arity are ignored, all are as long as `out`.
    pub(crate) fn apply(self, level: Level, out: &mut [f32], a: &[f32], b: &[f32], c: &[f32]) {
        match self.arity() {
            1 => self.unary(level, out, a),
            2 => self.binary(level, out, a, b),
            _ => select(level, out, a, b, c),
        }
    }

    fn binary(self, level: Level, out: &mut [f32], a: &[f32], b: &[f32]) {
        match self {
            Op::Add => zip(
                level,
                out,
                a,
                b,
                #[inline(always)]
                |a, b| a + b,
            ),
            Op::Sub => zip(
                level,
                out,
                a,
                b,
                #[inline(always)]
                |a, b| a - b,
            ),
            Op::Mul => zip(
                level,
                out,
                a,
                b,
                #[inline(always)]
                |a, b| a * b,
            ),
            Op::Div => zip(
                level,
                out,
                a,
                b,
                #[inline(always)]
                |a, b| a / b,
            ),
            Op::Pow => zip(level, out, a, b, math::pow),
            Op::Min => zip(
                level,
                out,
                a,
                b,
                #[inline(always)]
                |a, b| if a < b || a.is_nan() { a } else { b },
            ),
            Op::Max => zip(
                level,
                out,
                a,
                b,
                #[inline(always)]
                |a, b| if a > b || a.is_nan() { a } else { b },
            ),
            Op::Equal => zip(
                level,
                out,
                a,
                b,
                #[inline(always)]
                |a, b| truth(a == b),
            ),
            Op::Less => zip(
                level,
                out,
                a,
                b,
                #[inline(always)]
                |a, b| truth(a < b),
            ),
            Op::Greater => zip(
                level,
                out,
                a,
                b,
                #[inline(always)]
                |a, b| truth(a > b),
            ),
            Op::And => zip(
                level,
                out,
                a,
                b,
                #[inline(always)]
                |a, b| a * b,
            ),
            Op::Or => zip(
                level,
                out,
                a,
                b,
                #[inline(always)]
                |a, b| if a > b { a } else { b },
            ),
            Op::Snake(eps) => snake(level, out, a, b, eps),
            Op::CleanAdd => zip(level, out, a, b, exact::add),
            Op::CleanSub => zip(level, out, a, b, exact::sub),
            Op::CleanMul => zip(level, out, a, b, exact::mul),
            _ => unreachable!("not an operation on two operands"),
        }
    }

    fn unary(self, level: Level, out: &mut [f32], a: &[f32]) {
        match self {
            Op::Not => map(
                level,
                out,
                a,
                #[inline(always)]
                |x| 1.0 - x,
            ),
            Op::Neg => map(
                level,
                out,
                a,
                #[inline(always)]
                |x| -x,
            ),
            Op::Abs => map(
                level,
                out,
                a,
                #[inline(always)]
                |x| x.abs(),
            ),
            Op::Exp => map(level, out, a, math::exp),
            Op::Log => map(level, out, a, math::ln),
            Op::Sqrt => map(
                level,
                out,
                a,
                #[inline(always)]
                |x| x.sqrt(),
            ),
            Op::Reciprocal => map(
                level,
                out,
                a,
                #[inline(always)]
                |x| 1.0 / x,
            ),
            Op::Sin => angle(level, out, a, math::sin, f64::sin),
            Op::Cos => angle(level, out, a, math::cos, f64::cos),
            Op::Tanh => map(level, out, a, math::tanh),
            Op::Sigmoid => map(level, out, a, math::sigmoid),
            Op::Relu => map(
                level,
                out,
                a,
                #[inline(always)]
                |x| if x < 0.0 { 0.0 } else { x },
            ),
            Op::Swish(alpha) => map(
                level,
                out,
                a,
                #[inline(always)]
                |x| math::swish(x, alpha),
            ),
            Op::Gelu => map(level, out, a, math::gelu),
            Op::GeluTanh => map(level, out, a, math::gelu_tanh),
            Op::Erf => map(level, out, a, math::erf),
            Op::Floor => map(
                level,
                out,
                a,
                #[inline(always)]
                |x| x.floor(),
            ),
            Op::Round => map(
                level,
                out,
                a,
                #[inline(always)]
                |x| x.round_ties_even(),
            ),
            Op::Clip(min, max) => map(
                level,
                out,
                a,
                #[inline(always)]
                |x| {
                    let x = if x < min { min } else { x };
                    if x > max { max } else { x }
                },
            ),
            Op::LeakyRelu(alpha) => map(
                level,
                out,
                a,
                #[inline(always)]
                |x| if x < 0.0 { alpha * x } else { x },
            ),
            Op::Softplus => map(level, out, a, math::softplus),
            Op::Copy => out.copy_from_slice(a),
            Op::Truth => map(
                level,
                out,
                a,
                #[inline(always)]
                |x| truth(x != 0.0),
            ),
            Op::ToF16 => map(
                level,
                out,
                a,
                #[inline(always)]
                |x| f16::from_f32(x).to_f32(),
            ),
            Op::ToBF16 => map(
                level,
                out,
                a,
                #[inline(always)]
                |x| bf16::from_f32(x).to_f32(),
            ),
            Op::Clean => map(level, out, a, exact::clean),
            Op::ExactSigmoid => map(level, out, a, exact::sigmoid),
            Op::ExactSwish(alpha) => map(
                level,
                out,
                a,
                #[inline(always)]
                |x| exact::swish(x, alpha),
            ),
            Op::ExactExp => map(level, out, a, exact::exp_wide),
            Op::ExactTanh => map(level, out, a, exact::tanh),
            Op::ExactGelu => map(level, out, a, exact::gelu),
            Op::ExactGeluTanh => map(level, out, a, exact::gelu_tanh),
            Op::ExactSin => map(
                level,
                out,
                a,
                #[inline(always)]
                |x| exact::wave(x, false),
            ),
            Op::ExactCos => map(
                level,
                out,
                a,
                #[inline(always)]
                |x| exact::wave(x, true),
            ),
            _ => unreachable!("not an operation on one operand"),
        }
    }
}

#[inline(always)]
fn truth(condition: bool) -> f32 {
    if condition { 1.0 } else { 0.0 }
}

// The loops are functions of their own: the compiler knows of their arguments that they do not
// overlap, which it does not know of what a closure captures.

#[inline(always)]
fn map(level: Level, out: &mut [f32], a: &[f32], f: impl Fn(f32) -> f32 + Copy) {
    #[inline(always)]
    fn each(out: &mut [f32], a: &[f32], f: impl Fn(f32) -> f32 + Copy) {
        for (o, &x) in out.iter_mut().zip(a) {
            *o = f(x);
        }
    }
    level.loops(
        #[inline(always)]
        move || each(out, a, f),
    );
}

#[inline(always)]
fn zip(level: Level, out: &mut [f32], a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32 + Copy) {
    #[inline(always)]
    fn each(out: &mut [f32], a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32 + Copy) {
        for ((o, &x), &y) in out.iter_mut().zip(a).zip(b) {
            *o = f(x, y);
        }
    }
    level.loops(
        #[inline(always)]
        move || each(out, a, b, f),
    );
}

fn select(level: Level, out: &mut [f32], condition: &[f32], a: &[f32], b: &[f32]) {
    #[inline(always)]
    fn each(out: &mut [f32], condition: &[f32], a: &[f32], b: &[f32]) {
        for (((o, &c), &x), &y) in out.iter_mut().zip(condition).zip(a).zip(b) {
            *o = if c != 0.0 { x } else { y };
        }
    }
    level.loops(
        #[inline(always)]
        move || each(out, condition, a, b),
    );
}

/// A function of an angle: vectorised, and again by the standard library where a block holds
/// angles beyond the reach of the quick reduction.
#[inline(always)]
fn angle(level: Level, out: &mut [f32], a: &[f32], quick: impl Fn(f32) -> f32 + Copy, exact: fn(f64) -> f64) {
    map(level, out, a, quick);
    if a.iter().any(|x| x.abs() > math::ANGLE_LIMIT) {
        for (o, &x) in out.iter_mut().zip(a).filter(|(_, x)| x.abs() > math::ANGLE_LIMIT) {
            *o = exact(f64::from(x)) as f32;
        }
    }
}

fn snake(level: Level, out: &mut [f32], a: &[f32], alpha: &[f32], eps: f32) {
    zip(
        level,
        out,
        a,
        alpha,
        #[inline(always)]
        |x, alpha| {
            let s = math::sin(alpha * x);
            x + s * s / (alpha + eps)
        },
    );
    let far = |x: f32, alpha: f32| (x * alpha).abs() > math::ANGLE_LIMIT;
    if a.iter().zip(alpha).any(|(&x, &alpha)| far(x, alpha)) {
        for ((o, &x), &alpha) in out.iter_mut().zip(a).zip(alpha).filter(|((_, x), alpha)| far(**x, **alpha))
        {
            let s = f64::from(alpha * x).sin() as f32;
            *o = x + s * s / (alpha + eps);
        }
    }
}
