//! The exact answer: graphs in f64, node by node.
//!
//! What an op means is its reference in the op table. Convolutions and products have faster loops here, which a test holds
//! against those references on every case, so that whole models can be evaluated.

mod fast;
mod geometry;

use kinograph_graph::{Args, Attrs, Bound, Graph, Node, OpError, Tensor};

use crate::random::Rng;

/// How an evaluation treats what nodes make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Exactly.
    Exact,
    /// As the worst device that the op table allows: each element of each node is moved to the end of its error bound, up or
    /// down by a coin that this seed throws. What comes out in the end shows how far rounding may carry.
    AtBounds(u64),
}

/// The values of a graph, by [`ValueId::index`](kinograph_graph::ValueId::index).
pub type Values = Vec<Option<Tensor>>;

/// Evaluates a graph. `feed` gives the tensor of each input and weight by its name.
///
/// # Errors
/// Those of `feed`, and data outside of what an op takes.
pub fn evaluate(
    graph: &Graph,
    mode: Mode,
    mut feed: impl FnMut(&str) -> Result<Tensor, OpError>,
) -> Result<Values, OpError> {
    let mut values: Values = vec![None; graph.values().len()];
    for &id in graph.inputs().iter().chain(graph.weights()) {
        let value = graph.value(id);
        let tensor = feed(&value.name)?;
        if tensor.shape() != value.desc.shape {
            return Err(OpError::invalid(format!(
                "`{}` must be {}, but is {}",
                value.name,
                value.desc,
                tensor.desc()
            )));
        }
        values[id.index()] = Some(tensor);
    }
    let mut coin = match mode {
        Mode::Exact => None,
        Mode::AtBounds(seed) => Some(Rng::new(seed)),
    };
    for node in graph.nodes() {
        let inputs: Vec<Option<&Tensor>> =
            node.inputs.iter().map(|id| id.and_then(|id| values[id.index()].as_ref())).collect();
        let made = moved(node, &inputs, coin.as_mut())?;
        for (&id, tensor) in node.outputs.iter().zip(made) {
            values[id.index()] = Some(tensor);
        }
    }
    Ok(values)
}

/// The outputs of a graph out of its values.
///
/// # Errors
/// When one was not computed.
pub fn outputs(graph: &Graph, values: &Values) -> Result<Vec<Tensor>, OpError> {
    let take = |id: kinograph_graph::ValueId| {
        let missing = || OpError::invalid(format!("`{}` was not computed", graph.value(id).name));
        values[id.index()].clone().ok_or_else(missing)
    };
    graph.outputs().iter().map(|output| take(output.value)).collect()
}

/// What one node makes of its inputs, exactly.
///
/// # Errors
/// Data outside of what the op takes.
pub fn node(node: &Node, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
    apply(node.op, inputs, &node.attrs)
}

/// What an op makes of its inputs, exactly.
///
/// # Errors
/// Data outside of what the op takes.
pub fn apply(
    op: &'static kinograph_graph::OpDef,
    inputs: &[Option<&Tensor>],
    attrs: &Attrs,
) -> Result<Vec<Tensor>, OpError> {
    let args = Args { op, inputs, attrs };
    match fast::evaluate(&args, fast::Of::Values)? {
        Some(made) => Ok(vec![made]),
        None => (op.reference)(&args),
    }
}

/// The op's error bound of each element, absolute; `None` where nothing but the exact answer will do.
///
/// # Errors
/// Data outside of what the op takes.
pub fn bounds(args: &Args<'_, Tensor>, outputs: &[Tensor]) -> Result<Option<Vec<Vec<f64>>>, OpError> {
    let Bound::Scaled(bound) = args.op.bound else { return Ok(None) };
    let units = match fast::bound(args)? {
        Some(units) => vec![units],
        None => bound(args, outputs)?,
    };
    let absolute = |(units, tensor): (Vec<f64>, &Tensor)| {
        let unit = tensor.dtype().unit_roundoff();
        units.into_iter().map(|u| u * unit).collect()
    };
    Ok(Some(units.into_iter().zip(outputs).map(absolute).collect()))
}

