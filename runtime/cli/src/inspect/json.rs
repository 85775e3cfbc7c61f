//! A model as JSON, for programs; docs/configuration.md promises these names.

use std::collections::BTreeMap;

use kinograph::graph::{Attr, Graph, Node, Source, TensorDesc, Value, ValueId};
use kinograph::package::{SamplerSpec, VideoSpec};
use kinograph::{Component, Error, Model};
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::json;

pub(super) fn overview(model: &Model) -> anyhow::Result<()> {
    let manifest = model.manifest();
    let components = model
        .components()
        .map(|component| Ok(Summary::new(component, &component.inspect()?)))
        .collect::<Result<Vec<_>, Error>>()?;
    json::print(&Overview {
        name: &manifest.name,
        version: &manifest.version,
        doc: &manifest.doc,
        license: &manifest.license,
        parameters: components.iter().map(|c| c.parameters).sum(),
        video: Video::new(&manifest.video),
        sampler: Sampler::new(&manifest.sampler),
        components,
    })
}

pub(super) fn detail(component: &Component) -> anyhow::Result<()> {
    let graph = component.inspect()?;
    json::print(&Detail {
        summary: Summary::new(component, &graph),
        doc: &component.file().doc,
        values: graph.values().iter().map(ValueReport::new).collect(),
        nodes: graph.nodes().iter().map(|node| NodeReport::new(&graph, node)).collect(),
    })
}

#[derive(Serialize)]
struct Overview<'a> {
    name: &'a str,
    version: &'a str,
    doc: &'a str,
    license: &'a str,
    parameters: u64,
    video: Video<'a>,
    sampler: Sampler,
    components: Vec<Summary>,
}

#[derive(Serialize)]
struct Video<'a> {
    width: usize,
    height: usize,
    frames: usize,
    fps: u32,
    fps_choices: &'a [u32],
    multiple: usize,
    max_width: usize,
    max_height: usize,
    max_frames: usize,
}

impl<'a> Video<'a> {
    fn new(video: &'a VideoSpec) -> Self {
        Self {
            width: video.width,
            height: video.height,
            frames: video.frames,
            fps: video.fps,
            fps_choices: &video.fps_choices,
            multiple: video.multiple,
            max_width: video.max_width,
            max_height: video.max_height,
            max_frames: video.max_frames,
        }
    }
}

#[derive(Serialize)]
struct Sampler {
    solver: String,
    schedule: String,
    steps: usize,
    guidance: kinograph::guidance::Guidance,
}

impl Sampler {
    fn new(sampler: &SamplerSpec) -> Self {
        Self {
            solver: sampler.solver.to_string(),
            schedule: sampler.schedule.to_string(),
            steps: sampler.steps,
            guidance: sampler.guidance,
        }
    }
}

/// A component, at the sizes that its graph file assumes.
#[derive(Serialize)]
struct Summary {
    component: String,
    parameters: u64,
    weight_bytes: u64,
    node_count: usize,
    flops: u64,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
}

impl Summary {
    fn new(component: &Component, graph: &Graph) -> Self {
        let tensor = |name: &str, value: ValueId| Tensor::new(name, &graph.value(value).desc);
        Self {
            component: component.name().to_owned(),
            parameters: graph.parameters(),
            weight_bytes: component.weight_bytes(),
            node_count: graph.nodes().len(),
            flops: graph.flops(),
            inputs: graph.inputs().iter().map(|&id| tensor(&graph.value(id).name, id)).collect(),
            outputs: graph.outputs().iter().map(|o| tensor(&o.name, o.value)).collect(),
        }
    }
}

#[derive(Serialize)]
struct Tensor {
    name: String,
    dtype: &'static str,
    shape: Vec<usize>,
}

impl Tensor {
    fn new(name: &str, desc: &TensorDesc) -> Self {
        Self { name: name.to_owned(), dtype: desc.dtype.name(), shape: desc.shape.clone() }
    }
}

#[derive(Serialize)]
struct Detail<'a> {
    #[serde(flatten)]
    summary: Summary,
    doc: &'a str,
    values: Vec<ValueReport>,
    nodes: Vec<NodeReport<'a>>,
}

#[derive(Serialize)]
struct ValueReport {
    #[serde(flatten)]
    tensor: Tensor,
    source: &'static str,
}

impl ValueReport {
    fn new(value: &Value) -> Self {
        let source = match value.source {
            Source::Input => "input",
            Source::Weight => "weight",
            Source::Node(_) => "node",
        };
        Self { tensor: Tensor::new(&value.name, &value.desc), source }
    }
}

/// A node. Values are named by their positions, because their names may stand more than once.
#[derive(Serialize)]
struct NodeReport<'a> {
    name: &'a str,
    op: &'static str,
    inputs: Vec<Option<usize>>,
    outputs: Vec<usize>,
    attributes: BTreeMap<&'static str, Json>,
    flops: u64,
}

impl<'a> NodeReport<'a> {
    fn new(graph: &Graph, node: &'a Node) -> Self {
        Self {
            name: &node.name,
            op: node.op.name,
            inputs: node.inputs.iter().map(|id| id.map(ValueId::index)).collect(),
            outputs: node.outputs.iter().map(|id| id.index()).collect(),
            attributes: node.attrs.iter().map(|(name, attr)| (name, attribute(attr))).collect(),
            flops: graph.node_flops(node),
        }
    }
}

fn attribute(attr: &Attr) -> Json {
    match attr {
        Attr::Int(v) => json!(v),
        Attr::Float(v) => number(*v),
        Attr::Bool(v) => json!(v),
        Attr::Str(v) => json!(v),
        Attr::Ints(v) => json!(v),
        Attr::Floats(v) => v.iter().copied().map(number).collect(),
    }
}

/// JSON has no infinities; they are written as the strings that TOML has for them.
fn number(v: f64) -> Json {
    if v.is_finite() { json!(v) } else { json!(v.to_string().to_ascii_lowercase()) }
}
