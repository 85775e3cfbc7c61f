//! Whether a device computes what docs/reproducible.md says: a handful of small graphs against the oracle, bit for bit.

use std::fmt;
use std::sync::Arc;

use kinograph_backend::{Control, Device, HostTensor, MemoryWeights};
use kinograph_graph::exact::Slices;
use kinograph_graph::{Args, Attr, DType, Graph, GraphBuilder, OpError, Tensor, TensorDesc, ValueId, ops};

use super::{Reproducible, ReproducibleError};

/// What a device that is not reproducible does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Sums or products are not rounded to nearest even.
    Rounding,
    /// A multiplication and an addition are rounded together.
    Contraction,
    /// Terms are regrouped.
    Reassociation,
    /// Numbers too small to be normal get into results.
    Subnormals,
    /// Infinities and NaN are not made ordinary numbers.
    Overflow,
    /// Halves are not rounded to the even neighbour.
    Halves,
    /// Conversions between types differ.
    Conversion,
    /// Sums of products of whole numbers saturate, or lose digits.
    SaturatingDot,
    /// A convolution's sums do.
    Convolution,
    /// A function, such as the sigmoid, has other bits.
    Function,
    /// A normalisation has other bits.
    Normalization,
    /// Attention has other bits.
    Attention,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Rounding => "rounding: sums or products are not rounded to nearest even",
            Fault::Contraction => "contraction: a product and a sum are rounded together",
            Fault::Reassociation => "reassociation: terms are regrouped",
            Fault::Subnormals => "subnormals: numbers below 2^-125 are not 0",
            Fault::Overflow => "overflow: infinities or NaN get into results",
            Fault::Halves => "halves: they are not rounded to the even neighbour",
            Fault::Conversion => "conversion: numbers change from type to type",
            Fault::SaturatingDot => "saturating dot: sums of products of whole numbers are not exact",
            Fault::Convolution => "convolution: its sums are not exact",
            Fault::Function => "function: its bits differ",
            Fault::Normalization => "normalization: its bits differ",
            Fault::Attention => "attention: its bits differ",
        })
    }
}

/// One graph of the test.
struct Check {
    fault: Fault,
    /// The precision that the device is opened with.
    slices: Slices,
    builder: GraphBuilder,
    inputs: Vec<Tensor>,
    weights: Vec<(String, Tensor)>,
    count: usize,
}

impl Check {
    fn new(fault: Fault, slices: Slices) -> Self {
        let builder = GraphBuilder::new("selftest");
        Self { fault, slices, builder, inputs: Vec::new(), weights: Vec::new(), count: 0 }
    }

    fn input(&mut self, shape: &[usize], values: &[f32]) -> Result<ValueId, OpError> {
        let tensor = tensor(shape, values)?;
        self.inputs.push(tensor.clone());
        self.builder.input(&format!("x{}", self.inputs.len()), tensor.desc().clone())
    }

    fn weight(&mut self, shape: &[usize], values: &[f32]) -> Result<ValueId, OpError> {
        let tensor = tensor(shape, values)?;
        let name = format!("w{}", self.weights.len());
        self.weights.push((name.clone(), tensor.clone()));
        self.builder.weight(&name, tensor.desc().clone())
    }

    fn node(&mut self, op: &str, inputs: &[ValueId], attrs: &[(&str, Attr)]) -> Result<ValueId, OpError> {
        self.count += 1;
        let op = ops::find(op).ok_or_else(|| OpError::invalid(format!("there is no op {op}")))?;
        let inputs: Vec<Option<ValueId>> = inputs.iter().copied().map(Some).collect();
        let attrs = attrs.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        Ok(self.builder.node(op, &inputs, attrs, &format!("node{}", self.count))?[0])
    }

    fn precision(&self) -> (&'static str, Attr) {
        ("slices", Attr::Int(self.slices.count()))
    }

