//! What is planted, by name, and where the suite should notice.

use std::sync::Arc;

use kinograph_graph::{Attr, DType, Tensor, TensorDesc, ops};

use crate::device::{Fault, Habits, Step};

/// A fault of a device.
pub(crate) struct Mutant {
    pub(crate) name: &'static str,
    /// The cases to run: those of the ops that it touches.
    pub(crate) cases: &'static [&'static str],
    pub(crate) fault: Fault,
    pub(crate) habits: Habits,
}

fn mutant(
    name: &'static str,
    cases: &'static [&'static str],
    fault: impl Fn(&mut Step<'_>) -> Option<Vec<Tensor>> + Send + Sync + 'static,
) -> Mutant {
    Mutant { name, cases, fault: Arc::new(fault), habits: Habits::default() }
}

/// Sets an attribute of an op.
fn attribute(
    name: &'static str,
    cases: &'static [&'static str],
    op: &'static str,
    key: &'static str,
    to: Attr,
) -> Mutant {
    mutant(name, cases, move |s| if s.is(op) && s.set(key, to.clone()) { s.run() } else { None })
}

fn word(text: &str) -> Attr {
    Attr::Str(text.to_owned())
}

/// Leaves an optional input out.
fn without(name: &'static str, cases: &'static [&'static str], op: &'static str, input: usize) -> Mutant {
    mutant(name, cases, move |s| {
        s.input(input).filter(|_| s.is(op))?;
        s.inputs[input] = None;
        s.run()
    })
}

/// Changes each number of what comes out.
fn each(
    name: &'static str,
    cases: &'static [&'static str],
    op: &'static str,
    f: impl Fn(f64) -> f64 + Send + Sync + 'static,
) -> Mutant {
    mutant(name, cases, move |s| {
        if !s.is(op) {
            return None;
        }
        Some(
            s.run()?
                .into_iter()
                .map(|t| if t.dtype().is_float() { t.map(|v| t.dtype().quantize(f(v))) } else { t })
                .collect(),
        )
    })
}

/// Computes an op of one or two inputs anew, element by element.
fn anew(
    name: &'static str,
    cases: &'static [&'static str],
    op: &'static str,
    f: impl Fn(DType, &[f64]) -> f64 + Send + Sync + 'static,
) -> Mutant {
    mutant(name, cases, move |s| {
        let made = if s.is(op) { s.run()?.remove(0) } else { return None };
        let inputs: Vec<&Tensor> = s.inputs.iter().flatten().collect();
        let read = |t: &Tensor, index: &[usize]| {
            let own = &index[index.len() - t.shape().len()..];
            let own: Vec<usize> =
                own.iter().zip(t.shape()).map(|(i, d)| if *d == 1 { 0 } else { *i }).collect();
            t.at(&own).unwrap_or(f64::NAN)
        };
        let dtype = made.dtype();
        Some(vec![Tensor::from_fn(made.desc().clone(), |index| {
            dtype.quantize(f(dtype, &inputs.iter().map(|t| read(t, index)).collect::<Vec<_>>()))
        })])
    })
}

/// Sums the products of Linear in an order and a precision of its own.
fn sums(name: &'static str, round: fn(f64) -> f64) -> Mutant {
    mutant(name, &["op/Linear/"], move |s| {
        let made = if s.is("Linear") { s.run()?.remove(0) } else { return None };
        if made.dtype() != DType::F32 {
            return None;
        }
        let (x, w) = (s.input(0)?, s.input(1)?);
        let (inner, columns) = (w.shape()[1], w.shape()[0].max(1));
        let data = (0..made.data().len()).map(|i| {
            let (row, column) = (i / columns, i % columns);
            let start = s.input(2).map_or(0.0, |b| b.data()[column]);
            (0..inner)
                .fold(start, |sum, k| round(sum + x.data()[row * inner + k] * w.data()[column * inner + k]))
        });
        Tensor::new(made.desc().clone(), data.collect()).ok().map(|t| vec![t])
    })
}

/// Towards zero, to 24 bits.
fn truncated(v: f64) -> f64 {
    let rounded = v as f32;
    let back = f64::from(rounded);
    if back.abs() <= v.abs() || !v.is_finite() {
        back
    } else {
        f64::from(f32::from_bits(rounded.to_bits() - 1))
    }
}

fn permuted(tensor: &Tensor, perm: &[usize]) -> Option<Tensor> {
    let op = ops::find("Transpose")?;
    let perm = Attr::Ints(perm.iter().map(|&p| p as i64).collect());
    let attrs = kinograph_graph::Attrs::check(op.attrs, [("perm".to_owned(), perm)]).ok()?;
    ops::evaluate(op, &[Some(tensor)], &attrs).ok().map(|mut made| made.remove(0))
}

