//! Random numbers, and random cases drawn from a seed that can be printed and given again.

use kinograph_graph::{Attr, DType, OpDef, TensorDesc, ops};

use crate::case::{Case, Fill, Operand};

/// A small generator (SplitMix64): the same numbers on every machine.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Even in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Even among the whole numbers below a limit, which must not be 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    /// Normally distributed, by the sum of twelve even numbers; no tails beyond 6.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    /// One of a list.
    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// A size: often small or at the edge of a vector or tile, sometimes larger.
    fn size(&mut self) -> usize {
        match self.below(4) {
            0 => 1,
            1 => 1 + self.below(5),
            2 => self.pick(&[7, 8, 15, 16, 17, 31, 32, 33]),
            _ => 1 + self.below(40),
        }
    }

    fn shape(&mut self, rank: usize) -> Vec<usize> {
        (0..rank).map(|_| self.size().min(if rank > 3 { 6 } else { 40 })).collect()
    }

    /// A shape that broadcasts to another.
    fn narrower(&mut self, shape: &[usize]) -> Vec<usize> {
        let skip = if self.chance(0.3) { self.below(shape.len() + 1) } else { 0 };
        shape[skip..].iter().map(|&d| if self.chance(0.3) { 1 } else { d }).collect()
    }
}

type Attributes = Vec<(String, Attr)>;

/// What a random case is made of, before it is checked.
struct Draft {
    op: &'static str,
    operands: Vec<Option<Operand>>,
    attrs: Attributes,
}

fn normal(dtype: DType, shape: &[usize]) -> Option<Operand> {
    let fill = match dtype {
        DType::Bool => Fill::Chance(0.5),
        t if t.is_int() => Fill::Uniform(0.0, 100.0),
        _ => Fill::Normal(1.0),
    };
    Some(Operand { desc: TensorDesc::new(dtype, shape), fill, stored: None })
}

fn weight(rng: &mut Rng, shape: &[usize]) -> Option<Operand> {
    let stored = rng.pick(&[None, Some(DType::F32), Some(DType::F16), Some(DType::BF16)]);
    normal(DType::F32, shape).map(|operand| Operand { stored, ..operand })
}

fn ints(name: &str, values: impl IntoIterator<Item = usize>) -> (String, Attr) {
    (name.to_owned(), Attr::Ints(values.into_iter().map(|v| v as i64).collect()))
}

fn int(name: &str, value: usize) -> (String, Attr) {
    (name.to_owned(), Attr::Int(value as i64))
}

/// A case drawn from a seed: an op of those that have many shapes to get wrong, with random sizes
/// and attributes. `None` when what was drawn does not fit the op, which is not rare.
pub fn random_case(seed: u64) -> Option<Case> {
    let mut rng = Rng::new(seed);
    let draw = rng.pick(&[
        elementwise,
        elementwise,
        linear,
        mat_mul,
        conv,
        conv,
        conv_transpose,
        attention,
        norm,
        movement,
        reduce,
    ]);
    let Draft { op, operands, attrs } = draw(&mut rng);
    let op: &'static OpDef = ops::find(op)?;
    Case::new(op, format!("random {seed}"), operands, attrs, seed).ok()
}

fn elementwise(rng: &mut Rng) -> Draft {
    let rank = rng.below(6);
    let shape = rng.shape(rank);
    let dtype = rng.pick(&[DType::F32, DType::F32, DType::F16, DType::BF16]);
    let unary = [
        "Exp", "Tanh", "Sigmoid", "Swish", "Gelu", "Erf", "Sin", "Cos", "Softplus", "Neg", "Relu", "Sqrt",
        "Log",
    ];
    if rng.chance(0.5) {
        return Draft { op: rng.pick(&unary), operands: vec![normal(dtype, &shape)], attrs: Vec::new() };
    }
    let (a, b) = (rng.narrower(&shape), rng.narrower(&shape));
    let op = rng.pick(&["Add", "Sub", "Mul", "Div", "Min", "Max", "Less", "Where"]);
    let mut operands = vec![normal(dtype, &a), normal(dtype, &b)];
    if op == "Where" {
        operands.insert(0, normal(DType::Bool, &shape));
    }
    Draft { op, operands, attrs: Vec::new() }
}

