use super::elementwise::{DIV_UNITS, exp_units};
use super::heads::Heads;
use super::util::{self, broadcast_offset};
use crate::tensor::for_each_index;
use crate::{
    Args, AttrDefault, AttrKind, AttrSpec, Bound, InputSpec, OpDef, OpError, Tensor, TensorDesc, Types,
};

pub(super) static DEF: OpDef = OpDef {
    name: "Attention",
    doc: "softmax(scale * Q K^T + bias) V for each head. Q, K and V are [B, H, L, D], or [B, L, H * D] with the \
          numbers of heads as attributes. K and V may have fewer heads than Q, each then serving several heads \
          of Q in a row; V may have its own head size. A query with nothing to attend to gives zeros. Unlike \
          in ONNX, mask and bias are two inputs.",
    inputs: &[
        InputSpec::required("Q", Types::Float),
        InputSpec::required("K", Types::Float),
        InputSpec::required("V", Types::Float),
        InputSpec::optional("mask", Types::Bool),
        InputSpec::optional("bias", Types::Float),
    ],
    outputs: &["Y"],
    variadic_outputs: false,
    attrs: &ATTRS,
    infer,
    reference,
    bound: Bound::Scaled(bound),
    // Two products, and scale, bias, exp, sum and maximum of each score. Masks are not counted off.
    flops: |args, _| {
        let inputs = [0, 1, 2].map(|i| args.optional(i));
        let [Some(q), Some(k), Some(v)] = inputs else { return 0 };
        let Ok(dims) = Dims::of(args, q, k, v) else { return 0 };
        let scores = [dims.q.batch, dims.q.heads, dims.q.length, dims.k.length];
        let per_score = dims.q.size.saturating_add(dims.v.size).saturating_mul(2).saturating_add(6);
        (util::count(&scores) as u64).saturating_mul(per_score as u64)
    },
};

/// The attributes of an attention.
pub(super) const ATTRS: [AttrSpec; 4] = [
    AttrSpec {
        name: "q_num_heads",
        kind: AttrKind::Int,
        default: AttrDefault::Absent,
        doc: "The heads of Q; required at rank 3.",
    },
    AttrSpec {
        name: "kv_num_heads",
        kind: AttrKind::Int,
        default: AttrDefault::Absent,
        doc: "The heads of K and V; required at rank 3.",
    },
    AttrSpec {
        name: "scale",
        kind: AttrKind::Float,
        default: AttrDefault::Absent,
        doc: "The factor of the scores; without it, 1/sqrt(D).",
    },
    AttrSpec {
        name: "causal",
        kind: AttrKind::Bool,
        default: AttrDefault::Bool(false),
        doc: "Whether query i attends to the keys 0 to i only, besides what the mask says.",
    },
];

/// What inference finds of the operands.
#[derive(Clone, Copy)]
pub(super) struct Dims {
    pub(super) q: Heads,
    pub(super) k: Heads,
    pub(super) v: Heads,
    pub(super) scale: f64,
    pub(super) causal: bool,
}

impl Dims {
    fn of<T>(args: &Args<'_, T>, q: &TensorDesc, k: &TensorDesc, v: &TensorDesc) -> Result<Self, OpError> {
        let heads_q = Heads::of("Q", q, args.attrs, "q_num_heads")?;
        let heads_k = Heads::of("K", k, args.attrs, "kv_num_heads")?;
        let heads_v = Heads::of("V", v, args.attrs, "kv_num_heads")?;
        let scale = match args.attrs.opt_float("scale")? {
            Some(scale) => util::finite("scale", scale)?,
            None => (heads_q.size as f64).sqrt().recip(),
        };
        let dims = Self { q: heads_q, k: heads_k, v: heads_v, scale, causal: args.attrs.bool("causal")? };
        dims.check().map_err(|why| OpError::invalid(format!("Q is {q}, K {k}, V {v}: {why}")))?;
        Ok(dims)
    }