pub(crate) fn all() -> Vec<Mutant> {
    let mut all = convolutions();
    all.extend(attention());
    all.extend(products());
    all.extend(elementwise());
    all.extend(norms());
    all.extend(movement());
    all.extend(habits());
    all
}

fn convolutions() -> Vec<Mutant> {
    vec![
        mutant("conv: padding off by one", &["op/Conv/"], |s| {
            let mut pads = s.ints("pads").filter(|p| s.is("Conv") && p.iter().any(|v| *v > 0))?;
            let axes = pads.len() / 2;
            let at = (0..axes).find(|&a| pads[a] > 0)?;
            pads[at] -= 1;
            pads[at + axes] += 1;
            s.put("pads", Attr::Ints(pads));
            s.run()
        }),
        attribute("conv: edge padding is zeros", &["op/Conv/"], "Conv", "pad_mode", word("constant")),
        mutant("conv: reflect padding repeats the edge", &["op/Conv/"], |s| {
            s.word("pad_mode").filter(|m| *m == "reflect")?;
            s.put("pad_mode", word("edge"));
            s.run()
        }),
        without("conv: bias dropped", &["op/Conv/"], "Conv", 2),
        mutant("conv: the kernel is flipped", &["op/Conv/"], |s| {
            if !s.is("Conv") {
                return None;
            }
            let w = s.input(1)?.clone();
            let taps: usize = w.shape()[2..].iter().product();
            let data = w
                .data()
                .chunks(taps.max(1))
                .flat_map(|k| k.iter().rev().copied().collect::<Vec<_>>())
                .collect();
            s.inputs[1] = Some(Tensor::new(w.desc().clone(), data).ok()?);
            s.run()
        }),
        mutant("conv: the last input channel is left out", &["op/Conv/"], |s| {
            let w = s.input(1).filter(|w| s.is("Conv") && w.shape()[1] > 1)?.clone();
            let (taps, channels) = (w.shape()[2..].iter().product::<usize>(), w.shape()[1]);
            let mut data = w.data().to_vec();
            data.chunks_mut((taps * channels).max(1)).for_each(|k| k[(channels - 1) * taps..].fill(0.0));
            s.inputs[1] = Some(Tensor::new(w.desc().clone(), data).ok()?);
            s.run()
        }),
        without("conv transpose: bias dropped", &["op/ConvTranspose/"], "ConvTranspose", 2),
        attribute(
            "resize: half pixels are not halved",
            &["op/Resize/"],
            "Resize",
            "coordinate_transformation_mode",
            word("asymmetric"),
        ),
        attribute("resize: bilinear takes the nearest", &["op/Resize/"], "Resize", "mode", word("nearest")),
    ]
}

fn attention() -> Vec<Mutant> {
    const CASES: &[&str] = &["op/Attention/"];
    vec![
        attribute("attention: looks into the future", CASES, "Attention", "causal", Attr::Bool(false)),
        without("attention: mask ignored", CASES, "Attention", 3),
        without("attention: bias ignored", CASES, "Attention", 4),
        mutant("attention: scores are not scaled", CASES, |s| {
            if !s.is("Attention") {
                return None;
            }
            s.put("scale", Attr::Float(1.0));
            s.run()
        }),
        mutant("attention: K and V exchanged", CASES, |s| {
            let same = s.is("Attention") && s.input(1)?.shape() == s.input(2)?.shape();
            same.then(|| s.inputs.swap(1, 2))?;
            s.run()
        }),
        mutant("attention: K transposed", CASES, |s| {
            let k = s
                .input(1)
                .filter(|k| s.is("Attention") && k.shape().len() == 4 && k.shape()[2] == k.shape()[3])?;
            s.inputs[1] = Some(permuted(k, &[0, 1, 3, 2])?);
            s.run()
        }),
        mutant("attention: heads of grouped queries go round", CASES, |s| {
            let (q, k) = (s.input(0)?, s.input(1)?);
            let grouped = s.is("Attention") && q.shape().len() == 4 && q.shape()[1] > k.shape()[1];
            let times = grouped.then(|| q.shape()[1] / k.shape()[1])?;
            for i in [1, 2] {
                let t = s.input(i)?.clone();
                let [b, h, l, d] = t.shape()[..] else { return None };
                let desc = TensorDesc::new(t.dtype(), [b, h * times, l, d]);
                let tiled = Tensor::from_fn(desc, |x| t.at(&[x[0], x[1] % h, x[2], x[3]]).unwrap_or(0.0));
                s.inputs[i] = Some(tiled);
            }
            s.run()
        }),
        mutant("attention: the last key is never seen", CASES, |s| {
            let k = s.input(1).filter(|k| s.is("Attention") && k.shape()[k.shape().len() - 2] > 1)?;
            let keys = k.shape()[k.shape().len() - 2];
            if s.input(3).is_some() {
                return None;
            }
            let mask = Tensor::from_fn(TensorDesc::new(DType::Bool, [keys]), |i| {
                f64::from(u8::from(i[0] + 1 < keys))
            });
            s.inputs.resize(s.inputs.len().max(4), None);
            s.inputs[3] = Some(mask);
            s.run()
        }),
        each("attention: rows with nothing to attend to are not zeros", CASES, "Attention", |v| {
            if v == 0.0 { 0.01 } else { v }
        }),
    ]
}

