//! Reductions over contiguous elements, in a fixed order: sixteen running results, one a lane,
//! joined at the end. The order is the same at every SIMD level.

use crate::math;
use crate::simd::Level;

const LANES: usize = 16;
/// Sums in `f32` lanes are carried over to `f64` this often.
const CARRY: usize = 64 * LANES;

/// Folds elements into lanes; the remainder goes to the first lanes.
#[inline(always)]
fn lanes<T: Copy>(row: &[T], start: f32, f: impl Fn(f32, T) -> f32) -> [f32; LANES] {
    let mut lanes = [start; LANES];
    let mut chunks = row.chunks_exact(LANES);
    for chunk in &mut chunks {
        for (lane, &v) in lanes.iter_mut().zip(chunk) {
            *lane = f(*lane, v);
        }
    }
    for (lane, &v) in lanes.iter_mut().zip(chunks.remainder()) {
        *lane = f(*lane, v);
    }
    lanes
}

#[inline(always)]
fn wide_sum(row: &[f32], f: impl Fn(f32, f32) -> f32) -> f64 {
    row.chunks(CARRY).map(|part| lanes(part, 0.0, &f).iter().map(|&v| f64::from(v)).sum::<f64>()).sum()
}

/// The sum.
pub(crate) fn sum(level: Level, row: &[f32]) -> f64 {
    level.loops(
        #[inline(always)]
        move || wide_sum(row, |s, v| s + v),
    )
}

/// The sum of squares of the differences to a number.
pub(crate) fn sum_of_squares(level: Level, row: &[f32], from: f32) -> f64 {
    level.loops(
        #[inline(always)]
        move || wide_sum(row, |s, v| s + (v - from) * (v - from)),
    )
}

/// The largest element, NaN left aside; -inf of nothing.
pub(crate) fn max(level: Level, row: &[f32]) -> f32 {
    level.loops(
        #[inline(always)]
        move || {
            let larger = |m: f32, v: f32| if v > m { v } else { m };
            lanes(row, f32::NEG_INFINITY, larger).into_iter().fold(f32::NEG_INFINITY, larger)
        },
    )
}

/// Replaces each element by e^(x - top), and gives their sum.
pub(crate) fn exp_sum(level: Level, row: &mut [f32], top: f32) -> f32 {
    level.loops(
        #[inline(always)]
        move || {
            for v in &mut *row {
                *v = math::exp(*v - top);
            }
            lanes(row, 0.0, |s, v| s + v).iter().map(|&v| f64::from(v)).sum::<f64>() as f32
        },
    )
}

/// Multiplies each element.
pub(crate) fn scale(level: Level, row: &mut [f32], by: f32) {
    level.loops(
        #[inline(always)]
        || row.iter_mut().for_each(|v| *v *= by),
    );
}
