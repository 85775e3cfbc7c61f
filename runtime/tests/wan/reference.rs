//! The references, and comparing with them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kinograph::{Device, HostData, HostTensor, Package};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use crate::common::{cpu, others};

/// What f32 may differ by after all that a model computes, as a share of the whole.
pub(crate) const BOUND: f64 = 1e-4;

pub(crate) type Files = BTreeMap<String, Arc<[u8]>>;

/// A model directory, and the tensors `video`, `mean` and `logvar`.
type Encoded = (Files, BTreeMap<String, HostTensor>);

/// A model directory and one file of what diffusers made of it.
pub(crate) struct Reference {
    pub(crate) name: String,
    pub(crate) files: Files,
    pub(crate) tensors: BTreeMap<String, HostTensor>,
    /// The arguments of the call.
    pub(crate) call: Value,
}

/// The files of a directory, in memory, by their paths in it.
pub(crate) fn files(directory: &Path) -> Files {
    let mut found = Files::new();
    let mut open = vec![directory.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let parts = path.strip_prefix(directory).unwrap().components();
            let name = parts.map(|p| p.as_os_str().to_str().unwrap()).collect::<Vec<_>>().join("/");
            found.insert(name, std::fs::read(path).unwrap().into());
        }
    }
    found
}

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wan/goldens")
}

/// One of the committed directories.
pub(crate) fn golden(name: &str) -> Files {
    files(&goldens().join(name))
}

/// All directories with what belongs to them.
pub(crate) fn all() -> Vec<Reference> {
    let mut folders = vec![goldens()];
    match std::env::var_os("KINOGRAPH_WAN_REFERENCES") {
        Some(more) => folders.push(more.into()),
        None => eprintln!("only the committed references: KINOGRAPH_WAN_REFERENCES is not set"),
    }
    let mut found = Vec::new();
    for folder in folders {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let made = entry.unwrap().path();
            let name = made.file_name().unwrap().to_str().unwrap().to_owned();
            if let Some(model) = name.strip_suffix("-ref") {
                let model = files(&folder.join(model));
                let made = files(&made).into_iter().filter(|(name, _)| !name.starts_with("vae_encode"));
                found.extend(
                    made.map(|(file, bytes)| Reference::new(format!("{name}/{file}"), &model, &bytes)),
                );
            }
        }
    }
    assert!(found.len() >= 2, "no references");
    found
}

/// What encoders made of videos.
fn encoded() -> Vec<Encoded> {
    let mut folders = vec![goldens()];
    folders.extend(std::env::var_os("KINOGRAPH_WAN_REFERENCES").map(PathBuf::from));
    let mut found = Vec::new();
    for folder in folders {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let made = entry.unwrap().path();
            let name = made.file_name().unwrap().to_str().unwrap().to_owned();
            if let (Some(model), true) =
                (name.strip_suffix("-ref"), made.join("vae_encode.safetensors").exists())
            {
                let bytes = std::fs::read(made.join("vae_encode.safetensors")).unwrap();
                found.push((files(&folder.join(model)), tensors(&bytes)));
            }
        }
    }
    assert!(!found.is_empty());
    found
}

impl Reference {
    fn new(name: String, model: &Files, bytes: &[u8]) -> Self {
        let (_, header) = SafeTensors::read_metadata(bytes).unwrap();
        let metadata = header.metadata().clone().unwrap();
        let mut files = model.clone();
        // The same model was sampled with several schedulers.
        let mut scheduler: Value = serde_json::from_str(&metadata["scheduler_config"]).unwrap();
        scheduler["_class_name"] = metadata["scheduler"].clone().into();
        files.insert("scheduler/scheduler_config.json".into(), scheduler.to_string().into_bytes().into());
        let call: Value = serde_json::from_str(&metadata["call"]).unwrap();
        Self { name, files, tensors: tensors(bytes), call }
    }

    pub(crate) fn package(&self) -> Package {
        Package::in_memory(self.files.clone()).unwrap()
    }

    pub(crate) fn tensor(&self, name: &str) -> &HostTensor {
        self.tensors.get(name).unwrap_or_else(|| panic!("{}: no {name}", self.name))
    }

    pub(crate) fn number(&self, name: &str) -> usize {
        self.call[name].as_u64().unwrap() as usize
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.call[name].as_str().unwrap_or_default()
    }

    pub(crate) fn is_guided(&self) -> bool {
        self.call["guidance_scale"].as_f64().unwrap() > 1.0
    }
}

fn tensors(bytes: &[u8]) -> BTreeMap<String, HostTensor> {
    let file = SafeTensors::deserialize(bytes).unwrap();
    let tensor = |(name, view): (&str, safetensors::tensor::TensorView<'_>)| {
        let data = match view.dtype() {
            Dtype::F32 => HostData::F32(floats(view.data())),
            Dtype::I64 => HostData::I64(
                view.data().chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect(),
            ),
            other => panic!("{name} is {other:?}"),
        };
        (name.to_owned(), HostTensor::new(view.shape().to_vec(), data).unwrap())
    };
    file.iter().map(tensor).collect()
}

pub(crate) fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

/// Checks the difference as a share of the whole.
#[track_caller]
pub(crate) fn close(what: &str, found: &[f32], expected: &HostTensor) {
    let expected = expected.as_f32().unwrap();
    assert_eq!(found.len(), expected.len(), "{what}");
    let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let difference = squares(&mut found.iter().zip(expected).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    let whole = squares(&mut expected.iter().map(|v| f64::from(*v)));
    let share = difference / whole;
    println!("{what}: {share:.1e}");
    assert!(share <= BOUND, "{what}: off by {share:e} of the whole");
}

/// Every device that this build knows and this machine has.
fn devices() -> Vec<Arc<dyn Device>> {
    [cpu()].into_iter().chain(others()).collect()
}

/// Every device with every reference.
pub(crate) fn everywhere() -> Vec<(Arc<dyn Device>, Reference)> {
    devices().into_iter().flat_map(|device| all().into_iter().map(move |r| (device.clone(), r))).collect()
}

/// Every device with every encoded video.
pub(crate) fn with_encoded() -> Vec<(Arc<dyn Device>, Encoded)> {
    devices().into_iter().flat_map(|device| encoded().into_iter().map(move |e| (device.clone(), e))).collect()
}
