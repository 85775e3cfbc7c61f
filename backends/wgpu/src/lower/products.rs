//! Rules of the ops that multiply matrices.

use std::ops::Range;

use kinograph_backend::Refusal;
use kinograph_graph::exact::Slices;
use kinograph_graph::{DType, Node};

use super::builder::{Builder, LowerError, Lowered, Step, input};
use super::elementwise;
use crate::layout::{View, three_axes};
use crate::shader::{self, Kernel, Multiply, Shader, Square, constant, operand, result};

pub(super) fn word(value: isize) -> u32 {
    value as i32 as u32
}

pub(super) fn step(
    node: &Node,
    shader: Shader,
    reads: Vec<usize>,
    out: &View,
    params: Vec<u32>,
    grid: [u32; 3],
    cost: u64,
) -> Step {
    Step { node: node.name.clone(), shader, reads, writes: vec![out.root], params, grid, cost }
}

/// One matrix product in a batch of them, by strides.
#[derive(Clone)]
struct Product {
    a: View,
    /// Where the first element of each row and column lies, and the distances along the inner and the column axis.
    b: View,
    inner_stride: isize,
    column_stride: isize,
    rows: usize,
    inner: usize,
    columns: usize,
    /// Sizes of the leading axes, and the strides of both over them.
    lead: [usize; 3],
    a_lead: [isize; 3],
    b_lead: [isize; 3],
    /// In each result of the batch: the first element and its column, and the elements of a row and of all.
    first: usize,
    column: usize,
    width: usize,
    whole: usize,
    /// Where the units of both operands stand, if they are whole numbers.
    units: Option<Units>,
}

/// Where the units of whole numbers stand in the storages of both operands, in words.
#[derive(Clone, Copy)]
pub(super) struct Units {
    pub(super) slices: Slices,
    pub(super) a: usize,
    pub(super) b: usize,
}

impl Product {
    /// Whether both operands lie along the axis of the sums in whole groups of so many elements, which are loaded together.
    fn along(&self, together: isize) -> bool {
        let rank = self.a.shape.len();
        let strides = [self.a.strides[rank - 2], self.column_stride, self.inner as isize];
        let starts = [self.a.start as isize, self.b.start as isize];
        let mut all = strides.iter().chain(&starts).chain(&self.a_lead).chain(&self.b_lead);
        self.a.strides[rank - 1] == 1 && self.inner_stride == 1 && all.all(|n| n % together == 0)
    }

    /// Whether matrices of that size multiply it: both operands are halves that lie as drivers want them, each row behind the one before, as
    /// what is loaded together is not held against the ends of a buffer.
    fn is_of_squares(&self, square: Square) -> bool {
        let tile = 2 * square.side as usize;
        let fits = self.units.is_none() && self.rows >= tile && self.columns >= tile;
        let halves = self.a.half && self.b.stored() == DType::F16;
        let rows = [self.a.strides[self.a.shape.len() - 2], self.column_stride];
        let follow = rows.iter().all(|&stride| stride >= self.inner as isize)
            && self.a_lead.iter().chain(&self.b_lead).all(|&stride| stride >= 0);
        fits && halves && follow && self.along(16)
    }

    /// Some of its rows and columns.
    fn part(&self, rows: Range<usize>, columns: Range<usize>) -> Self {
        let moved = |start: usize, by: usize, stride: isize| (start as isize + by as isize * stride) as usize;
        let mut part = self.clone();
        part.a.start = moved(self.a.start, rows.start, self.a.strides[self.a.shape.len() - 2]);
        part.b.start = moved(self.b.start, columns.start, self.column_stride);
        part.first += rows.start * self.width + columns.start;
        part.column += columns.start;
        (part.rows, part.columns) = (rows.len(), columns.len());
        part
    }
}