fn products() -> Vec<Mutant> {
    vec![
        without("linear: bias dropped", &["op/Linear/"], "Linear", 2),
        mutant("linear: square weights transposed", &["op/Linear/", "graph/"], |s| {
            let w = s.input(1).filter(|w| s.is("Linear") && w.shape()[0] == w.shape()[1])?;
            s.inputs[1] = Some(permuted(w, &[1, 0])?);
            s.run()
        }),
        sums("linear: accumulates in f16", |v| DType::F16.quantize(v)),
        sums("linear: accumulates in bf16", |v| DType::BF16.quantize(v)),
        sums("linear: accumulates towards zero", truncated),
        mutant("mat mul: the last term of each sum is left out", &["op/MatMul/"], |s| {
            let a = s.input(0).filter(|_| s.is("MatMul"))?.clone();
            let inner = *a.shape().last()?;
            let mut data = a.data().to_vec();
            data.chunks_mut(inner.max(1)).for_each(|row| row[inner - 1] = 0.0);
            s.inputs[0] = Some(Tensor::new(a.desc().clone(), data).ok()?);
            s.run()
        }),
        mutant("mat mul: every batch reads the first matrix", &["op/MatMul/"], |s| {
            let b = s.input(1).filter(|b| s.is("MatMul") && b.shape().len() > 2 && b.shape()[0] > 1)?.clone();
            let size = b.data().len() / b.shape()[0];
            let data = b.data()[..size].repeat(b.shape()[0]);
            s.inputs[1] = Some(Tensor::new(b.desc().clone(), data).ok()?);
            s.run()
        }),
    ]
}

fn elementwise() -> Vec<Mutant> {
    vec![
        anew("exp: fast", &["op/Exp/"], "Exp", |_, x| (1.0 + x[0] / 1024.0).powi(1024)),
        anew("exp: in half precision", &["op/Exp/"], "Exp", |t, x| {
            if t == DType::F32 { DType::F16.quantize(x[0].exp()) } else { x[0].exp() }
        }),
        anew("sigmoid: fast", &["op/Sigmoid/"], "Sigmoid", |_, x| 0.5 * (1.0 + x[0] / (1.0 + x[0].abs()))),
        attribute("gelu: always by tanh", &["op/Gelu/"], "Gelu", "approximate", word("tanh")),
        attribute("swish: alpha ignored", &["op/Swish/"], "Swish", "alpha", Attr::Float(1.0)),
        anew("sub: operands exchanged", &["op/Sub/"], "Sub", |_, x| x[1] - x[0]),
        anew("round: halves away from zero", &["op/Round/"], "Round", |_, x| x[0].round()),
        anew("floor: towards zero", &["op/Floor/"], "Floor", |_, x| x[0].trunc()),
        anew("max: NaN ignored", &["op/Max/"], "Max", |_, x| x[0].max(x[1])),
        anew("cast: rounds instead of truncating", &["op/Cast/"], "Cast", |t, x| {
            if t.is_int() { x[0].round() } else { x[0] }
        }),
        anew("add: integers saturate", &["op/Add/"], "Add", |t, x| {
            let sum = x[0] + x[1];
            t.int_range().map_or(sum, |(low, high)| sum.clamp(low as f64, high as f64))
        }),
        each("log: a part in ten thousand off", &["op/Log/"], "Log", |v| v * 1.0001),
        each("sqrt: infinity becomes the largest number", &["op/Sqrt/"], "Sqrt", |v| {
            if v.is_infinite() { f64::from(f32::MAX) } else { v }
        }),
        mutant("where: branches exchanged", &["op/Where/"], |s| {
            let fits = s.is("Where") && s.input(1)?.desc() == s.input(2)?.desc();
            fits.then(|| s.inputs.swap(1, 2))?;
            s.run()
        }),
        mutant("tanh: the tail of a vector is left out", &["op/Tanh/"], |s| {
            let made = if s.is("Tanh") { s.run()?.remove(0) } else { return None };
            let whole = made.data().len() / 8 * 8;
            let mut data = made.data().to_vec();
            data[whole..].fill(0.0);
            Tensor::new(made.desc().clone(), data).ok().map(|t| vec![t])
        }),
    ]
}

