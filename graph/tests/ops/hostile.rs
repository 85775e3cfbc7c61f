//! Whatever a graph file says, inference and references give a result or an error: they never
//! panic, never overflow, and agree with each other on shapes.

use kinograph_graph::ops::{self, OPS};
use kinograph_graph::{Args, Attr, AttrKind, Attrs, Bound, DType, Limits, OpDef, Tensor, TensorDesc};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::case::cases;

/// One node of a hostile graph.
#[derive(Clone, Debug)]
struct Node {
    op: &'static OpDef,
    attrs: Vec<(String, Attr)>,
    inputs: Vec<Option<TensorDesc>>,
}

fn int() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => -3i64..7,
        1 => select(vec![i64::MIN, i64::MIN + 1, i64::MAX, 1 << 32, -(1 << 32), 1 << 62, 1000]),
    ]
}

fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -3.0f64..5.0,
        1 => select(vec![0.0, -0.0, 1.0, 2.0, 1e-300, 1e300, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, f64::NAN]),
    ]
}

fn attr(kind: AttrKind) -> BoxedStrategy<Attr> {
    match kind {
        AttrKind::Int => int().prop_map(Attr::Int).boxed(),
        AttrKind::Float => float().prop_map(Attr::Float).boxed(),
        AttrKind::Bool => any::<bool>().prop_map(Attr::Bool).boxed(),
        AttrKind::Choice(words) => select(words).prop_map(|word| Attr::Str(word.into())).boxed(),
        AttrKind::Ints => prop::collection::vec(int(), 0..7).prop_map(Attr::Ints).boxed(),
        AttrKind::Floats => prop::collection::vec(float(), 0..5).prop_map(Attr::Floats).boxed(),
    }
}

fn dim() -> impl Strategy<Value = usize> {
    prop_oneof![
        12 => 0usize..5,
        1 => select(vec![1 << 20, 1 << 33, 1 << 62, usize::MAX]),
    ]
}

fn desc() -> impl Strategy<Value = TensorDesc> {
    let dtype = prop_oneof![3 => Just(DType::F32), 1 => select(DType::ALL.to_vec())];
    (dtype, prop::collection::vec(dim(), 0..6)).prop_map(|(dtype, shape)| TensorDesc::new(dtype, shape))
}

fn node() -> impl Strategy<Value = Node> {
    select(OPS).prop_flat_map(|op| {
        let attrs: Vec<_> = op
            .attrs
            .iter()
            .map(|spec| {
                prop::option::weighted(0.7, attr(spec.kind))
                    .prop_map(|v| v.map(|v| (spec.name.to_string(), v)))
            })
            .collect();
        let inputs = prop::collection::vec(prop::option::weighted(0.9, desc()), 0..op.inputs.len() + 2);
        (attrs, inputs).prop_map(move |(attrs, inputs)| Node {
            op,
            attrs: attrs.into_iter().flatten().collect(),
            inputs,
        })
    })
}

/// A node that works, with one thing changed.
fn mutant(good: Vec<Node>) -> impl Strategy<Value = Node> {
    (select(good), any::<Index>(), any::<Index>(), int(), dim(), 0..5u8).prop_map(
        |(mut node, at, entry, value, size, what)| {
            match what {
                0 => {
                    if let Some((_, attr)) = pick(&mut node.attrs, at) {
                        change(attr, entry, value);
                    }
                }
                1 if !node.attrs.is_empty() => drop(node.attrs.remove(at.index(node.attrs.len()))),
                2 => pick(&mut node.inputs, at).into_iter().for_each(|input| *input = None),
                3 if !node.op.attrs.is_empty() => replace(&mut node, at, entry, value),
                _ => {
                    if let Some(Some(desc)) = pick(&mut node.inputs, at)
                        && let Some(d) = pick(&mut desc.shape, entry)
                    {
                        *d = size;
                    }
                }
            }
            node
        },
    )
}

fn pick<T>(list: &mut [T], at: Index) -> Option<&mut T> {
    if list.is_empty() { None } else { Some(at.get_mut(list)) }
}

fn replace(node: &mut Node, at: Index, entry: Index, value: i64) {
    let spec = at.get(node.op.attrs);
    node.attrs.retain(|(name, _)| name != spec.name);
    let value = match spec.kind {
        AttrKind::Ints => Attr::Ints(vec![value; entry.index(7)]),
        AttrKind::Floats => Attr::Floats(vec![value as f64; entry.index(5)]),
        AttrKind::Bool => Attr::Bool(value > 0),
        AttrKind::Choice(words) => Attr::Str((*entry.get(words)).into()),
        _ => Attr::Int(value),
    };
    node.attrs.push((spec.name.into(), value));
}

