//! Ops in ordinary ops give the bits that their definition says, whatever they are made of.

use std::collections::BTreeMap;

use super::*;
use crate::exact::flush;
use crate::{Args, Attr, DType, Graph, GraphBuilder, Node, Tensor, TensorDesc, ops};

/// Numbers from a counter: all exponents that matter, both signs, some zeros.
pub(super) fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..count)
        .map(|_| {
            let bits = next();
            let magnitude = 2f32.powi((bits >> 40) as i32 % 8 - 4);
            let unit = ((bits & 0xff_ffff) as f32 / 8_388_608.0) - 1.0;
            if bits >> 60 == 0 { 0.0 } else { flush(unit * magnitude) }
        })
        .collect()
}

/// Runs a graph node by node as a device would: each result rounded to its type.
pub(super) fn run(graph: &Graph, feed: &BTreeMap<String, Tensor>) -> Vec<Tensor> {
    let mut values: Vec<Option<Tensor>> = vec![None; graph.values().len()];
    for &id in graph.inputs().iter().chain(graph.weights()) {
        values[id.index()] = Some(feed[&graph.value(id).name].clone());
    }
    for node in graph.nodes() {
        let inputs: Vec<Option<&Tensor>> =
            node.inputs.iter().map(|id| id.and_then(|id| values[id.index()].as_ref())).collect();
        let made = (node.op.reference)(&Args { op: node.op, inputs: &inputs, attrs: &node.attrs })
            .unwrap_or_else(|e| panic!("{}: {e}", node.name));
        for (&id, tensor) in node.outputs.iter().zip(made) {
            let dtype = tensor.dtype();
            // Sums of products in f64 are exact here; what exceeds 24 bits must not occur.
            if matches!(node.op.name, "MatMul" | "Conv" | "ReduceSum") {
                assert!(
                    tensor.data().iter().all(|v| v.abs() < 16_777_216.0 && v.fract() == 0.0),
                    "{}",
                    node.name
                );
            }
            values[id.index()] =
                Some(tensor.map(|v| if dtype == DType::F32 { f64::from(v as f32) } else { v }));
        }
    }
    graph.outputs().iter().map(|o| values[o.value.index()].clone().unwrap()).collect()
}

fn check(op: &str, shapes: &[Option<&[usize]>], attrs: &[(&str, Attr)], factor: f32) {
    for slices in [1, 2] {
        let def = ops::find(op).unwrap();
        let mut b = GraphBuilder::new("g");
        let mut feed = BTreeMap::new();
        let mut inputs = Vec::new();
        for (i, shape) in shapes.iter().enumerate() {
            let Some(shape) = shape else {
                inputs.push(None);
                continue;
            };
            let dtype = if def.inputs[i].types == crate::Types::Bool { DType::Bool } else { DType::F32 };
            let desc = TensorDesc::new(dtype, *shape);
            let drawn = numbers(desc.elements(), i as u64 + 7);
            let data = drawn.iter().map(|&v| match dtype {
                DType::Bool => f64::from(u8::from(v > -0.2)),
                _ => f64::from(flush(v * factor)),
            });
            let name = format!("x{i}");
            feed.insert(name.clone(), Tensor::new(desc.clone(), data.collect()).unwrap());
            inputs.push(Some(b.input(&name, desc).unwrap()));
        }
        let mut given: Vec<(String, Attr)> =
            attrs.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect();
        if def.attrs.iter().any(|a| a.name == "slices") {
            given.push(("slices".into(), Attr::Int(slices)));
        }
        let y = b.node(def, &inputs, given, "node").unwrap()[0];
        let graph = b.finish([("y", y)]).unwrap();
        let expanded = expand(&graph, |_, _| false).unwrap();
        assert!(expanded.nodes().iter().all(|n: &Node| !n.op.name.starts_with("exact.")));
        let (wanted, got) = (&run(&graph, &feed)[0], &run(&expanded, &feed)[0]);
        assert_eq!(wanted.shape(), got.shape(), "{op}");
        for (i, (w, g)) in wanted.data().iter().zip(got.data()).enumerate() {
            assert_eq!(
                (*w as f32).to_bits(),
                (*g as f32).to_bits(),
                "{op} {attrs:?} r{slices}: {i}: {w:e} {g:e}"
            );
        }
    }
}

