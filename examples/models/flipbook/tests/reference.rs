//! The graphs, run by the op table's f64 reference, against what PyTorch computed for the trained model.

use std::fs;
use std::path::Path;

use half::f16;
use kinograph_graph::{Bindings, DType, Graph, GraphFile, Limits, OpError, Tensor, TensorDesc, evaluate};
use safetensors::{Dtype, SafeTensors};

/// f32 rounding in PyTorch is all that may differ.
const TOLERANCE: f64 = 1e-5;

fn read(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn graph(name: &str, bindings: &Bindings) -> Graph {
    let text = |name: &str| String::from_utf8(read(name)).map_err(|e| e.to_string());
    GraphFile::parse_with(name, &text(name).unwrap(), &Limits::default(), &text)
        .unwrap()
        .bind(bindings)
        .unwrap_or_else(|e| panic!("{e}"))
}

fn tensor(file: &SafeTensors<'_>, name: &str) -> Option<Tensor> {
    let view = file.tensor(name).ok()?;
    let bytes = view.data();
    let values: Vec<f64> = match view.dtype() {
        Dtype::F16 => bytes.chunks(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f64()).collect(),
        Dtype::F32 => {
            bytes.chunks(4).map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect()
        }
        Dtype::I64 => bytes.chunks(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect(),
        Dtype::I32 => {
            bytes.chunks(4).map(|b| f64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect()
        }
        Dtype::BOOL | Dtype::U8 => bytes.iter().map(|&b| f64::from(b)).collect(),
        other => panic!("{name}: {other:?}"),
    };
    Some(Tensor::new(TensorDesc::new(DType::F32, view.shape()), values).unwrap())
}

/// Runs a graph on golden inputs, found by their name in the graph through `golden_name`.
fn run(
    graph: &Graph,
    weights: &str,
    goldens: &SafeTensors<'_>,
    golden_name: impl Fn(&str) -> String,
) -> Tensor {
    let bytes = read(weights);
    let weights = SafeTensors::deserialize(&bytes).unwrap();
    let feed = |name: &str| {
        tensor(&weights, name)
            .or_else(|| tensor(goldens, &golden_name(name)))
            .ok_or_else(|| OpError::invalid(format!("neither a weight nor a golden: {name}")))
    };
    evaluate(graph, feed).unwrap().remove(0)
}

fn relative_l2(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let norm: f64 = expected.iter().map(|e| e * e).sum();
    let error: f64 = found.iter().zip(expected).map(|(f, e)| (f - e) * (f - e)).sum();
    (error / norm).sqrt()
}

#[track_caller]
fn check(what: &str, found: &Tensor, expected: &Tensor) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    let error = relative_l2(found.data(), expected.data());
    println!("{what}: relative L2 {error:.2e}");
    assert!(error < TOLERANCE, "{what}: relative L2 {error:e}");
}

#[test]
fn text_encoders() {
    let bytes = read("goldens/text.safetensors");
    let goldens = SafeTensors::deserialize(&bytes).unwrap();
    let byte = [("vocab", 384), ("dim", 64), ("hidden", 128), ("gelu", 1)];
    for (name, file, length, params) in [
        ("t5", "text-t5.toml", 48, &[][..]),
        ("clip", "text-clip.toml", 48, &[]),
        ("byte", "text-t5.toml", 16, &byte),
    ] {
        let batch = tensor(&goldens, &format!("{name}.ids")).unwrap().shape()[0];
        let bindings = Bindings::new().symbol("B", batch).symbol("L", length);
        let bindings = params.iter().fold(bindings, |b, (k, v)| b.param(*k, *v));
        let found = run(&graph(file, &bindings), &format!("text_{name}.safetensors"), &goldens, |n| {
            format!("{name}.{n}")
        });
        check(name, &found, &tensor(&goldens, &format!("{name}.out")).unwrap());
    }
}

#[test]
fn backbone() {
    let bytes = read("goldens/backbone.safetensors");
    let goldens = SafeTensors::deserialize(&bytes).unwrap();
    let x = tensor(&goldens, "small.x").unwrap();
    let text = tensor(&goldens, "small.text").unwrap();
    let [b, _, t, h, w] = *x.shape() else { panic!("{:?}", x.shape()) };
    let bindings = [("B", b), ("T", t), ("H", h), ("W", w), ("L", text.shape()[1])]
        .into_iter()
        .fold(Bindings::new(), |bindings, (name, size)| bindings.symbol(name, size));
    let found = run(&graph("backbone.toml", &bindings), "backbone.safetensors", &goldens, |name| {
        let short = match name {
            "latent" => "x",
            "time" => "t",
            "text_mask" => "mask",
            other => other,
        };
        format!("small.{short}")
    });
    check("velocity", &found, &tensor(&goldens, "small.velocity").unwrap());
}

#[test]
fn autoencoder() {
    let bytes = read("goldens/tae_1.safetensors");
    let goldens = SafeTensors::deserialize(&bytes).unwrap();
    let clip = tensor(&goldens, "clip").unwrap();
    let [_, _, t, h, w] = *clip.shape() else { panic!("{:?}", clip.shape()) };
    let bind = |t, h, w| Bindings::new().symbol("T", t).symbol("H", h).symbol("W", w);
    let mean =
        run(&graph("tae-encoder.toml", &bind(t, h, w)), "tae.safetensors", &goldens, |_| "clip".into());
    check("encoder", &mean, &tensor(&goldens, "mean").unwrap());
    let latent = (t.div_ceil(8), h / 8, w / 8);
    let decoder = graph("tae-decoder.toml", &bind(latent.0, latent.1, latent.2));
    let decoded = run(&decoder, "tae.safetensors", &goldens, |_| "mean".into());
    check("decoder", &decoded, &tensor(&goldens, "decoded").unwrap());
}