fn change(attr: &mut Attr, entry: Index, value: i64) {
    match attr {
        Attr::Int(v) => *v = value,
        Attr::Float(v) => *v = value as f64,
        Attr::Bool(v) => *v = !*v,
        Attr::Str(v) => v.push('x'),
        Attr::Ints(list) => match pick(list, entry) {
            Some(v) => *v = value,
            None => list.push(value),
        },
        Attr::Floats(list) => match pick(list, entry) {
            Some(v) => *v = value as f64,
            None => list.push(value as f64),
        },
    }
}

/// Data that lie in the type, and are not all alike.
fn data(desc: &TensorDesc, start: usize) -> Tensor {
    const FLOATS: [f64; 9] = [0.5, -1.25, 0.0, 3.0, f64::INFINITY, -0.0, f64::NAN, 1e-40, -7.0];
    let mut i = start;
    Tensor::from_fn(desc.clone(), |_| {
        i += 1;
        if desc.dtype.is_float() { FLOATS[i % 9] } else { desc.dtype.quantize((i % 4) as f64 - 1.0) }
    })
}

/// How much a case may compute.
const SMALL: usize = 2000;

fn check(node: &Node) -> Result<(), TestCaseError> {
    let Ok(attrs) = Attrs::check(node.op.attrs, node.attrs.clone()) else { return Ok(()) };
    let descs: Vec<Option<&TensorDesc>> = node.inputs.iter().map(Option::as_ref).collect();
    let args = Args { op: node.op, inputs: &descs, attrs: &attrs };
    // The op's own rule must hold without the limits, too.
    if let Ok(outputs) = (node.op.infer)(&args) {
        (node.op.flops)(&args, &outputs);
    }
    let Ok(outputs) = ops::infer(node.op, &descs, &attrs, &Limits::default()) else { return Ok(()) };
    let work =
        descs.iter().flatten().copied().chain(&outputs).fold(0usize, |n, d| n.saturating_add(d.elements()));
    if work > SMALL {
        return Ok(());
    }
    let tensors: Vec<Option<Tensor>> =
        descs.iter().enumerate().map(|(i, desc)| desc.map(|desc| data(desc, i))).collect();
    let tensors: Vec<Option<&Tensor>> = tensors.iter().map(Option::as_ref).collect();
    // Data may lie outside the op's domain, such as an index outside an axis.
    let Ok(results) = ops::evaluate(node.op, &tensors, &attrs) else { return Ok(()) };
    let found: Vec<&TensorDesc> = results.iter().map(Tensor::desc).collect();
    prop_assert_eq!(found, outputs.iter().collect::<Vec<_>>());
    if let Bound::Scaled(bound) = node.op.bound {
        let bounds = bound(&Args { op: node.op, inputs: &tensors, attrs: &attrs }, &results);
        let lengths =
            bounds.expect("a bound wherever there is a result").iter().map(Vec::len).collect::<Vec<_>>();
        prop_assert_eq!(lengths, outputs.iter().map(TensorDesc::elements).collect::<Vec<_>>());
    }
    Ok(())
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

#[test]
fn random_nodes_do_not_panic() {
    proptest!(config(20_000), |(node in node())| check(&node)?);
}

#[test]
fn changed_nodes_do_not_panic() {
    let good = cases().map(|case| Node {
        op: case.op,
        attrs: case.attrs.iter().map(|(name, value)| (name.to_string(), value.clone())).collect(),
        inputs: case.inputs.iter().map(|t| t.as_ref().map(|t| t.desc().clone())).collect(),
    });
    proptest!(config(20_000), |(node in mutant(good.collect()))| check(&node)?);
}

/// A reference called on data that inference would refuse gives an error as well.
#[test]
fn references_check_for_themselves() {
    let strategy = (node(), any::<Index>());
    proptest!(config(10_000), |((node, _) in strategy)| {
        let Ok(attrs) = Attrs::check(node.op.attrs, node.attrs.clone()) else { return Ok(()) };
        let descs = node.inputs.iter().flatten();
        if descs.map(|d| d.elements()).max().unwrap_or(0) > SMALL {
            return Ok(());
        }
        let descs: Vec<Option<&TensorDesc>> = node.inputs.iter().map(Option::as_ref).collect();
        let args = Args { op: node.op, inputs: &descs, attrs: &attrs };
        let fits = |outputs: &Vec<TensorDesc>| outputs.iter().all(|d| d.elements() <= SMALL);
        if (node.op.infer)(&args).as_ref().is_ok_and(|outputs| !fits(outputs)) {
            return Ok(());
        }
        let tensors: Vec<Option<Tensor>> = descs.iter().map(|d| d.map(|d| data(d, 0))).collect();
        let tensors: Vec<Option<&Tensor>> = tensors.iter().map(Option::as_ref).collect();
        let _ = (node.op.reference)(&Args { op: node.op, inputs: &tensors, attrs: &attrs });
    });
}
