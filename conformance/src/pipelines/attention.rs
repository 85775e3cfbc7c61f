//! Attention of many tokens. The device computes all of it; a sample of queries is held against the reference, which sees them
//! as an attention of few queries over all keys.

use std::collections::BTreeMap;

use kinograph_backend::Device;
use kinograph_graph::{Attr, DType, GraphBuilder, OpError, Tensor, TensorDesc, ops};
use serde::Deserialize;

use super::{Ended, Score};
use crate::problem::Problem;
use crate::random::Rng;

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Entry {
    pub(super) name: String,
    #[serde(default)]
    pub(super) full: bool,
    #[serde(flatten)]
    pub(super) sizes: Sizes,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Sizes {
    #[serde(default = "one")]
    batch: usize,
    heads: usize,
    queries: usize,
    keys: usize,
    size: usize,
    #[serde(default)]
    causal: bool,
    /// The share of keys that a mask leaves.
    mask: Option<f64>,
}

fn one() -> usize {
    1
}

/// Queries that are compared: the first, the last, those at edges of powers of two, and some at random.
fn sample(queries: usize, rng: &mut Rng) -> Vec<usize> {
    let edges = (0..usize::BITS).map(|b| 1usize << b).take_while(|p| *p < queries).flat_map(|p| [p - 1, p]);
    let mut rows: Vec<usize> =
        edges.chain([queries - 1]).chain((0..24).map(|_| rng.below(queries))).collect();
    rows.sort_unstable();
    rows.dedup();
    rows
}

pub(super) fn run(device: &dyn Device, s: &Sizes, seed: u64) -> Ended {
    let mut rng = Rng::new(crate::graphs::hash(&format!("{s:?}")).wrapping_add(seed));
    let mut draw = |length: usize| {
        let desc = TensorDesc::new(DType::F32, [s.batch, s.heads, length, s.size]);
        Tensor::from_fn(desc, |_| DType::F32.quantize(rng.normal()))
    };
    let (q, k, v) = (draw(s.queries), draw(s.keys), draw(s.keys));
    let keep = s.mask.map(|share| {
        Tensor::from_fn(TensorDesc::new(DType::Bool, [s.batch, 1, 1, s.keys]), |_| {
            f64::from(u8::from(rng.unit() < share))
        })
    });
    let whole = problem(&q, &k, &v, keep.clone(), s.causal)?;
    let answer = whole.on(device)?;
    let rows = sample(s.queries, &mut rng);
    let due = few(s, &rows, &q, &k, &v, keep.as_ref())?.due()?;
    let found = answer.outputs[0].data().to_f64();
    let picked = pick(s, &rows, &found);
    let desc = due.exact[0].desc().clone();
    let picked = kinograph_backend::HostTensor::from_reference(&Tensor::new(desc, picked)?, DType::F32);
    let verdict = due.judge("the sampled queries".into(), &[picked]);
    let mut score = Score { seconds: answer.seconds, flops: whole.graph().flops(), ..Score::default() };
    // Replaying wants the whole.
    score.take(&verdict, &whole);
    let finite = found.iter().all(|v| v.is_finite());
    if !finite && score.first.is_none() {
        score.first = Some("an element outside of the sample is not finite".into());
    }
    score.notes.push(format!("{} of {} queries compared", rows.len(), s.queries));
    Ok(score)
}

fn problem(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    mask: Option<Tensor>,
    causal: bool,
) -> Result<Problem, OpError> {
    let mut builder = GraphBuilder::new("attention");
    let (mut feed, mut ids) = (BTreeMap::new(), Vec::new());
    for (name, tensor) in [("q", Some(q)), ("k", Some(k)), ("v", Some(v)), ("mask", mask.as_ref())] {
        let Some(tensor) = tensor else { continue };
        ids.push(Some(builder.input(name, tensor.desc().clone())?));
        feed.insert(name.to_owned(), tensor.clone());
    }
    let op = ops::find("Attention").ok_or_else(|| OpError::invalid("there is no Attention"))?;
    let attrs = [("causal".to_owned(), Attr::Bool(causal))];
    let made = builder.node(op, &ids, attrs, "attention")?;
    Problem::new(builder.finish([("out", made[0])])?, feed, &BTreeMap::new())
}

/// The sampled queries as a problem of their own; what causality hides from each is a mask.
fn few(
    s: &Sizes,
    rows: &[usize],
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    keep: Option<&Tensor>,
) -> Result<Problem, OpError> {
    let desc = q.desc().with_shape([s.batch, s.heads, rows.len(), s.size]);
    let queries = Tensor::new(desc, pick(s, rows, q.data()))?;
    let mask = TensorDesc::new(DType::Bool, [s.batch, 1, rows.len(), s.keys]);
    let mask = Tensor::from_fn(mask, |i| {
        let kept = keep.is_none_or(|m| m.data()[i[0] * s.keys + i[3]] != 0.0);
        f64::from(u8::from(kept && (!s.causal || i[3] <= rows[i[2]])))
    });
    problem(&queries, k, v, Some(mask), false)
}

/// Rows of \[batch, heads, queries, size\].
fn pick(s: &Sizes, rows: &[usize], data: &[f64]) -> Vec<f64> {
    let mut out = Vec::with_capacity(s.batch * s.heads * rows.len() * s.size);
    for head in data.chunks_exact((s.queries * s.size).max(1)) {
        rows.iter().for_each(|r| out.extend_from_slice(&head[r * s.size..(r + 1) * s.size]));
    }
    out
}