/// Adds the steps of a product: with whole matrices by what multiplies them, and the rest of its rows and columns as they are.
fn product(b: &mut Builder<'_>, node: &Node, p: &Product, bias: Option<&View>, out: &View) -> Lowered {
    let squares = b.traits.squares.filter(|&square| p.is_of_squares(square));
    let Some(square) = squares else { return tiled(b, node, p, bias, out) };
    let tile = 2 * square.side as usize;
    let (rows, columns) = (p.rows / tile * tile, p.columns / tile * tile);
    let mut declarations = declarations(p, bias, out);
    declarations.push(shader::PLAIN_BIAS.into());
    declarations.extend(square.declarations());
    dispatch(
        b,
        node,
        &p.part(0..rows, 0..columns),
        bias,
        out,
        (shader::GEMM_HALVES, declarations, [tile; 2]),
    )?;
    if columns < p.columns {
        tiled(b, node, &p.part(0..rows, columns..p.columns), bias, out)?;
    }
    if rows < p.rows {
        tiled(b, node, &p.part(rows..p.rows, 0..p.columns), bias, out)?;
    }
    Ok(())
}

fn declarations(p: &Product, bias: Option<&View>, out: &View) -> Vec<String> {
    let mut declarations = result(out);
    declarations.extend([
        constant("BIAS", bias.is_some()),
        operand("OfA", p.a.half),
        operand("OfBias", bias.is_some_and(|v| v.half)),
    ]);
    declarations
}

/// Adds the steps of a product whose invocations compute 16 rows of two columns each, but for whole numbers by cooperative matrices.
fn tiled(b: &mut Builder<'_>, node: &Node, p: &Product, bias: Option<&View>, out: &View) -> Lowered {
    let stored = p.b.stored();
    let mut declarations = declarations(p, bias, out);
    let mut tile = [16, 2 * b.traits.variant.lanes as usize];
    let kernel = match p.units {
        Some(units) => {
            declarations.extend(shader::whole(units.slices));
            match b.traits.variant.multiply {
                Multiply::Dots => shader::GEMM_DOTS,
                Multiply::Floats => {
                    declarations.push(shader::EIGHT_WHOLE.into());
                    shader::GEMM_EXACT
                }
                Multiply::Matrices(square) => {
                    declarations.extend(square.declarations());
                    tile = [square.side, 2 * square.side].map(|n| n as usize);
                    shader::GEMM_MATRICES
                }
            }
        }
        None if p.along(8) => {
            declarations.extend([shader::PLAIN_BIAS.into(), shader::eight_elements(stored)]);
            shader::GEMM_ALONG
        }
        None => {
            declarations.extend([shader::PLAIN_BIAS.into(), shader::element(stored)]);
            shader::GEMM
        }
    };
    dispatch(b, node, p, bias, out, (kernel, declarations, tile))
}

/// Adds the dispatches of a product's kernel, whose workgroups compute so many rows and columns.
fn dispatch(
    b: &mut Builder<'_>,
    node: &Node,
    p: &Product,
    bias: Option<&View>,
    out: &View,
    (kernel, declarations, [tall, wide]): (Kernel, Vec<String>, [usize; 2]),
) -> Lowered {
    let rank = p.a.shape.len();
    let mut params = vec![
        0,
        p.rows as u32,
        p.inner as u32,
        p.columns as u32,
        p.a.start as u32,
        word(p.a.strides[rank - 2]),
        word(p.a.strides[rank - 1]),
        p.b.start as u32,
        word(p.inner_stride),
        word(p.column_stride),
        (out.start + p.first) as u32,
        p.width as u32,
        p.whole as u32,
        bias.map_or(0, |v| v.start + p.column) as u32,
        0,
        p.lead[1] as u32,
        p.lead[2] as u32,
        p.units.map_or(0, |units| units.a) as u32,
        p.units.map_or(0, |units| units.b) as u32,
        0,
        word(p.a_lead[0]),
        word(p.a_lead[1]),
        word(p.a_lead[2]),
        0,
        word(p.b_lead[0]),
        word(p.b_lead[1]),
        word(p.b_lead[2]),
        0,
    ];
    let batch: usize = p.lead.iter().product();
    let grid = [p.columns.div_ceil(wide) as u32, p.rows.div_ceil(tall) as u32, batch as u32];
    let mut reads = vec![p.a.root, p.b.root, bias.map_or(p.a.root, |v| v.root)];
    let shader = b.finished(kernel, &declarations, &mut params, &mut reads);
    let cost = 2 * (batch * p.rows * p.columns * p.inner.max(1)) as u64;
    b.step_cut(node, step(node, shader, reads, out, params, grid, cost), 1, 14)
}

