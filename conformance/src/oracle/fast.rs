//! Loops in f64 for the ops that take the time: the same sums as the op table's references, in another order.

use std::thread;

use kinograph_graph::{Args, DType, OpError, Tensor, TensorDesc};

use super::geometry::Sizes;

/// What is summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// The numbers themselves.
    Values,
    /// Their absolute values: the scale of the error bound.
    Magnitudes,
}

/// The output of an op that has a loop here.
pub(super) fn evaluate(args: &Args<'_, Tensor>, of: Of) -> Result<Option<Tensor>, OpError> {
    let multiply: fn(&Operands<'_>, &[usize]) -> Result<Vec<f64>, OpError> = match args.op.name {
        // Here the zeros of the padding are multiplied, the reference leaves them out: 0 times infinity would tell.
        "Conv" if !all_finite(args.optional(1)) => return Ok(None),
        "Conv" => convolve,
        "Linear" => linear,
        "MatMul" => product,
        _ => return Ok(None),
    };
    let descs: Vec<Option<&TensorDesc>> = args.inputs.iter().map(|t| t.map(Tensor::desc)).collect();
    let desc = (args.op.infer)(&Args { op: args.op, inputs: &descs, attrs: args.attrs })?.remove(0);
    let magnitudes: Vec<Option<Tensor>> = match of {
        Of::Values => Vec::new(),
        Of::Magnitudes => args.inputs.iter().map(|t| t.map(|t| t.map(f64::abs))).collect(),
    };
    let inputs: Vec<Option<&Tensor>> = match of {
        Of::Values => args.inputs.to_vec(),
        Of::Magnitudes => magnitudes.iter().map(Option::as_ref).collect(),
    };
    let data = multiply(&Args { op: args.op, inputs: &inputs, attrs: args.attrs }, &desc.shape)?;
    Tensor::new(desc, data).map(Some)
}

fn all_finite(tensor: Option<&Tensor>) -> bool {
    tensor.is_none_or(|t| t.data().iter().all(|v| v.is_finite()))
}

type Operands<'a> = Args<'a, Tensor>;

/// The op table's bound of such an op, in units of roundoff: as many roundings of an accumulator as there are terms, those of
/// the result (and of the bias, where there may be one), on the sum of magnitudes, and the least normal number.
pub(super) fn bound(args: &Args<'_, Tensor>) -> Result<Option<Vec<f64>>, OpError> {
    let (terms, more) = match args.op.name {
        "Conv" => (args.input(1)?.shape()[1..].iter().product::<usize>(), 2.0),
        "Linear" => (args.input(1)?.shape()[1], 2.0),
        "MatMul" => (args.input(0)?.shape().last().copied().unwrap_or(0), 1.0),
        _ => return Ok(None),
    };
    let Some(scale) = evaluate(args, Of::Magnitudes)? else { return Ok(None) };
    let unit = scale.dtype().unit_roundoff();
    let roundings = terms as f64 * DType::F32.unit_roundoff() / unit + more;
    let floor = least_normal(scale.dtype()) / unit;
    Ok(Some(scale.data().iter().map(|s| roundings * s + floor).collect()))
}

fn least_normal(dtype: DType) -> f64 {
    if dtype == DType::F16 { 2f64.powi(-14) } else { 2f64.powi(-126) }
}

/// Fewer products than these are not worth the start of a thread.
const LEAST_WORK: usize = 1 << 20;

/// Runs over chunks of the output, each by one thread. An element is a sum of so many terms.
fn in_parallel(out: &mut [f64], chunk: usize, terms: usize, f: impl Fn(usize, &mut [f64]) + Sync) {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let count = out.len().div_ceil(chunk.max(1));
    if threads == 1 || count < 2 || out.len().saturating_mul(terms) < LEAST_WORK {
        return out.chunks_mut(chunk.max(1)).enumerate().for_each(|(i, c)| f(i, c));
    }
    let share = count.div_ceil(threads);
    thread::scope(|scope| {
        for (t, part) in out.chunks_mut(share * chunk).enumerate() {
            let f = &f;
            scope.spawn(move || part.chunks_mut(chunk).enumerate().for_each(|(i, c)| f(t * share + i, c)));
        }
    });
}

fn convolve(args: &Operands<'_>, shape: &[usize]) -> Result<Vec<f64>, OpError> {
    let (x, w, bias) = (args.input(0)?, args.input(1)?, args.optional(2));
    let s = Sizes::of(x, w, args.attrs, shape)?;
    let plane: usize = s.output.iter().product();
    let terms: usize = w.shape()[1..].iter().product();
    let mut out = vec![0.0; shape.iter().product()];
    if out.is_empty() {
        return Ok(out);
    }
    for (image, out) in out.chunks_mut(s.out_channels * plane).enumerate() {
        let padded = s.padded(x.data(), image);
        in_parallel(out, plane, terms, |o, out| {
            out.fill(bias.map_or(0.0, |b| b.data()[o]));
            convolve_channel(&s, &padded, w.data(), o, out);
        });
    }
    debug_assert_eq!(s.batch, shape[0]);
    Ok(out)
}

