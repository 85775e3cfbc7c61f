//! Narrow instances of the full-size graphs of Movie Gen on a device, against the references of the ops (which
//! `graph/tests/movie_gen.rs` holds against PyTorch).

#![allow(missing_docs, unreachable_pub)]

use std::path::Path;
use std::sync::Arc;

use kinograph_backend::{Control, Device, HostTensor, MemoryWeights};
use kinograph_graph::{Bindings, DType, Graph, GraphFile, Limits, OpError, Tensor, TensorDesc, evaluate};

fn graph(name: &str, sizes: &[(&str, usize)], params: &[(&str, i64)]) -> Graph {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../graph/models/movie-gen");
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).map_err(|e| format!("{name}: {e}"));
    let bindings = sizes.iter().fold(Bindings::new(), |b, (name, size)| b.symbol(*name, *size));
    let bindings = params.iter().fold(bindings, |b, (name, value)| b.param(*name, *value));
    let file = GraphFile::parse_with(name, &text(name).unwrap(), &Limits::default(), &text);
    file.and_then(|file| file.bind(&bindings)).unwrap_or_else(|e| panic!("{e}"))
}

/// Numbers in -1..1 that f32 holds, another sequence for each name.
fn noise(name: &str, count: usize) -> Vec<f64> {
    let seed = name.bytes().fold(0x9e37_79b9_u64, |s, b| (s ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let mix =
        |i: u64| (seed ^ i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40;
    (0..count as u64).map(|i| mix(i) as f64 / f64::from(1 << 23) - 1.0).collect()
}

/// Values for an input or a weight: products neither grow nor vanish, norms scale by about one.
fn values(name: &str, desc: &TensorDesc) -> Tensor {
    let fan_in: usize = desc.shape.iter().skip(1).product();
    let gain = desc.rank() == 1 && name.ends_with("weight");
    let spread = if desc.rank() > 1 { (3.0 / fan_in as f64).sqrt() } else { 0.3 };
    let value = |v: f64| match desc.dtype {
        DType::Bool => f64::from(u8::from(v > -0.5)),
        DType::I64 => (v.abs() * 16.0).floor(),
        _ => f64::from((v * spread + f64::from(u8::from(gain))) as f32),
    };
    let data = noise(name, desc.elements()).into_iter().map(value).collect();
    Tensor::new(desc.clone(), data).unwrap()
}

/// Runs a graph, and holds what comes out against the references: no element may be off by more than so much of the largest.
#[track_caller]
fn check(device: &dyn Device, graph: Graph, tolerance: f64) {
    let graph = Arc::new(graph);
    let value = |id| graph.value(id);
    let feed = |name: &str| {
        let found =
            graph.inputs().iter().chain(graph.weights()).map(|&id| value(id)).find(|v| v.name == name);
        found.map(|v| values(name, &v.desc)).ok_or_else(|| OpError::invalid(name))
    };
    let expected = evaluate(&graph, feed).unwrap().remove(0);
    let mut weights = MemoryWeights::new();
    for weight in graph.weights().iter().map(|&id| value(id)) {
        let numbers: Vec<f32> = values(&weight.name, &weight.desc).data().iter().map(|&v| v as f32).collect();
        weights.insert_f32(&weight.name, weight.desc.shape.clone(), &numbers);
    }
    let inputs = graph.inputs().iter().map(|&id| {
        let tensor = values(&value(id).name, &value(id).desc);
        device.upload(HostTensor::from_reference(&tensor, value(id).desc.dtype)).unwrap()
    });
    let inputs: Vec<_> = inputs.collect();
    let executable = device.compile(graph.clone(), Arc::new(weights)).unwrap();
    let found = executable.run(&inputs, &Control::new()).unwrap();
    let found = device.download(&found[0]).unwrap().data().to_f64();
    let largest = expected.data().iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let differences = found.iter().zip(expected.data()).map(|(f, e)| (f - e).abs());
    // Not `max`, which would pass a NaN over.
    let error = differences.fold(0.0, |m: f64, d| if d <= m { m } else { d }) / largest;
    println!("{}: {error:.1e} of {largest:.1}", graph.name());
    assert!(found.len() == expected.data().len() && error <= tolerance, "{}: off by {error:e}", graph.name());
}

pub fn backbone(device: &dyn Device, tolerance: f64) {
    let sizes = [("B", 2), ("T", 3), ("H", 6), ("W", 4), ("L", 9)];
    let params = [("dim", 48), ("layers", 3), ("heads", 4), ("hidden", 80)];
    check(device, graph("backbone.toml", &sizes, &params), tolerance);
    check(
        device,
        graph("backbone.toml", &sizes, &[&params[..], &[("bias", 1), ("cross_norm", 0)]].concat()),
        tolerance,
    );
}

pub fn autoencoder(device: &dyn Device, tolerance: f64) {
    let params = [("width", 4), ("groups", 2)];
    check(device, graph("tae-encoder.toml", &[("T", 9), ("H", 16), ("W", 8)], &params), tolerance);
    check(
        device,
        graph("tae-encoder.toml", &[("T", 1), ("H", 8), ("W", 16)], &[("width", 4), ("groups", 0)]),
        tolerance,
    );
    check(device, graph("tae-decoder.toml", &[("T", 2), ("H", 1), ("W", 2)], &params), tolerance);
}

pub fn text_encoders(device: &dyn Device, tolerance: f64) {
    let sizes = [("B", 2), ("L", 20)];
    let common = [("vocab", 16), ("dim", 40), ("layers", 3), ("heads", 4), ("out", 24)];
    let t5 = [&common[..], &[("head", 16), ("hidden", 64)]].concat();
    check(device, graph("text-t5.toml", &sizes, &t5), tolerance);
    check(device, graph("text-t5.toml", &sizes, &[&t5[..], &[("gelu", 1)]].concat()), tolerance);
    check(device, graph("text-clip.toml", &sizes, &common), tolerance);
}
