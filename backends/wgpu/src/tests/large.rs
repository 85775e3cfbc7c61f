//! What is larger than a binding, and attention to many tokens. `KINOGRAPH_LARGE=1` takes 1 GiB and 16,384 tokens, which is minutes on a
//! graphics processor in software.

use std::sync::Arc;

use kinograph_backend::{BufferRef, Control, Device, HostTensor, MemoryWeights};
use kinograph_graph::{Attr, DType, Graph, GraphBuilder, TensorDesc, ops};

use super::open;
use crate::device::WgpuDevice;

fn large() -> bool {
    std::env::var_os("KINOGRAPH_LARGE").is_some()
}

/// Compiles and runs a graph, and holds the memory in use against the plan. The inputs' memory is no part of it.
fn run(device: &WgpuDevice, graph: Arc<Graph>, weights: MemoryWeights, inputs: &[BufferRef]) -> HostTensor {
    let before = device.current().used();
    let executable = device.compile(graph, Arc::new(weights)).unwrap();
    let made = executable.run(inputs, &Control::new()).unwrap();
    let used = device.current().used() - before;
    let planned = executable.memory().total();
    println!("planned {planned} bytes, in use {used}");
    assert!(planned.abs_diff(used) * 10 <= used, "planned {planned}, in use {used}");
    device.download(&made[0]).unwrap()
}

/// A linear layer of small whole numbers, whose sums are exact in any order.
#[test]
fn a_weight_larger_than_a_binding_is_cut() {
    let Some(device) = open(&[]) else { return };
    let (inner, columns) = (1 << 14, if large() { 1 << 14 } else { 3 << 10 });
    let weight = |column: usize, k: usize| ((column * 7 + k * 3) % 11) as i32 - 5;
    let x = |k: usize| (k % 5) as i32 - 2;
    let desc = |shape: [usize; 2]| TensorDesc::new(DType::F32, shape);
    let mut b = GraphBuilder::new("large");
    let (input, w) =
        (b.input("x", desc([1, inner])).unwrap(), b.weight("w", desc([columns, inner])).unwrap());
    let out = b.node(ops::find("Linear").unwrap(), &[Some(input), Some(w)], [], "linear").unwrap()[0];
    let graph = Arc::new(b.finish([("out", out)]).unwrap());
    let mut weights = MemoryWeights::new();
    let elements = (0..columns).flat_map(|c| (0..inner).map(move |k| weight(c, k) as f32));
    weights.insert_f32("w", [columns, inner], &elements.collect::<Vec<_>>());
    let given = HostTensor::f32([1, inner], (0..inner).map(|k| x(k) as f32).collect()).unwrap();
    let found = run(&device, graph, weights, &[device.upload(given).unwrap()]);
    let due: Vec<f32> =
        (0..columns).map(|c| (0..inner).map(|k| weight(c, k) * x(k)).sum::<i32>() as f32).collect();
    assert!(found.as_f32().unwrap() == due, "the products differ");
}