    fn check(&self) -> Result<(), &'static str> {
        let Self { q, k, v, .. } = self;
        if q.packed() != k.packed() || k.packed() != v.packed() {
            return Err("they must have one rank, 3 or 4");
        }
        if q.batch != k.batch || k.batch != v.batch {
            return Err("they must have one batch size");
        }
        if k.length != v.length || k.heads != v.heads {
            return Err("K and V must have as many positions and heads as each other");
        }
        if k.heads == 0 || q.heads % k.heads != 0 {
            return Err("the heads of Q must be a multiple of those of K");
        }
        if q.size != k.size || q.size == 0 {
            return Err("Q and K must have one head size, and not 0");
        }
        Ok(())
    }

    /// [B, H, L, S]: what mask and bias broadcast to.
    fn scores(&self) -> [usize; 4] {
        [self.q.batch, self.q.heads, self.q.length, self.k.length]
    }
}

fn infer(args: &Args<'_, TensorDesc>) -> Result<Vec<TensorDesc>, OpError> {
    util::same_type_among(args, [0, 1, 2, 4])?;
    let q = args.input(0)?;
    let dims = Dims::of(args, q, args.input(1)?, args.input(2)?)?;
    for (i, what) in [(3, "mask"), (4, "bias")] {
        if let Some(desc) = args.optional(i) {
            util::check_broadcasts_to(what, desc, &dims.scores())?;
        }
    }
    Ok(vec![q.with_shape(dims.q.with_size(dims.v.size).shape()?)])
}

/// The data of one node.
pub(super) struct Data<'a> {
    pub(super) q: &'a Tensor,
    pub(super) k: &'a Tensor,
    pub(super) v: &'a Tensor,
    mask: Option<&'a Tensor>,
    bias: Option<&'a Tensor>,
    pub(super) dims: Dims,
}

/// A query: batch, head, position.
pub(super) type Query = (usize, usize, usize);

/// A key that a query attends to.
struct Key {
    position: usize,
    /// The score; less the largest one, once all are known.
    below_max: f64,
    /// The sum of the absolute products that make the score, times scale, and the absolute score.
    magnitude: (f64, f64),
    /// The softmax.
    weight: f64,
}

impl<'a> Data<'a> {
    pub(super) fn of(args: &Args<'a, Tensor>) -> Result<Self, OpError> {
        let (q, k, v) = (args.input(0)?, args.input(1)?, args.input(2)?);
        let dims = Dims::of(args, q.desc(), k.desc(), v.desc())?;
        Ok(Self { q, k, v, mask: args.optional(3), bias: args.optional(4), dims })
    }

    /// The head of K and V that serves a head of Q.
    fn kv_head(&self, h: usize) -> usize {
        h / (self.dims.q.heads / self.dims.k.heads)
    }

    pub(super) fn attends(&self, (b, h, l): Query, s: usize) -> bool {
        let unmasked = self.mask.is_none_or(|m| m.data()[broadcast_offset(m.shape(), &[b, h, l, s])] != 0.0);
        unmasked && (s <= l || !self.dims.causal)
    }

    /// The sum over the head size of f(q * k).
    fn dot(&self, (b, h, l): Query, s: usize, f: impl Fn(f64) -> f64) -> f64 {
        let Dims { q, k, .. } = &self.dims;
        let kv = self.kv_head(h);
        (0..q.size).map(|d| f(self.q.data()[q.at(b, h, l, d)] * self.k.data()[k.at(b, kv, s, d)])).sum()
    }

    fn bias(&self, (b, h, l): Query, s: usize) -> f64 {
        self.bias.map_or(0.0, |t| t.data()[broadcast_offset(t.shape(), &[b, h, l, s])])
    }

    fn value(&self, (b, h, _): Query, s: usize, d: usize) -> f64 {
        self.v.data()[self.dims.v.at(b, self.kv_head(h), s, d)]
    }