fn moved(node: &Node, inputs: &[Option<&Tensor>], coin: Option<&mut Rng>) -> Result<Vec<Tensor>, OpError> {
    let made = self::node(node, inputs)?;
    let Some(coin) = coin else { return Ok(made) };
    let args = Args { op: node.op, inputs, attrs: &node.attrs };
    let Some(bounds) = bounds(&args, &made)? else { return Ok(made) };
    let shift = |(tensor, bounds): (Tensor, Vec<f64>)| {
        if !tensor.dtype().is_float() {
            return Ok(tensor);
        }
        let desc = tensor.desc().clone();
        let mut toss = |bound: f64| if coin.unit() < 0.5 { -bound } else { bound };
        // An infinity is due as it is, whatever its bound is in proportion to it.
        let stray = |(x, bound): (f64, f64)| {
            let by = toss(bound);
            if x.is_finite() { x + by } else { x }
        };
        let data = tensor.into_data().into_iter().zip(bounds).map(stray).collect();
        Tensor::new(desc, data)
    };
    made.into_iter().zip(bounds).map(shift).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Suite, random_case};

    /// Sums of f64 in another order.
    const SLACK: f64 = 1e-12;

    #[test]
    fn the_fast_loops_are_the_references() {
        let mut seen = std::collections::BTreeSet::new();
        let suite = Suite::builtin().unwrap();
        let random = (0..600).filter_map(random_case);
        for case in suite.cases().iter().cloned().chain(random) {
            let tensors = case.tensors();
            let inputs: Vec<Option<&Tensor>> = tensors.iter().map(Option::as_ref).collect();
            let args = Args { op: case.op, inputs: &inputs, attrs: &case.attrs };
            let finite = inputs.iter().flatten().all(|t| t.data().iter().all(|v| v.is_finite()));
            let Some(found) = fast::evaluate(&args, fast::Of::Values).unwrap().filter(|_| finite) else {
                continue;
            };
            seen.insert(case.op.name);
            let expected = (case.op.reference)(&args).unwrap().remove(0);
            assert_eq!(found.desc(), expected.desc(), "{case}");
            let scale = fast::evaluate(&args, fast::Of::Magnitudes).unwrap().unwrap();
            for ((f, e), scale) in found.data().iter().zip(expected.data()).zip(scale.data()) {
                assert!((f - e).abs() <= SLACK * scale, "{case}: {f} instead of {e}");
            }
            let Bound::Scaled(bound) = case.op.bound else { panic!("{case}: a sum is not exact") };
            let expected = bound(&args, &[expected]).unwrap().remove(0);
            for (f, e) in fast::bound(&args).unwrap().unwrap().iter().zip(&expected) {
                assert!((f - e).abs() <= SLACK * e, "{case}: a bound of {f} instead of {e}");
            }
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["Conv", "Linear", "MatMul"]);
    }

    #[test]
    fn padding_is_not_multiplied() {
        let operand = |values: &[f64]| {
            let desc = kinograph_graph::TensorDesc::new(kinograph_graph::DType::F32, [1, 1, values.len()]);
            Some(crate::Operand { desc, fill: crate::Fill::Values(values.to_vec()), stored: None })
        };
        let operands = vec![operand(&[1.0, 2.0, 3.0]), operand(&[f64::INFINITY, 1.0, 1.0])];
        let pads = vec![("pads".to_owned(), kinograph_graph::Attr::Ints(vec![1, 1]))];
        let op = kinograph_graph::ops::find("Conv").unwrap();
        let case = crate::Case::new(op, "infinite weight".into(), operands, pads, 0).unwrap();
        let tensors = case.tensors();
        let inputs: Vec<Option<&Tensor>> = tensors.iter().map(Option::as_ref).collect();
        let found = apply(op, &inputs, &case.attrs).unwrap().remove(0);
        assert_eq!(found.data(), [3.0, f64::INFINITY, f64::INFINITY]);
    }

    #[test]
    fn infinities_stay_where_they_are_at_bounds() {
        let suite = Suite::builtin().unwrap();
        let case = suite.cases().iter().find(|c| c.op.name == "Add" && c.name == "same shape f32").unwrap();
        let run = crate::run::Run::new(case).unwrap();
        let (graph, output) = (run.graph(), run.graph().outputs()[0].value);
        let infinite = || Tensor::from_fn(graph.value(output).desc.clone(), |_| f64::NEG_INFINITY);
        let values = evaluate(graph, Mode::AtBounds(1), |_| Ok(infinite())).unwrap();
        let moved = values[output.index()].as_ref().unwrap();
        assert!(moved.data().iter().all(|v| *v == f64::NEG_INFINITY));
    }

    #[test]
    fn at_bounds_every_element_is_at_its_bound() {
        let suite = Suite::builtin().unwrap();
        let case = suite.cases().iter().find(|c| c.op.name == "Exp" && c.name.starts_with("prime")).unwrap();
        let graph = crate::run::Run::new(case).unwrap();
        let input = case.tensors().remove(0).unwrap();
        let run = |mode| evaluate(graph.graph(), mode, |_| Ok(input.clone())).unwrap();
        let output = graph.graph().outputs()[0].value.index();
        let exact = run(Mode::Exact)[output].clone().unwrap();
        let moved = run(Mode::AtBounds(3))[output].clone().unwrap();
        let args = Args { op: case.op, inputs: &[Some(&input)], attrs: &case.attrs };
        let bounds = bounds(&args, std::slice::from_ref(&exact)).unwrap().unwrap().remove(0);
        for ((e, m), bound) in exact.data().iter().zip(moved.data()).zip(bounds) {
            assert!(((e - m).abs() / bound - 1.0).abs() < 1e-6);
        }
    }
}
