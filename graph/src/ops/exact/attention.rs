//! Attention and softmax.

use super::products::product;
use super::{SLICES, floats, flops_of, only_f32, slices, tensor};
use crate::exact::{self, CHUNK, Slices, Whole};
use crate::ops::attention::{self as plain, Dims};
use crate::ops::util::{self, broadcast_offset, output_of};
use crate::ops::{reduce, softmax};
use crate::tensor::for_each_index;
use crate::{Args, Bound, InputSpec, OpDef, OpError, Tensor, Types};

pub(in crate::ops) static ATTENTION: OpDef = OpDef {
    name: "exact.Attention",
    doc: "Attention as of Attention in block integers: each query, each key and each column of a head's values in whole \
          numbers; weights are whole numbers that are largest at the largest score.",
    inputs: &[
        InputSpec::required("Q", Types::Float),
        InputSpec::required("K", Types::Float),
        InputSpec::required("V", Types::Float),
        InputSpec::optional("mask", Types::Bool),
        InputSpec::optional("bias", Types::Float),
    ],
    outputs: &["Y"],
    variadic_outputs: false,
    attrs: &[plain::ATTRS[0], plain::ATTRS[1], plain::ATTRS[2], plain::ATTRS[3], SLICES],
    infer: |args| {
        slices(args.attrs)?;
        only_f32(args.inputs.iter().flatten().copied())?;
        (plain::DEF.infer)(args)
    },
    reference: reference_attention,
    bound: Bound::Exact,
    flops: |args, outputs| flops_of("Attention")(args, outputs),
};

pub(in crate::ops) static SOFTMAX: OpDef = OpDef {
    name: "exact.Softmax",
    doc: "Softmax along an axis: weights as whole numbers, over their exact sum.",
    inputs: &[InputSpec::required("input", Types::Float)],
    outputs: &["output"],
    variadic_outputs: false,
    attrs: &[softmax::AXIS, SLICES],
    infer: |args| {
        slices(args.attrs)?;
        only_f32(args.inputs.iter().flatten().copied())?;
        (softmax::DEF.infer)(args)
    },
    reference: reference_softmax,
    bound: Bound::Exact,
    flops: |_, outputs| util::cost(outputs, 6),
};

/// The weights of scores, of which `None` count for nothing, and the inverse of their sum.
fn weights(scores: &[Option<f32>], slices: Slices) -> (Vec<i32>, f32) {
    let max = scores.iter().flatten().fold(-f32::MAX, |max, &s| max.max(s));
    let weight = |s: f32| (exact::exp(exact::sub(s, max)) * slices.limit() as f32).round_ties_even() as i32;
    let weights: Vec<i32> = scores.iter().map(|s| s.map_or(0, weight)).collect();
    let sum = exact::chunked(weights.iter().map(|&w| i64::from(w)), CHUNK);
    // Without a key there is no weight, and what this is does not matter.
    (weights, exact::reciprocal(sum.max(1.0)))
}

fn reference_attention(args: &Args<'_, Tensor>) -> Result<Vec<Tensor>, OpError> {
    let desc = output_of(args)?;
    let slices = slices(args.attrs)?;
    let data = plain::Data::of(args)?;
    let Dims { q, k, v, scale, .. } = data.dims;
    let scale = exact::flush(scale as f32);
    let out_heads = q.with_size(v.size);
    let (q_data, k_data, v_data) = (floats(data.q), floats(data.k), floats(data.v));
    let mut out = vec![0.0; desc.elements()];
    for_each_index(&[q.batch, q.heads], |head| {
        let (b, h) = (head[0], head[1]);
        let kv = h / (q.heads / k.heads);
        let row = |data: &[f32], at: &dyn Fn(usize) -> usize, n: usize| -> Whole {
            exact::whole(&(0..n).map(|i| data[at(i)]).collect::<Vec<_>>(), slices)
        };
        let keys: Vec<Whole> = (0..k.length).map(|s| row(&k_data, &|d| k.at(b, kv, s, d), k.size)).collect();
        let values: Vec<Whole> =
            (0..v.size).map(|d| row(&v_data, &|s| v.at(b, kv, s, d), v.length)).collect();
        for l in 0..q.length {
            let query = row(&q_data, &|d| q.at(b, h, l, d), q.size);
            let score = |s: usize| {
                let score = exact::mul(product(&query, &keys[s]), scale);
                let bias =
                    args.optional(4).map(|t| t.data()[broadcast_offset(t.shape(), &[b, h, l, s])] as f32);
                data.attends((b, h, l), s).then(|| bias.map_or(score, |bias| exact::add(score, bias)))
            };
            let (weights, inverse) = weights(&(0..k.length).map(score).collect::<Vec<_>>(), slices);
            for (d, column) in values.iter().enumerate() {
                let sum = exact::dot(weights.iter().copied().zip(column.numbers.iter().copied()));
                out[out_heads.at(b, h, l, d)] = exact::scaled(sum, column.unit, inverse);
            }
        }
    });
    tensor(desc, out)
}

fn reference_softmax(args: &Args<'_, Tensor>) -> Result<Vec<Tensor>, OpError> {
    let desc = output_of(args)?;
    let (x, slices) = (args.input(0)?, slices(args.attrs)?);
    let axis = softmax::axis(args.attrs, desc.rank())?;
    let mut out = vec![0.0; x.data().len()];
    if !out.is_empty() {
        reduce::each_group(x.shape(), &[axis], |positions| {
            let scores: Vec<Option<f32>> = positions.iter().map(|&i| Some(x.data()[i] as f32)).collect();
            let (weights, inverse) = weights(&scores, slices);
            positions.iter().zip(weights).for_each(|(&i, w)| out[i] = exact::mul(w as f32, inverse));
        });
    }
    tensor(desc, out)
}