    /// The keys that a query attends to; none when all their scores are -inf.
    fn keys(&self, query: Query) -> Vec<Key> {
        let attended = (0..self.dims.k.length).filter(|&s| self.attends(query, s));
        let mut keys: Vec<Key> = attended.map(|s| self.key(query, s)).collect();
        let max = keys.iter().fold(f64::NEG_INFINITY, |m, key| m.max(key.below_max));
        if keys.iter().all(|key| key.below_max == f64::NEG_INFINITY) {
            return Vec::new();
        }
        keys.iter_mut().for_each(|key| key.below_max -= max);
        let sum: f64 = keys.iter().map(|key| key.below_max.exp()).sum();
        keys.iter_mut().for_each(|key| key.weight = key.below_max.exp() / sum);
        keys
    }

    fn key(&self, query: Query, position: usize) -> Key {
        let scale = self.dims.scale;
        let score = scale * self.dot(query, position, |v| v) + self.bias(query, position);
        let products = scale.abs() * self.dot(query, position, f64::abs);
        Key { position, below_max: score, magnitude: (products, score.abs()), weight: 0.0 }
    }

    /// Builds the output, or its bound, from a function of the query, its keys and the position
    /// in the head.
    fn build(&self, f: impl Fn(Query, &[Key], usize) -> f64) -> Vec<f64> {
        let out = self.dims.q.with_size(self.dims.v.size);
        let mut data = vec![0.0; util::count(&[out.batch, out.heads, out.length, out.size])];
        if !data.is_empty() {
            for_each_index(&[out.batch, out.heads, out.length], |i| {
                let query = (i[0], i[1], i[2]);
                let keys = self.keys(query);
                (0..out.size).for_each(|d| data[out.at(i[0], i[1], i[2], d)] = f(query, &keys, d));
            });
        }
        data
    }
}

fn reference(args: &Args<'_, Tensor>) -> Result<Vec<Tensor>, OpError> {
    let desc = util::output_of(args)?;
    let data = Data::of(args)?;
    let out = data
        .build(|query, keys, d| keys.iter().map(|key| key.weight * data.value(query, key.position, d)).sum());
    Ok(vec![Tensor::new(desc, out)?])
}

/// - A score is a sum of D products in an accumulator, times a rounded scale, plus a bias: D
///   roundings of the accumulator and 4 units of the sum of absolute products, one of the score.
///   Less the maximum (which cancels in the quotient but for this rounding), it goes through exp,
///   where absolute errors become relative ones.
/// - Those enter the weighted sum and, averaged by weight, the divisor.
/// - Both are sums over S keys of an accumulator in any order, rescaled by a device that goes block
///   by block: 3 S for blocks of 8 keys or more; then the division and a product.
/// - A weight that is flushed to zero loses the subnormal floor times its value.
/// - The result is a mean of values, and so, whatever the errors, off by twice the largest at most.
fn bound(args: &Args<'_, Tensor>, outputs: &[Tensor]) -> Result<Vec<Vec<f64>>, OpError> {
    let data = Data::of(args)?;
    let dtype = outputs[0].dtype();
    let (terms, unit) = (util::accumulated(dtype, data.dims.q.size), dtype.unit_roundoff());
    let relative = |key: &Key| {
        let (products, score) = key.magnitude;
        (terms + 4.0) * products + score + key.below_max.abs() + exp_units(key.below_max)
    };
    let units = data.build(|query, keys, d| {
        let weighted = keys.iter().filter(|key| key.weight > 0.0);
        let shared = weighted.clone().map(|key| key.weight * relative(key)).sum::<f64>()
            + 3.0 * util::accumulated(dtype, keys.len())
            + DIV_UNITS
            + 2.0;
        let value = |key: &Key| data.value(query, key.position, d).abs();
        let flushed: f64 = keys.iter().map(|key| util::floor(dtype) * value(key)).sum();
        let most = 2.0 * keys.iter().map(value).fold(0.0, f64::max) / unit;
        // (1 + u)^units - 1 over u: the same as the units while they are few.
        let grown = |units: f64| (units * unit).exp_m1() / unit;
        let error: f64 = weighted.map(|key| key.weight * value(key) * grown(relative(key) + shared)).sum();
        error.min(most) + flushed
    });
    Ok(vec![util::with_floor(dtype, units)])
}