/// A convolution of small whole numbers at one position. Its weight is laid down tap by tap, in two pieces.
#[test]
fn a_convolutions_weight_is_laid_down_by_tap() {
    let Some(device) = open(&[]) else { return };
    let (channels, taps) = (256, 27);
    let weight = |out: usize, channel: usize, tap: usize| ((out * 7 + channel * 3 + tap * 5) % 11) as i32 - 5;
    let x = |channel: usize, tap: usize| ((channel + 2 * tap) % 5) as i32 - 2;
    let desc = |lead: &[usize]| TensorDesc::new(DType::F32, [lead, &[3; 3]].concat());
    let mut b = GraphBuilder::new("by tap");
    let (input, w) =
        (b.input("x", desc(&[1, channels])).unwrap(), b.weight("w", desc(&[channels; 2])).unwrap());
    let out = b.node(ops::find("Conv").unwrap(), &[Some(input), Some(w)], [], "conv").unwrap()[0];
    let graph = Arc::new(b.finish([("out", out)]).unwrap());
    let rows = (0..channels).flat_map(|o| (0..channels).map(move |c| (o, c)));
    let elements: Vec<f32> = rows.flat_map(|(o, c)| (0..taps).map(move |t| weight(o, c, t) as f32)).collect();
    let mut weights = MemoryWeights::new();
    weights.insert_f32("w", [channels, channels, 3, 3, 3], &elements);
    let pairs = || (0..channels).flat_map(|c| (0..taps).map(move |t| (c, t)));
    let given = pairs().map(|(c, t)| x(c, t) as f32).collect();
    let given = HostTensor::f32([1, channels, 3, 3, 3], given).unwrap();
    let found = run(&device, graph, weights, &[device.upload(given).unwrap()]);
    let due = |o| pairs().map(|(c, t)| weight(o, c, t) * x(c, t)).sum::<i32>() as f32;
    assert!(found.as_f32().unwrap() == (0..channels).map(due).collect::<Vec<_>>(), "the sums differ");
}

/// Eight heads of 64. Some queries are held against attention in f64.
#[test]
fn attention_to_many_tokens_needs_memory_for_its_results_only() {
    let Some(device) = open(&[]) else { return };
    let (tokens, heads, head) = (if large() { 1 << 14 } else { 1 << 10 }, 8, 64);
    let width = heads * head;
    let desc = TensorDesc::new(DType::F32, [1, tokens, width]);
    let mut b = GraphBuilder::new("attention");
    let ids = ["q", "k", "v"].map(|name| Some(b.input(name, desc.clone()).unwrap()));
    let counts = ["q_num_heads", "kv_num_heads"].map(|name| (name.to_owned(), Attr::Int(heads as i64)));
    let out = b.node(ops::find("Attention").unwrap(), &ids, counts, "attention").unwrap()[0];
    let graph = Arc::new(b.finish([("out", out)]).unwrap());
    let numbers = |seed: u32| -> Vec<f32> {
        let mix =
            |i: u32| (i ^ seed).wrapping_mul(0x9e37_79b9).rotate_left(13).wrapping_mul(0x85eb_ca6b) >> 8;
        (0..(tokens * width) as u32).map(|i| mix(i) as f32 / 8_388_608.0 - 1.0).collect()
    };
    let given = [1, 2, 3].map(numbers);
    let inputs = given
        .each_ref()
        .map(|numbers| device.upload(HostTensor::f32(desc.shape.clone(), numbers.clone()).unwrap()).unwrap());
    let found = run(&device, graph, MemoryWeights::new(), &inputs);
    let found = found.as_f32().unwrap();
    for (query, own) in [(0, 0), (tokens / 2 + 1, 3), (tokens - 1, 7)] {
        let due = attention(&given, query, own, [tokens, heads, head]);
        for (d, due) in due.into_iter().enumerate() {
            let error = (f64::from(found[query * width + own * head + d]) - due).abs();
            assert!(error < 1e-5, "query {query}, head {own}, element {d}: off by {error:e}");
        }
    }
}

/// One query of one head.
fn attention(qkv: &[Vec<f32>; 3], query: usize, own: usize, sizes: [usize; 3]) -> Vec<f64> {
    let [tokens, heads, head] = sizes;
    let at = |which: usize, token: usize, d: usize| f64::from(qkv[which][(token * heads + own) * head + d]);
    let score = |key| (0..head).map(|d| at(0, query, d) * at(1, key, d)).sum::<f64>() / (head as f64).sqrt();
    let scores: Vec<f64> = (0..tokens).map(score).collect();
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let shares: Vec<f64> = scores.iter().map(|s| (s - highest).exp()).collect();
    let total: f64 = shares.iter().sum();
    (0..head)
        .map(|d| shares.iter().enumerate().map(|(key, s)| s * at(2, key, d)).sum::<f64>() / total)
        .collect()
}