    /// Runs the graph on the device and by the oracle.
    fn finish(self, device: &Reproducible, output: ValueId) -> Result<(), ReproducibleError> {
        let (fault, id) = (self.fault, device.info().id.clone());
        let untested = |reason: String| ReproducibleError::Untested { device: id.clone(), fault, reason };
        let graph = self.builder.finish([("y", output)]).map_err(|e| untested(e.to_string()))?;
        let wanted = oracle(&graph, &self.inputs, &self.weights).map_err(|e| untested(e.to_string()))?;
        let mut weights = MemoryWeights::new();
        for (name, tensor) in &self.weights {
            let values: Vec<f32> = tensor.data().iter().map(|&v| v as f32).collect();
            weights.insert_f32(name, tensor.shape(), &values);
        }
        let written = device.expanded(&graph).map_err(|e| untested(e.to_string()))?;
        let run = || -> Result<HostTensor, String> {
            let executable = device.compile_written(written, Arc::new(weights)).map_err(|e| e.to_string())?;
            let inputs = self.inputs.iter().map(|t| device.upload(HostTensor::from_reference(t, t.dtype())));
            let inputs = inputs.collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
            let outputs = executable.run(&inputs, &Control::new()).map_err(|e| e.to_string())?;
            let output = outputs.first().ok_or("it gave no output")?;
            device.download(output).map_err(|e| e.to_string())
        };
        let found = run().map_err(untested)?;
        if found.desc() != wanted.desc() {
            let detail = format!("the result is {}, but must be {}", found.desc(), wanted.desc());
            return Err(ReproducibleError::Fault { device: id, fault, detail });
        }
        for (i, (&wanted, found)) in wanted.data().iter().zip(found.data().to_f64()).enumerate() {
            let (wanted, found) = (wanted as f32, found as f32);
            if wanted.to_bits() != found.to_bits() {
                let detail = format!("element {i} is {found:e}, but must be {wanted:e}");
                return Err(ReproducibleError::Fault { device: id, fault, detail });
            }
        }
        Ok(())
    }
}

fn tensor(shape: &[usize], values: &[f32]) -> Result<Tensor, OpError> {
    Tensor::new(TensorDesc::new(DType::F32, shape), values.iter().map(|&v| f64::from(v)).collect())
}

/// Runs a graph node by node, each result rounded to its type.
fn oracle(graph: &Graph, inputs: &[Tensor], weights: &[(String, Tensor)]) -> Result<Tensor, OpError> {
    let mut values: Vec<Option<Tensor>> = vec![None; graph.values().len()];
    for (&id, tensor) in graph.inputs().iter().zip(inputs) {
        values[id.index()] = Some(tensor.clone());
    }
    for &id in graph.weights() {
        let found = weights.iter().find(|(name, _)| *name == graph.value(id).name);
        values[id.index()] = found.map(|(_, tensor)| tensor.clone());
    }
    for node in graph.nodes() {
        let operands: Vec<Option<&Tensor>> =
            node.inputs.iter().map(|id| id.and_then(|id| values[id.index()].as_ref())).collect();
        let made = (node.op.reference)(&Args { op: node.op, inputs: &operands, attrs: &node.attrs })?;
        for (&id, tensor) in node.outputs.iter().zip(made) {
            let float = tensor.dtype() == DType::F32;
            values[id.index()] = Some(tensor.map(|v| if float { f64::from(v as f32) } else { v }));
        }
    }
    let output = graph.outputs().first().and_then(|o| values[o.value.index()].clone());
    output.ok_or_else(|| OpError::invalid("the graph gives nothing"))
}

/// Numbers of both signs and many sizes.
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    (0..count)
        .map(|_| {
            let fraction = (next() >> 8) as f32 / 8_388_608.0 - 1.0;
            fraction * [0.01, 0.3, 1.0, 5.0][(next() >> 30) as usize]
        })
        .collect()
}

type Built = Result<(Check, ValueId), OpError>;

/// The fault that a check shows, and how the check is built.
type Entry = (Fault, fn(Check) -> Built);

/// Runs all checks; the first that fails names the fault.
pub(super) fn run(device: &Reproducible) -> Result<(), ReproducibleError> {
    let checks: &[Entry] = &[
        (Fault::Rounding, rounding),
        (Fault::Halves, halves),
        (Fault::Contraction, contraction),
        (Fault::Reassociation, reassociation),
        (Fault::Reassociation, distribution),
        (Fault::Subnormals, subnormals),
        (Fault::Overflow, overflow),
        (Fault::Conversion, conversion),
        (Fault::SaturatingDot, extremes),
        (Fault::SaturatingDot, linear),
        (Fault::Convolution, convolution),
        (Fault::Function, functions),
        (Fault::Normalization, normalization),
        (Fault::Attention, attention),
    ];
    for &(fault, build) in checks {
        let untested = |e: OpError| ReproducibleError::Untested {
            device: device.info().id.clone(),
            fault,
            reason: e.to_string(),
        };
        let (check, output) = build(Check::new(fault, device.slices())).map_err(untested)?;
        check.finish(device, output)?;
    }
    Ok(())
}

