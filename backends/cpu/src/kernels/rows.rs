//! Sums over contiguous elements, in a fixed order: so many running sums, one a lane, joined at the end. The order is the same at every
//! SIMD level.

use crate::simd::Level;

/// Several vectors, so that an addition need not wait for the one before.
const LANES: usize = 64;
/// Sums in `f32` lanes are carried over to `f64` this often.
const CARRY: usize = 64 * LANES;

/// Folds elements into lanes; the remainder goes to the first lanes.
#[inline(always)]
fn lanes(row: &[f32], f: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    let mut lanes = [0.0; LANES];
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

/// The sum of all lanes, in halves.
#[inline(always)]
fn joined(lanes: &[f32; LANES]) -> f64 {
    let mut wide = [0.0; LANES / 4];
    for quarter in lanes.chunks_exact(LANES / 4) {
        wide.iter_mut().zip(quarter).for_each(|(sum, &v)| *sum += f64::from(v));
    }
    let mut half = wide.len() / 2;
    while half > 0 {
        let (low, high) = wide.split_at_mut(half);
        low.iter_mut().zip(high).for_each(|(low, high)| *low += *high);
        half /= 2;
    }
    wide[0]
}

#[inline(always)]
fn wide_sum(row: &[f32], f: impl Fn(f32, f32) -> f32) -> f64 {
    row.chunks(CARRY).map(|part| joined(&lanes(part, &f))).sum()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_summed_once() {
        for n in [0, 1, 63, 64, 65, 1000, CARRY - 1, CARRY, 3 * CARRY + 70] {
            let row: Vec<f32> = (0..n).map(|i| (i % 5) as f32).collect();
            let due: f64 = row.iter().map(|&v| f64::from(v)).sum();
            let squares: f64 = row.iter().map(|&v| f64::from(v - 1.0).powi(2)).sum();
            for level in Level::available() {
                assert_eq!(
                    (sum(level, &row), sum_of_squares(level, &row, 1.0)),
                    (due, squares),
                    "{n} {level:?}"
                );
            }
        }
    }
}
