//! The bundled model on the CPU against what PyTorch computed from the same weights
//! (`examples/models/flipbook/goldens`, made by the exporter), and its reproducibility.

use std::ops::ControlFlow;
use std::sync::Arc;

use kinograph::graph::{Bindings, GraphFile, Limits, Number};
use kinograph::media::Frames;
use kinograph::{
    Control, Device, DeviceOptions, Generated, HostData, HostTensor, Model, Package, Request, Runtime,
    latents,
};
use kinograph_backend::{MemoryWeights, Weights};
use kinograph_graph::DType;
use safetensors::{Dtype, SafeTensors};

/// Bar of the project: relative L2 in f32.
const TOLERANCE: f64 = 1e-4;

fn device(threads: usize, simd: Option<&str>) -> Arc<dyn Device> {
    let mut options = DeviceOptions { threads: Some(threads), ..DeviceOptions::default() };
    options.extra.extend(simd.map(|s| ("simd".to_owned(), s.to_owned())));
    Runtime::new().open("cpu", &options).unwrap()
}

fn model(device: Arc<dyn Device>) -> Model {
    Model::load(Package::built_in(kinograph_flipbook::FILES).unwrap(), device).unwrap()
}

fn file(name: &str) -> &'static [u8] {
    kinograph_flipbook::FILES.iter().find(|(n, _)| *n == name).unwrap().1
}

