//! Linear layers by the tile that convolutions use: rows of the weight are its left operand, and rows of X, turned, its right one. Nothing of
//! the weight has to be rearranged: at most its rows are widened. The result comes out turned too.

use pulp::x86::V4;
use pulp::{NullaryFnOnce, WithSimd};

use super::micro::{GROUP, Left, Product};
use super::turn::{turn, turn_back};
use crate::mat::MatMut;
use crate::memory::Floats;

/// The rows of X of one task: whole tiles of three groups of columns.
pub(crate) const ROWS: usize = 240;
/// The most output features of one task.
pub(crate) const COLS: usize = 512;
/// The most results of one task.
pub(crate) const RESULTS: usize = ROWS * 256;
/// The input features that are gone through at a time. With the constants above, what a task works on fills most of a second-level cache.
const DEPTH: usize = 256;
/// Rows of X that are turned together, into lines that lie one behind the other: the columns of one tile. Longer lines would fall on few
/// of a cache's.
const PANEL: usize = 3 * GROUP;
/// Elements between the rows of the weight's copy, so that they do not all fall on the same lines of a cache.
const APART: usize = 16;

/// Some rows of X by some of the weight.
pub(crate) struct WeightsLeft<'a> {
    pub(crate) simd: V4,
    /// `[rows, inner]`.
    pub(crate) x: &'a [f32],
    /// `[columns, inner]`.
    pub(crate) weight: Floats<'a>,
    pub(crate) bias: Option<&'a [f32]>,
    pub(crate) inner: usize,
    pub(crate) out: MatMut<'a>,
    pub(crate) scratch: &'a mut [f32],
}

/// The parts of the scratch memory: a copy of the weight, X and the result turned.
fn parts(rows: usize, columns: usize, inner: usize) -> [usize; 3] {
    let depth = DEPTH.min(inner);
    [columns * (depth + APART), depth * rows.next_multiple_of(PANEL), columns * rows.next_multiple_of(GROUP)]
}

/// The elements of scratch memory that a task takes.
pub(crate) fn scratch(rows: usize, columns: usize, inner: usize) -> usize {
    parts(rows, columns, inner).iter().sum()
}

/// The most that a task with some of so many rows and columns takes.
pub(crate) fn most_scratch(rows: usize, columns: usize, inner: usize) -> usize {
    let (rows, columns) = (rows.min(ROWS), columns.next_multiple_of(8).min(COLS));
    let [of_weight, of_x, of_sums] = parts(rows, columns, inner);
    of_weight + of_x + of_sums.min(RESULTS)
}

impl NullaryFnOnce for WeightsLeft<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, x, weight, bias, inner, mut out, scratch } = self;
        let (rows, columns) = (out.row_count(), out.col_count());
        let [of_weight, of_x, of_sums] = parts(rows, columns, inner);
        let (copy, scratch) = scratch.split_at_mut(of_weight);
        let (turned, sums) = scratch.split_at_mut(of_x);
        let (sums, width) = (&mut sums[..of_sums], rows.next_multiple_of(GROUP));
        let offsets: [usize; DEPTH] = std::array::from_fn(|k| k * PANEL);
        if width > rows {
            turned.fill(0.0);
        }
        if inner == 0 {
            sums.fill(0.0);
        }
        for start in (0..inner).step_by(DEPTH) {
            let depth = DEPTH.min(inner - start);
            let panels = turned.chunks_exact_mut(depth * PANEL).zip((0..rows).step_by(PANEL));
            for (panel, row) in panels {
                let (x, rows) = (&x[row * inner + start..], PANEL.min(rows - row));
                turn(simd, (x, inner), (rows, depth), (panel, PANEL));
            }
            let positions: [usize; ROWS / GROUP] =
                std::array::from_fn(|group| group / 3 * depth * PANEL + group % 3 * GROUP);
            let left = match weight.as_f32() {
                Some(weight) => Left::Rows { data: &weight[start..], stride: inner },
                None => {
                    for (c, copy) in copy.chunks_exact_mut(depth + APART).take(columns).enumerate() {
                        weight.slice(c * inner + start, depth).widen_into(&mut copy[..depth]);
                    }
                    Left::Rows { data: &*copy, stride: depth + APART }
                }
            };
            let product = Product {
                left,
                rows: columns,
                right: turned,
                offsets: &offsets[..depth],
                positions: &positions[..width / GROUP],
                out: sums,
                stride: width,
                accumulate: start > 0,
            };
            product.with_simd(simd);
        }
        turn_back(simd, (sums, width), bias, &mut out);
    }
}