fn linear(rng: &mut Rng) -> Draft {
    let (rows, inner, out) = (rng.size(), rng.size() * rng.pick(&[1, 4]), rng.size() * rng.pick(&[1, 8]));
    let x = normal(DType::F32, &[rows, inner]);
    let bias = if rng.chance(0.5) { normal(DType::F32, &[out]) } else { None };
    Draft { op: "Linear", operands: vec![x, weight(rng, &[out, inner]), bias], attrs: Vec::new() }
}

fn mat_mul(rng: &mut Rng) -> Draft {
    let rank = rng.below(3);
    let lead = rng.shape(rank);
    let (m, k, n) = (rng.size(), rng.size(), rng.size());
    let a = [rng.narrower(&lead), vec![m, k]].concat();
    let b = [rng.narrower(&lead), vec![k, n]].concat();
    Draft { op: "MatMul", operands: vec![normal(DType::F32, &a), weight(rng, &b)], attrs: Vec::new() }
}

fn conv(rng: &mut Rng) -> Draft {
    let axes = 1 + rng.below(3);
    let group = rng.pick(&[1, 1, 1, 2, 3]);
    let (c, o) = (1 + rng.below(9), 1 + rng.below(20));
    let taps: Vec<usize> = (0..axes).map(|_| 1 + rng.below(3)).collect();
    let spatial: Vec<usize> = (0..axes).map(|_| 3 + rng.below(if axes == 3 { 8 } else { 30 })).collect();
    let mode = rng.pick(&["constant", "constant", "edge", "reflect"]);
    let mut attrs = vec![
        int("group", group),
        ints("strides", (0..axes).map(|_| rng.pick(&[1, 1, 1, 2, 3]))),
        ints("dilations", (0..axes).map(|_| rng.pick(&[1, 1, 2]))),
        ints("pads", (0..2 * axes).map(|_| rng.below(3))),
    ];
    attrs.push(("pad_mode".to_owned(), Attr::Str(mode.to_owned())));
    let x = normal(DType::F32, &[&[1 + rng.below(2), c * group][..], &spatial].concat());
    let w = weight(rng, &[&[o * group, c][..], &taps].concat());
    let bias = if rng.chance(0.5) { normal(DType::F32, &[o * group]) } else { None };
    Draft { op: "Conv", operands: vec![x, w, bias], attrs }
}

fn conv_transpose(rng: &mut Rng) -> Draft {
    let axes = 1 + rng.below(2);
    let group = rng.pick(&[1, 1, 2]);
    let (c, o) = (1 + rng.below(5), 1 + rng.below(5));
    let taps: Vec<usize> = (0..axes).map(|_| 1 + rng.below(4)).collect();
    let spatial: Vec<usize> = (0..axes).map(|_| 1 + rng.below(9)).collect();
    let attrs = vec![
        int("group", group),
        ints("strides", (0..axes).map(|_| rng.pick(&[1, 2, 3]))),
        ints("dilations", (0..axes).map(|_| rng.pick(&[1, 1, 2]))),
        ints("pads", (0..2 * axes).map(|_| rng.below(2))),
    ];
    let x = normal(DType::F32, &[&[1 + rng.below(2), c * group][..], &spatial].concat());
    let w = weight(rng, &[&[c * group, o][..], &taps].concat());
    Draft { op: "ConvTranspose", operands: vec![x, w], attrs }
}