fn norms() -> Vec<Mutant> {
    const CASES: &[&str] = &["op/RMSNormalization/", "op/LayerNormalization/", "op/GroupNormalization/"];
    vec![
        attribute("rms norm: an epsilon of its own", CASES, "RMSNormalization", "epsilon", Attr::Float(1e-3)),
        attribute("group norm: one group", CASES, "GroupNormalization", "num_groups", Attr::Int(1)),
        without("layer norm: bias dropped", CASES, "LayerNormalization", 2),
        each("layer norm: inverse roots good to four digits", CASES, "LayerNormalization", |v| {
            v * (1.0 + 1e-4)
        }),
        mutant("softmax: along the last axis always", &["op/Softmax/"], |s| {
            if s.is("Softmax") && s.set("axis", Attr::Int(-1)) { s.run() } else { None }
        }),
        mutant("reduce mean: divides by one less", &["op/ReduceMean/"], |s| {
            let made = if s.is("ReduceMean") { s.run()?.remove(0) } else { return None };
            let count = s.input(0)?.data().len() as f64 / made.data().len().max(1) as f64;
            Some(vec![made.map(|v| made.dtype().quantize(v * count / (count - 1.0)))])
        }),
        mutant("reduce sum: keeps f16", &["op/ReduceSum/"], |s| {
            let made = if s.is("ReduceSum") { s.run()?.remove(0) } else { return None };
            (made.dtype() == DType::F32).then(|| vec![made.map(|v| DType::F16.quantize(v))])
        }),
    ]
}

fn movement() -> Vec<Mutant> {
    vec![
        mutant("transpose: the inverse order", &["op/Transpose/"], |s| {
            let perm = s.ints("perm").filter(|_| s.is("Transpose"))?;
            let mut inverse = vec![0; perm.len()];
            perm.iter().enumerate().for_each(|(i, &p)| inverse[p as usize] = i as i64);
            s.put("perm", Attr::Ints(inverse));
            // Most change the shape; give the elements in that order all the same.
            let due = s.input(0)?.clone();
            let made = s.run()?.remove(0);
            let shape: Vec<usize> = perm.iter().map(|&p| due.shape()[p as usize]).collect();
            Tensor::new(made.desc().with_shape(shape), made.into_data()).ok().map(|t| vec![t])
        }),
        mutant("concat: parts in reverse", &["op/Concat/"], |s| {
            s.is("Concat").then(|| s.inputs.reverse())?;
            s.run()
        }),
        mutant("split: parts in reverse", &["op/Split/"], |s| {
            s.is("Split").then_some(())?;
            let mut made = s.run()?;
            made.reverse();
            Some(made)
        }),
        attribute("pad: reflect repeats the edge", &["op/Pad/"], "Pad", "mode", word("edge")),
        mutant("gather: indices are one too small", &["op/Gather/"], |s| {
            let indices = s.input(1).filter(|_| s.is("Gather"))?.clone();
            s.inputs[1] = Some(indices.map(|v| (v - 1.0).max(0.0)));
            s.run()
        }),
        mutant("arg max: the last of equals", &["op/ArgMax/"], |s| {
            let x = s.input(0).filter(|_| s.is("ArgMax"))?.clone();
            // Among equals a hair more for later ones.
            let later = x.data().iter().enumerate().map(|(i, v)| v + 1e-3 * i as f64).collect();
            s.inputs[0] = Some(Tensor::new(x.desc().clone(), later).ok()?);
            s.run()
        }),
        mutant("rotary embedding: pairs of the other kind", &["op/RotaryEmbedding/"], |s| {
            s.is("RotaryEmbedding").then_some(())?;
            let now = s.attrs.iter().find(|(n, _)| n == "interleaved").map(|(_, v)| v.clone());
            s.put("interleaved", Attr::Bool(now != Some(Attr::Bool(true))));
            s.run()
        }),
        mutant(
            "sinusoidal embedding: sines and cosines exchanged",
            &["op/video.SinusoidalEmbedding/"],
            |s| {
                s.is("video.SinusoidalEmbedding").then_some(())?;
                let now = s.attrs.iter().find(|(n, _)| n == "flip").map(|(_, v)| v.clone());
                s.put("flip", Attr::Bool(now != Some(Attr::Bool(true))));
                s.run()
            },
        ),
    ]
}

fn habits() -> Vec<Mutant> {
    let with = |name, cases, habits| Mutant { name, cases, fault: Arc::new(|_: &mut Step<'_>| None), habits };
    vec![
        with(
            "a stale buffer",
            &["pipeline/sampling/euler linear-quadratic guidance 3"],
            Habits { stale: true, ..Habits::default() },
        ),
        with("f16 weights read as bf16", &["op/Linear/"], Habits { mistakes_f16: true, ..Habits::default() }),
        with("takes all and fails", &["op/Add/"], Habits { errs: true, ..Habits::default() }),
    ]
}