fn golden(name: &str) -> Vec<u8> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/models/flipbook/goldens");
    std::fs::read(root.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn graph(name: &str) -> GraphFile {
    let text = |name: &str| String::from_utf8(file(name).to_vec()).map_err(|e| e.to_string());
    GraphFile::parse_with(name, &text(name).unwrap(), &Limits::default(), &text).unwrap()
}

fn weights(name: &str) -> Arc<dyn Weights> {
    let mut weights = MemoryWeights::new();
    for (tensor, view) in SafeTensors::deserialize(file(name)).unwrap().iter() {
        assert_eq!(view.dtype(), Dtype::F16, "{name}: {tensor}");
        weights.insert(tensor, DType::F16, view.shape(), view.data().to_vec());
    }
    Arc::new(weights)
}

/// A golden tensor; masks are stored as f32 and become bool.
fn tensor(goldens: &SafeTensors<'_>, name: &str) -> HostTensor {
    let view = goldens.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
    let f32s = || view.data().chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
    let data = match view.dtype() {
        Dtype::I64 => {
            HostData::I64(view.data().chunks(8).map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect())
        }
        Dtype::F32 if name.ends_with("mask") => HostData::Bool(f32s().map(|v| u8::from(v != 0.0)).collect()),
        Dtype::F32 => HostData::F32(f32s().collect()),
        other => panic!("{name}: {other:?}"),
    };
    HostTensor::new(view.shape(), data).unwrap()
}

fn run(graph_name: &str, weight_file: &str, bindings: &Bindings, inputs: Vec<HostTensor>) -> HostTensor {
    let device = device(2, None);
    let graph = Arc::new(graph(graph_name).bind(bindings).unwrap_or_else(|e| panic!("{e}")));
    let executable = device.compile(graph, weights(weight_file)).unwrap_or_else(|e| panic!("{e}"));
    let inputs: Vec<_> = inputs.into_iter().map(|t| device.upload(t).unwrap()).collect();
    let outputs = executable.run(&inputs, &Control::new()).unwrap_or_else(|e| panic!("{e}"));
    device.download(&outputs[0]).unwrap()
}

#[track_caller]
fn check(what: &str, found: &HostTensor, expected: &HostTensor) {
    assert_eq!(found.desc(), expected.desc(), "{what}");
    let (found, expected) = (found.data().to_f64(), expected.data().to_f64());
    let norm: f64 = expected.iter().map(|e| e * e).sum();
    let error: f64 = found.iter().zip(&expected).map(|(f, e)| (f - e) * (f - e)).sum();
    let relative = (error / norm).sqrt();
    println!("{what}: relative L2 {relative:.2e}");
    assert!(relative <= TOLERANCE, "{what}: relative L2 {relative:e}");
}

fn symbols(sizes: &[(&str, usize)]) -> Bindings {
    sizes.iter().fold(Bindings::new(), |b, (name, size)| b.symbol(*name, *size))
}

#[test]
fn text_encoders_agree_with_pytorch() {
    let bytes = golden("text.safetensors");
    let goldens = SafeTensors::deserialize(&bytes).unwrap();
    let byte = [("vocab", 384), ("dim", 64), ("hidden", 128), ("gelu", 1)];
    for (name, graph, params) in
        [("t5", "text-t5.toml", &[][..]), ("clip", "text-clip.toml", &[]), ("byte", "text-t5.toml", &byte)]
    {
        let ids = tensor(&goldens, &format!("{name}.ids"));
        let mask = tensor(&goldens, &format!("{name}.mask"));
        let [batch, length] = ids.desc().shape[..] else { panic!("{}", ids.desc()) };
        let bindings = params
            .iter()
            .fold(symbols(&[("B", batch), ("L", length)]), |b, (k, v)| b.number(*k, Number::Int(*v)));
        let found = run(graph, &format!("text_{name}.safetensors"), &bindings, vec![ids, mask]);
        check(name, &found, &tensor(&goldens, &format!("{name}.out")));
    }
}

#[test]
fn backbone_agrees_with_pytorch() {
    let bytes = golden("backbone.safetensors");
    let goldens = SafeTensors::deserialize(&bytes).unwrap();
    let text_bytes = golden("text.safetensors");
    let texts = SafeTensors::deserialize(&text_bytes).unwrap();
    for name in ["small", "pair"] {
        let get = |part: &str| tensor(&goldens, &format!("{name}.{part}"));
        let text = if name == "small" { get("text") } else { pair_text(&texts) };
        let x = get("x");
        let [b, _, t, h, w] = x.desc().shape[..] else { panic!("{}", x.desc()) };
        let bindings = symbols(&[("B", b), ("T", t), ("H", h), ("W", w), ("L", text.desc().shape[1])]);
        let inputs = vec![x, get("t"), text, get("mask")];
        let found = run("backbone.toml", "backbone.safetensors", &bindings, inputs);
        check(name, &found, &get("velocity"));
    }
}

/// The text of the golden `pair`: the first two prompts, encoders concatenated along the sequence.
fn pair_text(texts: &SafeTensors<'_>) -> HostTensor {
    let parts: Vec<HostTensor> =
        ["t5.out", "clip.out", "byte.out"].iter().map(|n| tensor(texts, n)).collect();
    let mut values = Vec::new();
    for row in 0..2 {
        for part in &parts {
            let size = part.desc().shape[1] * part.desc().shape[2];
            values.extend_from_slice(&part.as_f32().unwrap()[row * size..(row + 1) * size]);
        }
    }
    HostTensor::f32([2, 112, 192], values).unwrap()
}

#[test]
fn autoencoder_agrees_with_pytorch() {
    for frames in [1, 5, 16] {
        let bytes = golden(&format!("tae_{frames}.safetensors"));
        let goldens = SafeTensors::deserialize(&bytes).unwrap();
        let (clip, mean) = (tensor(&goldens, "clip"), tensor(&goldens, "mean"));
        let sizes = |t: &HostTensor| {
            let shape = &t.desc().shape;
            symbols(&[("B", shape[0]), ("T", shape[2]), ("H", shape[3]), ("W", shape[4])])
        };
        let bindings = sizes(&clip);
        let encoded = run("tae-encoder.toml", "tae.safetensors", &bindings, vec![clip]);
        check(&format!("encode {frames}"), &encoded, &mean);
        let bindings = sizes(&mean);
        let decoded = run("tae-decoder.toml", "tae.safetensors", &bindings, vec![mean]);
        check(&format!("decode {frames}"), &decoded, &tensor(&goldens, "decoded"));
    }
}

/// Tokenizers, encoders, guidance, sampler and decoder together: four guided steps from PyTorch's noise.
#[test]
fn a_whole_trajectory_agrees_with_pytorch() {
    let bytes = golden("trajectory.safetensors");
    let goldens = SafeTensors::deserialize(&bytes).unwrap();
    let states = tensor(&goldens, "states");
    let shape = states.desc().shape[1..].to_vec();
    let size: usize = shape.iter().product();
    let all = states.as_f32().unwrap();
    let noise = HostTensor::f32(shape.clone(), all[..size].to_vec()).unwrap();
    let request = Request::new("a green triangle moves right")
        .frames(16)
        .steps(4)
        .schedule("linear".parse().unwrap())
        .guidance("3.0".parse().unwrap())
        .latents(noise);
    let made = generate(&model(device(2, None)), &request);
    let mut batched = vec![1];
    batched.extend(&shape);
    check("final state", &made.latents, &HostTensor::f32(batched, all[4 * size..].to_vec()).unwrap());

    let view = goldens.tensor("frames").unwrap();
    let expected = Frames::new(view.data().to_vec(), 16, 64, 64).unwrap();
    let differ = || made.frames.data().iter().zip(expected.data()).map(|(a, b)| a.abs_diff(*b));
    assert!(differ().max() <= Some(1), "a frame differs by {:?} of 255", differ().max());
    // Rounding alone: a manifest with the statistics of other latents is off by 1 far more often.
    let share = differ().filter(|&d| d > 0).count() as f64 / expected.data().len() as f64;
    assert!(share < 1e-3, "{share} of the frames' values differ");
}

fn generate(model: &Model, request: &Request) -> Generated {
    model.generate(request, |_| ControlFlow::Continue(())).unwrap_or_else(|e| panic!("{e}"))
}

fn small_request() -> Request {
    Request::new("a red circle moves left").frames(9).steps(3).seed(5)
}

#[test]
fn threads_and_repetition_do_not_change_a_byte() {
    let first = generate(&model(device(1, None)), &small_request());
    for threads in [1, 2, 3] {
        let again = generate(&model(device(threads, None)), &small_request());
        assert!(first.latents == again.latents, "latents with {threads} threads");
        assert!(first.frames == again.frames, "frames with {threads} threads");
    }
    let other = generate(&model(device(2, None)), &small_request().seed(6));
    assert!(first.frames != other.frames, "another seed gives another video");
}

#[test]
fn every_simd_level_agrees() {
    let best = generate(&model(device(2, None)), &small_request());
    for level in kinograph_cpu::CpuBackend::simd_levels() {
        let made = generate(&model(device(2, Some(level))), &small_request());
        check(level, &made.latents, &best.latents);
    }
}

#[test]
fn latents_survive_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("noise.safetensors");
    let mut noise = vec![0.0; 16 * 2 * 8 * 8];
    kinograph::noise::fill_normal(&mut noise, 5, 0);
    latents::write(&path, &HostTensor::f32([16, 2, 8, 8], noise).unwrap(), &Default::default()).unwrap();
    let model = model(device(2, None));
    let from_file = generate(&model, &small_request().latents(latents::read(&path).unwrap()));
    assert!(
        from_file.latents == generate(&model, &small_request()).latents,
        "the seed's own noise, by way of a file"
    );
}