/// Ties and near ties: towards even, down, up.
fn rounding(mut c: Check) -> Built {
    let ulp = f32::EPSILON;
    let a = [1.0, 1.0 + ulp, 1.0, -1.0, 1.0 + ulp, 1.0, 3.0, 1.0 + ulp];
    let b = [ulp / 2.0, ulp / 2.0, ulp / 2.0 * 1.001, -ulp / 2.0, -ulp / 4.0, ulp / 2.0 * 0.999, ulp, 1.0];
    let (a, b) = (c.input(&[8], &a)?, c.input(&[8], &b)?);
    let sum = c.node("exact.Add", &[a, b], &[])?;
    let many = c.input(&[512], &numbers(512, 1))?;
    let other = c.input(&[512], &numbers(512, 2))?;
    let product = c.node("exact.Mul", &[many, other], &[])?;
    let difference = c.node("exact.Sub", &[product, other], &[])?;
    let y = c.node("Concat", &[sum, difference], &[("axis", Attr::Int(0))])?;
    Ok((c, y))
}

fn halves(mut c: Check) -> Built {
    let x = c.input(&[9], &[0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 8126.5, 0.499_999_97, -3.5])?;
    let y = c.node("Round", &[x], &[])?;
    // The sign of a zero does not matter, and is taken away.
    let y = c.node("exact.Flush", &[y], &[])?;
    Ok((c, y))
}

/// (1 + e)^2 - (1 + 2e) is 0 when the square is rounded, and e^2 when it is not.
fn contraction(mut c: Check) -> Built {
    let e = 1.0 / 4096.0;
    let a: Vec<f32> = (1..=64).map(|i| 1.0 + i as f32 * e).collect();
    let b: Vec<f32> = a.iter().map(|&a| -(a * a)).collect();
    let (a, b) = (c.input(&[64], &a)?, c.input(&[64], &b)?);
    let square = c.node("Mul", &[a, a], &[])?;
    let y = c.node("Add", &[square, b], &[])?;
    Ok((c, y))
}

/// (a + b) - a, where b is lost.
fn reassociation(mut c: Check) -> Built {
    let (a, b) = (c.input(&[64], &[16_777_216.0; 64])?, c.input(&[64], &numbers(64, 3))?);
    let sum = c.node("Add", &[a, b], &[])?;
    let y = c.node("Sub", &[sum, a], &[])?;
    Ok((c, y))
}

/// a b + a c, which is not a (b + c).
fn distribution(mut c: Check) -> Built {
    let inputs = [4, 5, 6].map(|seed| c.input(&[256], &numbers(256, seed)));
    let [a, b, d] = inputs;
    let (a, b, d) = (a?, b?, d?);
    let (ab, ad) = (c.node("Mul", &[a, b], &[])?, c.node("Mul", &[a, d], &[])?);
    let y = c.node("Add", &[ab, ad], &[])?;
    Ok((c, y))
}

fn subnormals(mut c: Check) -> Built {
    let a = [1e-20, -1e-20, 2e-19, 3e-38, 1.2e-19, f32::MIN_POSITIVE, 1e-40];
    let b = [1e-20, 1e-19, -2e-19, 1.0, 1.2e-19, 1.0, 1.0];
    let (a, b) = (c.input(&[7], &a)?, c.input(&[7], &b)?);
    let a = c.node("exact.Flush", &[a], &[])?;
    let product = c.node("exact.Mul", &[a, b], &[])?;
    let large = c.input(&[7], &[1e30; 7])?;
    // A subnormal number that stayed would be seen here.
    let y = c.node("exact.Mul", &[product, large], &[])?;
    let y = c.node("Concat", &[product, y], &[("axis", Attr::Int(0))])?;
    Ok((c, y))
}

fn overflow(mut c: Check) -> Built {
    let x = c.input(&[6], &[f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -0.0, 3e38, -3e38])?;
    let clean = c.node("exact.Flush", &[x], &[])?;
    let sum = c.node("exact.Add", &[clean, clean], &[])?;
    let product = c.node("exact.Mul", &[clean, clean], &[])?;
    let y = c.node("Concat", &[clean, sum, product], &[("axis", Attr::Int(0))])?;
    Ok((c, y))
}