#[test]
fn elementwise() {
    for op in ["Flush", "Sigmoid", "Swish", "Exp", "Tanh", "Gelu", "Sin", "Cos"] {
        check(&format!("exact.{op}"), &[Some(&[3000])], &[], 1.0);
        check(&format!("exact.{op}"), &[Some(&[300])], &[], 40.0);
    }
    check("exact.Gelu", &[Some(&[2000])], &[("approximate", Attr::Str("tanh".into()))], 1.0);
    check("exact.Swish", &[Some(&[300])], &[("alpha", Attr::Float(1.702))], 2.0);
    for op in ["exact.Add", "exact.Sub", "exact.Mul"] {
        check(op, &[Some(&[7, 40]), Some(&[40])], &[], 1.0);
        check(op, &[Some(&[7, 40]), Some(&[7, 1])], &[], 2e-19);
        check(op, &[Some(&[7, 40]), Some(&[7, 1])], &[], 3e38);
    }
}

#[test]
fn products() {
    for factor in [1.0, 3e-33, 1e30] {
        check("exact.Linear", &[Some(&[2, 3, 17]), Some(&[5, 17]), Some(&[5])], &[], factor);
    }
    check("exact.Linear", &[Some(&[2, 4100]), Some(&[3, 4100])], &[], 1.0);
    check("exact.Linear", &[Some(&[0, 5]), Some(&[3, 5])], &[], 1.0);
    check("exact.MatMul", &[Some(&[2, 1, 4, 9]), Some(&[3, 9, 5])], &[], 1.0);
    check("exact.MatMul", &[Some(&[3, 2500]), Some(&[2500, 2])], &[], 1.0);
}

#[test]
fn convolutions() {
    let pads = ("pads", Attr::Ints(vec![1, 1, 1, 1]));
    check(
        "exact.Conv",
        &[Some(&[2, 3, 5, 6]), Some(&[4, 3, 3, 3]), Some(&[4])],
        std::slice::from_ref(&pads),
        1.0,
    );
    let edge = ("pad_mode", Attr::Str("edge".into()));
    let strides = ("strides", Attr::Ints(vec![2, 1]));
    check(
        "exact.Conv",
        &[Some(&[1, 4, 5, 6]), Some(&[6, 2, 3, 3])],
        &[pads, edge, strides, ("group", Attr::Int(2))],
        1.0,
    );
    check("exact.Conv", &[Some(&[1, 300, 4, 4]), Some(&[2, 300, 3, 3])], &[], 1.0);
    check("exact.Conv", &[Some(&[1, 2, 3, 4, 5]), Some(&[3, 2, 1, 2, 2])], &[], 1e-3);
}

#[test]
fn normalisations() {
    for op in ["exact.RMSNormalization", "exact.LayerNormalization"] {
        for factor in [1.0, 1e-20, 1e15] {
            check(op, &[Some(&[3, 4, 24]), Some(&[24])], &[], factor);
            check(
                op,
                &[Some(&[2, 6, 5])],
                &[("axes", Attr::Ints(vec![1])), ("epsilon", Attr::Float(0.0))],
                factor,
            );
        }
        check(op, &[Some(&[2, 3, 2100])], &[("axes", Attr::Ints(vec![0, 2]))], 1.0);
    }
}

#[test]
fn attentions() {
    let heads = [("q_num_heads", Attr::Int(2)), ("kv_num_heads", Attr::Int(2))];
    check("exact.Attention", &[Some(&[2, 5, 16]), Some(&[2, 7, 16]), Some(&[2, 7, 12])], &heads, 1.0);
    let causal = ("causal", Attr::Bool(true));
    let shapes: [&[usize]; 5] = [&[1, 4, 6, 8], &[1, 2, 6, 8], &[1, 2, 6, 5], &[1, 1, 6, 6], &[4, 6, 6]];
    check("exact.Attention", &shapes.map(Some), &[causal], 1.0);
    let shapes: [&[usize]; 4] = [&[1, 1, 3, 8], &[1, 1, 2100, 8], &[1, 1, 2100, 2], &[1, 1, 3, 2100]];
    check("exact.Attention", &shapes.map(Some), &[("scale", Attr::Float(0.3))], 1.0);
    check("exact.Softmax", &[Some(&[3, 2100, 2])], &[("axis", Attr::Int(1))], 2.0);
}

/// Nodes of a file may be named as those that others are written as.
#[test]
fn names_of_written_nodes_clash_with_none() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", TensorDesc::new(DType::F32, [2])).unwrap();
    let y = b.node(ops::find("Tanh").unwrap(), &[Some(x)], [], "a").unwrap()[0];
    let shape = [("shape".to_owned(), Attr::Ints(vec![1, 2]))];
    let y = b.node(ops::find("Reshape").unwrap(), &[Some(y)], shape, "a/1").unwrap()[0];
    let exact = reproducible(&b.finish([("y", y)]).unwrap(), crate::exact::Slices::Two).unwrap();
    // The reshape is `a/1/1` now, which is what the first step of `a/1`, the tangent, is written as too.
    assert!(exact.nodes().iter().any(|n| n.name == "a/1/1" && n.op.name == "Reshape"));
    expand(&exact, |_, _| false).unwrap();
}
