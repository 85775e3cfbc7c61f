//! Turning matrices of `f32` with AVX-512: the rows of a square become its columns in registers.

use std::arch::x86_64::{__m512, __m512i};

use pulp::NullaryFnOnce;
use pulp::x86::V4;

use crate::mat::MatMut;

/// The side of a square: a vector, and a line of a cache.
const SIDE: usize = 16;

/// For two rows so far apart, one behind the other: the places of the first's new elements, or of the second's. What lies on the wrong
/// side of the diagonal of a square twice as wide changes sides.
const fn exchanged(apart: usize, second: bool) -> [u32; SIDE] {
    let mut places = [0; SIDE];
    let mut i = 0;
    while i < SIDE {
        let right = i & apart != 0;
        places[i] = match (second, right) {
            (false, false) => i,
            (false, true) => SIDE + i - apart,
            (true, false) => i + apart,
            (true, true) => SIDE + i,
        } as u32;
        i += 1;
    }
    places
}

#[inline(always)]
fn exchange<const APART: usize>(simd: V4, rows: &mut [__m512; SIDE]) {
    let first: __m512i = bytemuck::cast(const { exchanged(APART, false) });
    let second: __m512i = bytemuck::cast(const { exchanged(APART, true) });
    for i in 0..SIDE {
        if i & APART == 0 {
            let (a, b) = (rows[i], rows[i + APART]);
            rows[i] = simd.avx512f._mm512_permutex2var_ps(a, first, b);
            rows[i + APART] = simd.avx512f._mm512_permutex2var_ps(a, second, b);
        }
    }
}

#[inline(always)]
fn turned(simd: V4, rows: &mut [__m512; SIDE]) {
    exchange::<8>(simd, rows);
    exchange::<4>(simd, rows);
    exchange::<2>(simd, rows);
    exchange::<1>(simd, rows);
}

/// `out[c * out_stride + r] = from[r * stride + c]`, for so many rows and columns of `from`.
#[inline(always)]
pub(crate) fn turn(
    simd: V4,
    (from, stride): (&[f32], usize),
    (rows, columns): (usize, usize),
    (out, out_stride): (&mut [f32], usize),
) {
    let (whole_rows, whole_columns) = (rows - rows % SIDE, columns - columns % SIDE);
    for row in (0..whole_rows).step_by(SIDE) {
        for column in (0..whole_columns).step_by(SIDE) {
            let mut square: [__m512; SIDE] = bytemuck::Zeroable::zeroed();
            for (r, line) in square.iter_mut().enumerate() {
                let from = &from[(row + r) * stride + column..][..SIDE];
                *line = bytemuck::pod_read_unaligned(bytemuck::cast_slice(from));
            }
            turned(simd, &mut square);
            for (c, line) in square.iter().enumerate() {
                let out: &mut [f32; SIDE] = match out[(column + c) * out_stride + row..].first_chunk_mut() {
                    Some(out) => out,
                    None => unreachable!("the rest is whole squares"),
                };
                *out = bytemuck::cast(*line);
            }
        }
    }
    for row in 0..rows {
        let first = if row < whole_rows { whole_columns } else { 0 };
        for column in first..columns {
            out[column * out_stride + row] = from[row * stride + column];
        }
    }
}

/// The columns of a result that are turned back together.
const LINE: usize = 256;

/// Turns a result back whose columns lie as the rows of `from`, and adds a bias to its rows.
#[inline(always)]
pub(crate) fn turn_back(
    simd: V4,
    (from, stride): (&[f32], usize),
    bias: Option<&[f32]>,
    out: &mut MatMut<'_>,
) {
    let (rows, columns) = (out.row_count(), out.col_count());
    let mut lines = [0.0; SIDE * LINE];
    for (row, column) in (0..rows).step_by(SIDE).flat_map(|r| (0..columns).step_by(LINE).map(move |c| (r, c)))
    {
        let (rows, columns) = (SIDE.min(rows - row), LINE.min(columns - column));
        turn(simd, (&from[column * stride + row..], stride), (columns, rows), (&mut lines, LINE));
        for (r, line) in lines.chunks_exact(LINE).take(rows).enumerate() {
            let out = &mut out.row(row + r)[column..column + columns];
            match bias {
                Some(bias) => {
                    out.iter_mut().zip(line).zip(&bias[column..]).for_each(|((o, sum), b)| *o = sum + b)
                }
                None => out.copy_from_slice(&line[..columns]),
            }
        }
    }
}

/// [`turn_back`] where nothing else is done.
pub(crate) struct TurnBack<'a, 'o> {
    pub(crate) simd: V4,
    pub(crate) from: (&'a [f32], usize),
    pub(crate) out: MatMut<'o>,
}

impl NullaryFnOnce for TurnBack<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn call(mut self) {
        turn_back(self.simd, self.from, None, &mut self.out);
    }
}

/// [`turn`] where nothing else is done.
pub(crate) struct Turn<'a> {
    pub(crate) simd: V4,
    pub(crate) from: (&'a [f32], usize),
    pub(crate) size: (usize, usize),
    pub(crate) out: (&'a mut [f32], usize),
}

impl NullaryFnOnce for Turn<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        turn(self.simd, self.from, self.size, self.out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_turned() {
        let Some(simd) = V4::try_new() else {
            println!("skipped: this processor has no AVX-512");
            return;
        };
        for size @ (rows, columns) in [(16, 16), (1, 40), (33, 16), (20, 50), (5, 300), (0, 3), (3, 0)] {
            let from: Vec<f32> = (0..rows * (columns + 3)).map(|i| i as f32).collect();
            let mut out = vec![0.0; columns * (rows + 2)];
            simd.vectorize(Turn { simd, from: (&from, columns + 3), size, out: (&mut out, rows + 2) });
            for (r, c) in (0..rows).flat_map(|r| (0..columns).map(move |c| (r, c))) {
                assert_eq!(out[c * (rows + 2) + r], from[r * (columns + 3) + c], "{rows} {columns}");
            }
            let mut back = vec![0.0; rows * columns];
            let matrix = MatMut::new(&mut back, rows, columns, columns);
            simd.vectorize(TurnBack { simd, from: (&out, rows + 2), out: matrix });
            for (i, &value) in back.iter().enumerate() {
                assert_eq!(value, from[i / columns * (columns + 3) + i % columns], "{rows} {columns}");
            }
        }
    }
}