fn conversion(mut c: Check) -> Built {
    let x = c.input(&[8], &[0.0, 1.0, 2.9, -2.9, 115.0, 8_388_607.0, -1.0, 16_777_215.0])?;
    let mut y = x;
    for to in ["i64", "f32", "i32", "f32"] {
        y = c.node("Cast", &[y], &[("to", Attr::Str(to.into()))])?;
    }
    let truth = c.node("Less", &[x, y], &[])?;
    let truth = c.node("Cast", &[truth], &[("to", Attr::Str("f32".into()))])?;
    let y = c.node("Concat", &[y, truth], &[("axis", Attr::Int(0))])?;
    Ok((c, y))
}

/// Rows of the largest numbers, of one sign and of alternating ones, as long as an exact sum may be.
fn extremes(mut c: Check) -> Built {
    let mut made = Vec::new();
    for slices in [Slices::One, Slices::Two] {
        let most = slices.limit() as f32;
        let row = |kind: usize| (0..2048).map(move |k| if kind == 0 || k % 2 == 0 { most } else { -most });
        let x: Vec<f32> = (0..2).flat_map(row).collect();
        let (x, w) = (c.input(&[2, 2048], &x)?, c.weight(&[2, 2048], &x)?);
        made.push(c.node("exact.Linear", &[x, w], &[("slices", Attr::Int(slices.count()))])?);
    }
    let y = c.node("Concat", &made, &[("axis", Attr::Int(0))])?;
    Ok((c, y))
}

fn linear(mut c: Check) -> Built {
    let x = c.input(&[7, 2100], &numbers(7 * 2100, 7))?;
    let (w, b) = (c.weight(&[19, 2100], &numbers(19 * 2100, 8))?, c.weight(&[19], &numbers(19, 9))?);
    let y = c.node("exact.Linear", &[x, w, b], &[c.precision()])?;
    Ok((c, y))
}

fn convolution(mut c: Check) -> Built {
    let x = c.input(&[1, 5, 3, 7, 9], &numbers(945, 10))?;
    let (w, b) = (c.weight(&[6, 5, 1, 3, 3], &numbers(270, 11))?, c.weight(&[6], &numbers(6, 12))?);
    let pads = [("pads", Attr::Ints(vec![0, 1, 1, 0, 1, 1])), c.precision()];
    let y = c.node("exact.Conv", &[x, w, b], &pads)?;
    let w = c.weight(&[4, 6, 3, 1, 1], &numbers(72, 13))?;
    let edge = ("pad_mode", Attr::Str("edge".into()));
    let attrs = [("pads", Attr::Ints(vec![1, 0, 0, 1, 0, 0])), edge, c.precision()];
    let y = c.node("exact.Conv", &[y, w], &attrs)?;
    Ok((c, y))
}

fn functions(mut c: Check) -> Built {
    let x = c.input(&[400], &numbers(400, 14))?;
    let ten = c.input(&[1], &[10.0])?;
    let x = c.node("exact.Mul", &[x, ten], &[])?;
    let names = ["Sigmoid", "Swish", "Exp", "Tanh", "Gelu", "Sin", "Cos"];
    let mut made =
        names.iter().map(|n| c.node(&format!("exact.{n}"), &[x], &[])).collect::<Result<Vec<_>, _>>()?;
    made.push(c.node("exact.Gelu", &[x], &[("approximate", Attr::Str("tanh".into()))])?);
    let y = c.node("Concat", &made, &[("axis", Attr::Int(0))])?;
    Ok((c, y))
}

fn normalization(mut c: Check) -> Built {
    let x = c.input(&[3, 40, 5], &numbers(600, 15))?;
    let (w, b) = (c.weight(&[5], &numbers(5, 16))?, c.weight(&[5], &numbers(5, 17))?);
    let y = c.node("exact.LayerNormalization", &[x, w, b], &[c.precision()])?;
    let w = c.weight(&[40], &numbers(40, 18))?;
    let axes = [("axes", Attr::Ints(vec![1])), c.precision()];
    let y = c.node("exact.RMSNormalization", &[y, w], &axes)?;
    Ok((c, y))
}

fn attention(mut c: Check) -> Built {
    let [q, k, v] =
        [(9, 20), (11, 21), (11, 22)].map(|(l, seed)| c.input(&[1, l, 16], &numbers(l * 16, seed)));
    let heads = [("q_num_heads", Attr::Int(2)), ("kv_num_heads", Attr::Int(2)), c.precision()];
    let y = c.node("exact.Attention", &[q?, k?, v?], &heads)?;
    Ok((c, y))
}