fn convolve_channel(s: &Sizes, x: &[f64], w: &[f64], o: usize, out: &mut [f64]) {
    let (per_group, out_per_group) = (s.channels / s.group, s.out_channels / s.group);
    let ([kd, kh, kw], [pd, ph, pw], [od, oh, ow]) = (s.kernel, s.padded, s.output);
    let mut weights = w[o * per_group * kd * kh * kw..].iter();
    for c in 0..per_group {
        let channel = o / out_per_group * per_group + c;
        for (a, b, e) in (0..kd).flat_map(|a| (0..kh).flat_map(move |b| (0..kw).map(move |e| (a, b, e)))) {
            let Some(&weight) = weights.next() else { return };
            for (row, line) in out.chunks_exact_mut(ow).enumerate() {
                let (i, j) = (row / oh, row % oh);
                debug_assert!(i < od);
                let plane = i * s.strides[0] + a * s.dilations[0];
                let y = j * s.strides[1] + b * s.dilations[1];
                let from = ((channel * pd + plane) * ph + y) * pw + e * s.dilations[2];
                if s.strides[2] == 1 {
                    line.iter_mut().zip(&x[from..from + ow]).for_each(|(sum, v)| *sum += weight * v);
                } else {
                    let read = x[from..].iter().step_by(s.strides[2]);
                    line.iter_mut().zip(read).for_each(|(sum, v)| *sum += weight * v);
                }
            }
        }
    }
}

/// Several sums at once, which the compiler makes vectors of.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (mut a, mut b) = (a.chunks_exact(8), b.chunks_exact(8));
    for (a, b) in (&mut a).zip(&mut b) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (x, y))| *sum += x * y);
    }
    let rest: f64 = a.remainder().iter().zip(b.remainder()).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f64>() + rest
}

fn linear(args: &Operands<'_>, shape: &[usize]) -> Result<Vec<f64>, OpError> {
    let (x, w, bias) = (args.input(0)?, args.input(1)?, args.optional(2));
    let (columns, inner) = (w.shape()[0], w.shape()[1]);
    let mut out = vec![0.0; shape.iter().product()];
    in_parallel(&mut out, columns, inner, |row, out| {
        let x = &x.data()[row * inner..(row + 1) * inner];
        for (c, value) in out.iter_mut().enumerate() {
            *value = bias.map_or(0.0, |b| b.data()[c]) + dot(x, &w.data()[c * inner..(c + 1) * inner]);
        }
    });
    Ok(out)
}

fn product(args: &Operands<'_>, shape: &[usize]) -> Result<Vec<f64>, OpError> {
    let (a, b) = (args.input(0)?, args.input(1)?);
    let (lead_a, lead_b) = (&a.shape()[..a.shape().len() - 2], &b.shape()[..b.shape().len() - 2]);
    let (rows, inner) = (a.shape()[lead_a.len()], a.shape()[lead_a.len() + 1]);
    let columns = b.shape()[lead_b.len() + 1];
    let mut out = vec![0.0; shape.iter().product()];
    let lead = &shape[..shape.len() - 2];
    let transposed = transposed(b.data(), inner, columns);
    in_parallel(&mut out, columns, inner, |row, out| {
        let matrix = row / rows.max(1);
        let at_a = broadcast(lead_a, lead, matrix) * rows * inner + row % rows.max(1) * inner;
        let at_b = broadcast(lead_b, lead, matrix) * inner * columns;
        for (c, value) in out.iter_mut().enumerate() {
            let column = &transposed[at_b + c * inner..at_b + (c + 1) * inner];
            *value = dot(&a.data()[at_a..at_a + inner], column);
        }
    });
    Ok(out)
}

/// Matrices \[inner, columns\] as \[columns, inner\].
fn transposed(data: &[f64], inner: usize, columns: usize) -> Vec<f64> {
    let mut out = vec![0.0; data.len()];
    let size = (inner * columns).max(1);
    for (from, to) in data.chunks_exact(size).zip(out.chunks_exact_mut(size)) {
        (0..inner * columns).for_each(|i| to[i % columns * inner + i / columns] = from[i]);
    }
    out
}

/// The position in a tensor of that shape of what broadcasts to a flat position of a larger one.
fn broadcast(shape: &[usize], whole: &[usize], flat: usize) -> usize {
    let (mut rest, mut at, mut stride) = (flat, 0, 1);
    for (axis, &size) in whole.iter().enumerate().rev() {
        let index = rest % size.max(1);
        rest /= size.max(1);
        if let Some(own) = (axis + shape.len()).checked_sub(whole.len()) {
            at += if shape[own] == 1 { 0 } else { index * stride };
            stride *= shape[own];
        }
    }
    at
}
