//! Linear layers and matrix products.

use super::{SLICES, floats, flops_of, only_f32, parameter, slices, tensor};
use crate::exact::{self, Whole};
use crate::ops::util::{self, broadcast_offset, output_of};
use crate::ops::{linear, mat_mul};
use crate::tensor::for_each_index;
use crate::{Args, Bound, InputSpec, OpDef, OpError, Tensor, TensorDesc, Types};

pub(in crate::ops) static LINEAR: OpDef = OpDef {
    name: "exact.Linear",
    doc: "x W^T + b in block integers: each row of x and of W in whole numbers, the sums of their products exact in \
          chunks of 1024.",
    inputs: &[
        InputSpec::required("X", Types::Float),
        InputSpec::required("W", Types::Float),
        InputSpec::optional("B", Types::Float),
    ],
    outputs: &["Y"],
    variadic_outputs: false,
    attrs: &[SLICES],
    infer: |args| infer(args, &linear::DEF),
    reference: reference_linear,
    bound: Bound::Exact,
    flops: |args, outputs| flops_of("Linear")(args, outputs),
};

pub(in crate::ops) static MAT_MUL: OpDef = OpDef {
    name: "exact.MatMul",
    doc: "Matrix products [..., M, K] x [..., K, N] in block integers: each row of A and each column of B in whole \
          numbers, the sums of their products exact in chunks of 1024.",
    inputs: &[InputSpec::required("A", Types::Float), InputSpec::required("B", Types::Float)],
    outputs: &["Y"],
    variadic_outputs: false,
    attrs: &[SLICES],
    infer: |args| infer(args, &mat_mul::DEF),
    reference: reference_mat_mul,
    bound: Bound::Exact,
    flops: |args, outputs| flops_of("MatMul")(args, outputs),
};

fn infer(args: &Args<'_, TensorDesc>, like: &OpDef) -> Result<Vec<TensorDesc>, OpError> {
    slices(args.attrs)?;
    only_f32(args.inputs.iter().flatten().copied())?;
    (like.infer)(args)
}

/// The rows of a matrix in whole numbers.
fn rows(data: &[f32], length: usize, count: usize, slices: exact::Slices) -> Vec<Whole> {
    (0..count).map(|r| exact::whole(&data[r * length..(r + 1) * length], slices)).collect()
}

/// The product of two rows.
pub(super) fn product(a: &Whole, b: &Whole) -> f32 {
    let terms = a.numbers.iter().zip(&b.numbers).map(|(&a, &b)| (a, b));
    exact::scaled(exact::dot(terms), a.unit, b.unit)
}

fn reference_linear(args: &Args<'_, Tensor>) -> Result<Vec<Tensor>, OpError> {
    let desc = output_of(args)?;
    let (x, w, bias, slices) = (args.input(0)?, args.input(1)?, args.optional(2), slices(args.attrs)?);
    let (out, inner) = (w.shape()[0], w.shape()[1]);
    let count = util::count(&x.shape()[..x.shape().len() - 1]);
    let (x, w) = (rows(&floats(x), inner, count, slices), rows(&floats(w), inner, out, slices));
    let row = |x: &Whole| -> Vec<f32> {
        let plain = w.iter().map(|w| product(x, w)).enumerate();
        plain.map(|(o, y)| parameter(bias, o).map_or(y, |b| exact::add(y, b))).collect()
    };
    tensor(desc, x.iter().flat_map(row))
}

fn reference_mat_mul(args: &Args<'_, Tensor>) -> Result<Vec<Tensor>, OpError> {
    let desc = output_of(args)?;
    let (a, b, slices) = (args.input(0)?, args.input(1)?, slices(args.attrs)?);
    let (a_lead, b_lead) = (&a.shape()[..a.shape().len() - 2], &b.shape()[..b.shape().len() - 2]);
    let lead = &desc.shape[..desc.shape.len() - 2];
    let (m, n) = (desc.shape[desc.shape.len() - 2], desc.shape[desc.shape.len() - 1]);
    let inner = a.shape()[a.shape().len() - 1];
    let (a_data, b_data) = (floats(a), floats(b));
    let mut out = Vec::new();
    for_each_index(lead, |index| {
        let a = &a_data[broadcast_offset(a_lead, index) * m * inner..][..m * inner];
        let b = &b_data[broadcast_offset(b_lead, index) * inner * n..][..inner * n];
        let columns: Vec<Whole> = (0..n)
            .map(|c| exact::whole(&b.iter().skip(c).step_by(n.max(1)).copied().collect::<Vec<_>>(), slices))
            .collect();
        rows(a, inner, m, slices)
            .iter()
            .for_each(|row| out.extend(columns.iter().map(|column| product(row, column))));
    });
    tensor(desc, out)
}