fn attention(rng: &mut Rng) -> Draft {
    let (b, kv, repeat) = (1 + rng.below(2), 1 + rng.below(3), 1 + rng.below(3));
    let (q_len, k_len) = (rng.size(), rng.pick(&[1, 5, 33, 64, 130, 300]));
    let (d, dv) = (rng.size(), rng.size());
    let h = kv * repeat;
    let packed = rng.chance(0.5);
    let heads = |h: usize, l: usize, d: usize| if packed { vec![b, l, h * d] } else { vec![b, h, l, d] };
    let scores = [b, h, q_len, k_len];
    let mask = if rng.chance(0.4) { normal(DType::Bool, &rng.narrower(&scores)) } else { None };
    let bias = if rng.chance(0.3) { normal(DType::F32, &rng.narrower(&scores)) } else { None };
    let mut attrs = vec![("causal".to_owned(), Attr::Bool(rng.chance(0.4)))];
    if packed {
        attrs.extend([int("q_num_heads", h), int("kv_num_heads", kv)]);
    }
    let [q, k, v] = [heads(h, q_len, d), heads(kv, k_len, d), heads(kv, k_len, dv)];
    let operands = [&q, &k, &v].map(|s| normal(DType::F32, s)).into_iter().chain([mask, bias]).collect();
    Draft { op: "Attention", operands, attrs }
}

fn norm(rng: &mut Rng) -> Draft {
    let rank = 1 + rng.below(5);
    let shape = rng.shape(rank);
    let op = rng.pick(&["RMSNormalization", "LayerNormalization", "Softmax"]);
    if op == "Softmax" {
        let attrs = vec![int("axis", rng.below(rank))];
        return Draft { op, operands: vec![normal(DType::F32, &shape)], attrs };
    }
    let axes: Vec<usize> = (0..rank).filter(|_| rng.chance(0.5)).collect();
    let own: Vec<usize> = axes.iter().map(|&a| shape[a]).collect();
    let scale = if rng.chance(0.5) { weight(rng, &own) } else { None };
    Draft { op, operands: vec![normal(DType::F32, &shape), scale], attrs: vec![ints("axes", axes)] }
}

fn movement(rng: &mut Rng) -> Draft {
    let rank = 1 + rng.below(5);
    let shape = rng.shape(rank);
    let dtype = rng.pick(&[DType::F32, DType::F16, DType::I64, DType::Bool]);
    let x = normal(dtype, &shape);
    match rng.below(4) {
        0 => {
            let mut perm: Vec<usize> = (0..rank).collect();
            (0..rank).for_each(|i| perm.swap(i, rng.below(rank)));
            Draft { op: "Transpose", operands: vec![x], attrs: vec![ints("perm", perm)] }
        }
        1 => {
            let starts: Vec<usize> = shape.iter().map(|&d| rng.below(d)).collect();
            let attrs = vec![
                ints("starts", starts),
                ints("ends", shape.clone()),
                ints("steps", (0..rank).map(|_| 1 + rng.below(3))),
            ];
            Draft { op: "Slice", operands: vec![x], attrs }
        }
        2 => {
            let mode = rng.pick(&["constant", "edge", "reflect"]);
            let pads = ints("pads", (0..2 * rank).map(|_| rng.below(3)));
            let attrs = vec![pads, ("mode".to_owned(), Attr::Str(mode.to_owned()))];
            Draft { op: "Pad", operands: vec![x], attrs }
        }
        _ => {
            let attrs = vec![ints("repeats", (0..rank).map(|_| 1 + rng.below(2)))];
            Draft { op: "Tile", operands: vec![x], attrs }
        }
    }
}

fn reduce(rng: &mut Rng) -> Draft {
    let rank = 1 + rng.below(5);
    let shape = rng.shape(rank);
    let axes: Vec<usize> = (0..rank).filter(|_| rng.chance(0.5)).collect();
    let op = rng.pick(&["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin"]);
    let attrs = vec![ints("axes", axes), ("keepdims".to_owned(), Attr::Bool(rng.chance(0.5)))];
    Draft { op, operands: vec![normal(DType::F32, &shape)], attrs }
}