/// A result of sums of nothing: the bias alone, or zeros.
pub(super) fn nothing_to_sum(b: &mut Builder<'_>, node: &Node, bias: Option<View>, out: &View) -> Lowered {
    let zero = b.constant(out.dtype, &[1], vec![0; 4])?;
    let from = bias.unwrap_or(zero).broadcast(&out.shape);
    elementwise::copy(b, &node.name, &from, out)
}

/// The rows of a tensor along its last axis, as a matrix.
pub(super) fn matrix(b: &mut Builder<'_>, node: &Node, x: View) -> Result<View, LowerError> {
    let (rows, inner) = (x.shape[..x.shape.len() - 1].iter().product(), x.shape[x.shape.len() - 1]);
    b.reshaped(node, &x, &[rows, inner])
}

pub(super) fn linear(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let out = b.view(node.outputs[0])?;
    let (x, weight) = (b.view(input(node, 0)?)?, input(node, 1)?);
    let bias = node.input(2).map(|id| b.dense(node, id)).transpose()?;
    let [columns, inner] = b.desc(weight).shape[..] else { return Err(Refusal::Op.into()) };
    if out.elements() == 0 {
        return Ok(());
    }
    if inner == 0 {
        return nothing_to_sum(b, node, bias, &out);
    }
    let a = matrix(b, node, x)?;
    for (part, first) in b.packed(weight)? {
        rows_by_weight(b, node, &a, part, (first, columns), None, bias.as_ref(), &out)?;
    }
    Ok(())
}

/// The product of the rows of a matrix with some rows of a weight: `place` is the first column of the result, and how many there are in all.
#[expect(
    clippy::too_many_arguments,
    reason = "a struct of them would be built in two places and read in one"
)]
pub(super) fn rows_by_weight(
    b: &mut Builder<'_>,
    node: &Node,
    a: &View,
    weight: View,
    (first, width): (usize, usize),
    units: Option<Units>,
    bias: Option<&View>,
    out: &View,
) -> Lowered {
    let p = Product {
        a: a.clone(),
        rows: a.shape[0],
        inner: a.shape[1],
        columns: weight.shape[0].min(width),
        inner_stride: weight.strides[1],
        column_stride: weight.strides[0],
        b: weight,
        lead: [1; 3],
        a_lead: [0; 3],
        b_lead: [0; 3],
        first,
        column: first,
        width,
        whole: a.shape[0] * width,
        units,
    };
    product(b, node, &p, bias, out)
}

pub(super) fn mat_mul(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let out = b.view(node.outputs[0])?;
    let (a, w) = (b.view(input(node, 0)?)?, b.view(input(node, 1)?)?);
    if out.elements() == 0 {
        return Ok(());
    }
    if a.shape.last() == Some(&0) {
        return nothing_to_sum(b, node, None, &out);
    }
    products(b, node, a, w, None, &out)
}

/// Matrix products over leading axes that broadcast.
pub(super) fn products(
    b: &mut Builder<'_>,
    node: &Node,
    a: View,
    w: View,
    units: Option<Units>,
    out: &View,
) -> Lowered {
    let rank = out.shape.len();
    let (rows, inner, columns) = (out.shape[rank - 2], a.shape[a.shape.len() - 1], out.shape[rank - 1]);
    let lead = &out.shape[..rank - 2];
    let over = |view: &View| {
        let own = view.shape.len() - 2;
        View { shape: view.shape[..own].to_vec(), strides: view.strides[..own].to_vec(), ..view.clone() }
            .broadcast(lead)
            .strides
    };
    let Some((sizes, [a_lead, b_lead])) = three_axes(lead, [over(&a), over(&w)]) else {
        return Err(Refusal::Rank(rank).into());
    };
    let wr = w.shape.len();
    let p = Product {
        lead: sizes,
        a_lead,
        b_lead,
        inner_stride: w.strides[wr - 2],
        column_stride: w.strides[wr - 1],
        a,
        b: w,
        rows,
        inner,
        columns,
        first: 0,
        column: 0,
        width: columns,
        whole: rows * columns,
        units,
    };
    product(b, node, &p, None, out)
}
