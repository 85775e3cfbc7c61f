//! A tiny package in memory: every component is there and runs in a millisecond.
#![allow(dead_code, missing_docs, unreachable_pub)]

use std::collections::BTreeMap;
use std::sync::Arc;

use kinograph::{Device, DeviceOptions, Error, Model, Package, Runtime};

pub type Files = BTreeMap<String, Arc<[u8]>>;

pub const MANIFEST: &str = r#"
format = 1
name = "tiny"
version = "0"

[video]
width = 16
height = 16
frames = 3
fps = 8
fps_choices = [8, 16]
multiple = 8
max_width = 32
max_height = 32
max_frames = 8
trained_sizes = [[16, 16]]
prompt = "{prompt} at {fps}"

[latent]
channels = 3
compression = [2, 8, 8]
shift = [0.5]
scale = [2.0]

[sampler]
schedule = "linear"
steps = 4
guidance = 2.0

[[text]]
name = "bytes"
graph = "text.toml"
weights = ["weights.safetensors"]
tokenizer = { kind = "bytes", max_length = 16, eos = 1 }

[backbone]
graph = "backbone.toml"
weights = ["weights.safetensors"]

[decoder]
graph = "decoder.toml"
weights = []
"#;

const TEXT: &str = r#"
format = 1
name = "text"
symbols = { B = 1, L = 6 }
inputs = { ids = { shape = ["B", "L"], dtype = "i64" }, mask = { shape = ["B", "L"], dtype = "bool" } }
weights = { "embed" = [259, 3] }
nodes = [{ op = "Gather", in = ["embed", "ids"], out = "text" }]
outputs = { text = "text" }
"#;

/// The velocity draws the latent towards the mean of the text.
const BACKBONE: &str = r#"
format = 1
name = "backbone"
symbols = { B = 2, T = 2, H = 2, W = 2, L = 6 }
inputs = { latent = ["B", 3, "T", "H", "W"], time = ["B"], text = ["B", "L", 3], text_mask = { shape = ["B", "L"], dtype = "bool" } }
weights = { "mix.weight" = [3, 3] }
nodes = [
  { op = "ReduceMean", in = "text", out = "mean", axes = [1], keepdims = false },
  { op = "Linear", in = ["mean", "mix.weight"], out = "mean" },
  { op = "Reshape", in = "mean", out = "mean", shape = ["B", 3, 1, 1, 1] },
  { op = "Sub", in = ["mean", "latent"], out = "velocity" },
]
outputs = { velocity = "velocity" }
"#;

const DECODER: &str = r#"
format = 1
name = "decoder"
symbols = { B = 1, T = 2, H = 2, W = 2 }
inputs = { latent = ["B", 3, "T", "H", "W"] }
nodes = [
  { op = "Resize", in = "latent", out = "x", scales = [2, 8, 8], mode = "nearest", coordinate_transformation_mode = "asymmetric" },
  { op = "Tanh", in = "x", out = "video" },
]
outputs = { video = "video" }
"#;

/// A safetensors file of f32 tensors.
pub fn safetensors(tensors: &[(&str, &[usize], Vec<f32>)]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut data = Vec::new();
    for (name, shape, values) in tensors {
        let start = data.len();
        data.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        let entry =
            serde_json::json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, data.len()] });
        header.insert((*name).to_owned(), entry);
    }
    let header = serde_json::Value::Object(header).to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

pub fn weights() -> Vec<u8> {
    let embed = (0..259 * 3).map(|i| ((i * 37 % 101) as f32 - 50.0) / 25.0).collect();
    let mix = vec![1.0, 0.5, 0.0, -0.5, 1.0, 0.25, 0.0, 0.0, 1.0];
    safetensors(&[("embed", &[259, 3], embed), ("mix.weight", &[3, 3], mix)])
}

pub fn tiny() -> Files {
    let files: [(&str, Vec<u8>); 5] = [
        ("model.toml", MANIFEST.into()),
        ("text.toml", TEXT.into()),
        ("backbone.toml", BACKBONE.into()),
        ("decoder.toml", DECODER.into()),
        ("weights.safetensors", weights()),
    ];
    files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes.into())).collect()
}

/// The tiny package with one file replaced.
pub fn with(name: &str, bytes: impl Into<Vec<u8>>) -> Files {
    let mut files = tiny();
    files.insert(name.to_owned(), bytes.into().into());
    files
}

/// The tiny package with a text in one file replaced by another; the text must be there.
pub fn edited(name: &str, from: &str, to: &str) -> Files {
    let text = String::from_utf8(tiny()[name].to_vec()).unwrap();
    assert!(text.contains(from), "{name} has no {from:?}");
    with(name, text.replace(from, to))
}

pub fn cpu() -> Arc<dyn Device> {
    Runtime::new().open("cpu", &DeviceOptions::default()).unwrap()
}

pub fn load(files: Files) -> Result<Model, Error> {
    Model::load(Package::in_memory(files)?, cpu())
}

/// The bundled model.
pub fn flipbook() -> Model {
    Model::load(Package::built_in(kinograph_flipbook::FILES).unwrap(), cpu()).unwrap()
}

/// Devices by their ids, with options. One that is not there is skipped, but not in CI.
pub fn opened(ids: &[&str], extra: &[(&str, &str)]) -> Vec<Arc<dyn Device>> {
    let extra: BTreeMap<_, _> = extra.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let mut devices = Vec::new();
    for id in ids {
        let options = DeviceOptions { threads: Some(2), extra: extra.clone(), ..Default::default() };
        match Runtime::new().open(id, &options) {
            Ok(device) => devices.push(device),
            Err(error) if std::env::var_os("KINOGRAPH_REQUIRE_ALL").is_some() => panic!("{id}: {error}"),
            Err(error) => println!("skipped: {id}: {error}"),
        }
    }
    devices
}

/// The devices beside `cpu` that this build knows and this machine has.
pub fn others() -> Vec<Arc<dyn Device>> {
    opened(
        &[
            #[cfg(feature = "ort")]
            "ort:cpu",
            #[cfg(feature = "tract")]
            "tract",
            #[cfg(feature = "wgpu")]
            "wgpu:0",
        ],
        &[],
    )
}

/// Peak signal to noise ratio of two sequences of frames, in dB: infinite where they are equal.
pub fn psnr(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let error: f64 = a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum();
    10.0 * (255.0f64.powi(2) * a.len() as f64 / error).log10()
}
