//! A model of the Movie Gen architecture that is small enough to be evaluated in f64 again and again: its graphs with few
//! channels, and made-up weights.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use kinograph::{Model, Package};
use kinograph_backend::{Device, Weights};
use kinograph_graph::{OpError, models};
use safetensors::serialize;
use safetensors::tensor::{Dtype, TensorView};

use crate::graphs::{self, GraphCase};
use crate::problem::Problem;

const CASES: &str = include_str!("../../cases/pipelines/tiny.toml");

/// The manifest of the same as a package. Its latents need no scaling, so that what the runtime hands to the decoder is what it
/// was given.
const MANIFEST: &str = include_str!("../../cases/pipelines/tiny-model.toml");

/// A part of the model: `backbone`, `decoder`, `encoder` or `text`.
pub(super) fn part(name: &str) -> Result<GraphCase, String> {
    static PARTS: OnceLock<Result<Vec<GraphCase>, String>> = OnceLock::new();
    let parts = PARTS.get_or_init(|| graphs::parse("tiny.toml", CASES).map_err(|e| e.to_string()));
    let parts = parts.as_ref().map_err(Clone::clone)?;
    parts.iter().find(|case| case.name == name).cloned().ok_or_else(|| format!("there is no part `{name}`"))
}

/// A part at some sizes, with its data.
pub(super) fn problem(name: &str, sizes: &[(&str, usize)], seed: u64) -> Result<Problem, String> {
    let words = |e: OpError| e.to_string();
    part(name)?.with(sizes).problem_from(seed).map_err(words)
}

/// The whole model on a device, with the weights of that seed.
pub(super) fn model(device: Arc<dyn Device>, seed: u64) -> Result<Model, String> {
    let mut files: BTreeMap<String, Arc<[u8]>> = BTreeMap::new();
    for (name, text) in models::MOVIE_GEN {
        files.insert((*name).to_owned(), text.as_bytes().into());
    }
    files.insert("model.toml".to_owned(), MANIFEST.as_bytes().into());
    for name in ["backbone", "decoder", "encoder", "text"] {
        files.insert(format!("{name}.safetensors"), weights(&problem(name, &[], seed)?)?.into());
    }
    let package = Package::in_memory(files).map_err(|e| e.to_string())?;
    Model::load(package, device).map_err(|e| e.to_string())
}

fn weights(problem: &Problem) -> Result<Vec<u8>, String> {
    let graph = problem.graph();
    let mut views = Vec::new();
    for &id in graph.weights() {
        let name = &graph.value(id).name;
        let Some(weight) = problem.weights.get(name) else { continue };
        let view =
            TensorView::new(Dtype::F32, weight.shape.to_vec(), weight.bytes).map_err(|e| e.to_string())?;
        views.push((name.clone(), view));
    }
    serialize(views, None).map_err(|e| e.to_string())
}
