//! Choosing a device: by kind, by a measurement, or by memory.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use kinograph_backend::{Control, Device, DeviceInfo, DeviceOptions, HostTensor, MemoryWeights, Weights};
use kinograph_graph::{Attr, DType, Graph, GraphBuilder, OpError, TensorDesc, ValueId, ops};

use crate::media::TemporaryFile;
use crate::model::{graphs, plan};
use crate::{Error, Package, Request, Runtime, RuntimeError};

/// How a device is chosen among those that take the whole model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The first graphics processor, else the processor by this crate's own kernels.
    Auto,
    /// The one that runs a short probe of products, convolution and attention in the least time. The times are kept.
    Fastest,
    /// The one whose plan for a request needs the least memory.
    LeastMemory,
}

impl Policy {
    /// Every policy.
    pub const ALL: [Policy; 3] = [Policy::Auto, Policy::Fastest, Policy::LeastMemory];

    /// Its name, which no device has.
    pub const fn name(self) -> &'static str {
        match self {
            Policy::Auto => "auto",
            Policy::Fastest => "fastest",
            Policy::LeastMemory => "least-memory",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Policy {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|policy| policy.name() == text).ok_or(())
    }
}

/// What a policy chose, and what it saw of each device.
pub struct Choice {
    /// The device.
    pub device: Arc<dyn Device>,
    /// Each device with its number (seconds, bytes or rank; the least wins), or why it is out.
    pub seen: Vec<(String, Result<f64, String>)>,
}

impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let device = &self.device.info().id;
        f.debug_struct("Choice").field("device", device).field("seen", &self.seen).finish()
    }
}

impl Runtime {
    /// Chooses a device for a package. `cache` is a file that keeps the times of [`Policy::Fastest`].
    ///
    /// # Errors
    /// A package whose graphs are wrong; no device that takes the whole model, with the reason of each.
    pub fn choose(
        &self,
        policy: Policy,
        package: &Package,
        options: &DeviceOptions,
        cache: Option<&Path>,
    ) -> Result<Choice, Error> {
        let graphs = graphs(package)?;
        // Other policies measure nothing, and have nothing to keep.
        let cache = cache.filter(|_| policy == Policy::Fastest);
        let mut times = cache.map(Times::read).unwrap_or_default();
        let mut seen = Vec::new();
        let mut best: Option<(f64, Arc<dyn Device>)> = None;
        for info in self.devices() {
            let tried = self.try_device(policy, &info, &graphs, package, options, &mut times);
            seen.push((info.id, tried.as_ref().map(|(number, _)| *number).map_err(Clone::clone)));
            if let Ok((number, device)) = tried
                && best.as_ref().is_none_or(|(least, _)| number < *least)
            {
                best = Some((number, device));
            }
        }
        if let Some(path) = cache {
            times.write(path);
        }
        match best {
            Some((_, device)) => Ok(Choice { device, seen }),
            None => Err(Error::NoDevice {
                reasons: seen
                    .into_iter()
                    .map(|(id, tried)| format!("{id}: {}", tried.err().unwrap_or_default()))
                    .collect::<Vec<_>>()
                    .join("; "),
            }),
        }
    }

    fn try_device(
        &self,
        policy: Policy,
        info: &DeviceInfo,
        graphs: &[Graph],
        package: &Package,
        options: &DeviceOptions,
        times: &mut Times,
    ) -> Result<(f64, Arc<dyn Device>), String> {
        let device = self.open(&info.id, options).map_err(|e: RuntimeError| e.to_string())?;
        refused(&*device, graphs)?;
        let number = match policy {
            Policy::Auto => rank(info),
            Policy::Fastest => {
                let key = key(device.info());
                match times.0.get(&key) {
                    Some(&known) => known,
                    None => *times.0.entry(key).or_insert(probe(&*device)?),
                }
            }
            Policy::LeastMemory => {
                plan(package, device.clone(), &Request::new("")).map_err(|e| e.to_string())?.peak as f64
            }
        };
        Ok((number, device))
    }
}

/// The first node that a device does not take, as a reason.
fn refused(device: &dyn Device, graphs: &[Graph]) -> Result<(), String> {
    for graph in graphs {
        for node in graph.nodes() {
            if let kinograph_backend::Support::No(refusal) = device.support(graph, node) {
                return Err(format!("it does not take {} of {}: {refusal}", node.op.name, graph.name()));
            }
        }
    }
    Ok(())
}

/// Graphics processors before processors; of several the first.
fn rank(info: &DeviceInfo) -> f64 {
    let kind = ["cuda", "tensorrt", "coreml", "directml", "wgpu"];
    // Vulkan on a processor is no graphics processor.
    let software = info.fact("type") == Some("cpu");
    let graphics = kind.iter().position(|k| info.id.split(':').any(|part| part == *k)).filter(|_| !software);
    match graphics {
        Some(place) => place as f64,
        None if info.id == "cpu" => 10.0,
        None => 11.0,
    }
}

/// What makes a time that was measured once true again: the device with its version, driver and threads.
fn key(info: &DeviceInfo) -> String {
    let facts = info.facts.iter().map(|(name, value)| format!("{name}={value}"));
    [info.id.clone(), info.name.clone()].into_iter().chain(facts).collect::<Vec<_>>().join(" | ")
}

/// Seconds of probes by device.
#[derive(Default)]
struct Times(BTreeMap<String, f64>);

impl Times {
    /// A file that is not there, or is damaged, holds no times.
    fn read(path: &Path) -> Self {
        let text = crate::files::read(path, 1 << 20).ok().and_then(|b| String::from_utf8(b).ok());
        Self(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
    }

    /// Beside the file, then renamed. Losing the times costs a measurement, so that is no error.
    fn write(&self, path: &Path) {
        let written = || -> std::io::Result<()> {
            let folder = path.parent().unwrap_or(Path::new("."));
            std::fs::create_dir_all(folder)?;
            let mut file = TemporaryFile::new_in(folder)?;
            serde_json::to_writer_pretty(&mut file, &self.0)?;
            file.close().persist(path)
        };
        if let Err(error) = written() {
            log::debug!("the times of the probe were not kept in {}: {error}", path.display());
        }
    }
}

/// Seconds of the probe: the least of a few runs, after one that is not counted.
fn probe(device: &dyn Device) -> Result<f64, String> {
    let (graph, weights) = probe_graph().map_err(|e| e.to_string())?;
    let graph = Arc::new(graph);
    let executable = device.compile(graph.clone(), weights).map_err(|e| e.to_string())?;
    let inputs: Vec<_> = graph
        .inputs()
        .iter()
        .map(|&id| {
            let shape = &graph.value(id).desc.shape;
            let data = (0..shape.iter().product()).map(|i: usize| (i % 17) as f32 / 17.0).collect();
            let tensor = HostTensor::f32(shape.clone(), data).map_err(|e| e.to_string())?;
            device.upload(tensor).map_err(|e| e.to_string())
        })
        .collect::<Result<_, String>>()?;
    let mut least = f64::INFINITY;
    for round in 0..4 {
        let start = Instant::now();
        let made = executable.run(&inputs, &Control::new()).map_err(|e| e.to_string())?;
        // A device may still be at work until its result is asked for.
        made.iter().try_for_each(|b| device.download(b).map(drop)).map_err(|e| e.to_string())?;
        if round > 0 {
            least = least.min(start.elapsed().as_secs_f64());
        }
    }
    Ok(least)
}

/// A linear layer, attention and a convolution of the sizes that small models have.
fn probe_graph() -> Result<(Graph, Arc<dyn Weights>), OpError> {
    let op = |name: &str| ops::find(name).ok_or_else(|| OpError::invalid(format!("no op {name}")));
    let desc = |shape: &[usize]| TensorDesc::new(DType::F32, shape);
    let mut b = GraphBuilder::new("probe");
    let mut weights = MemoryWeights::new();
    let mut weight = |b: &mut GraphBuilder, name: &str, shape: &[usize]| -> Result<ValueId, OpError> {
        let count: usize = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|i| ((i * 7 % 13) as f32 - 6.0) / 100.0).collect();
        weights.insert_f32(name, shape, &values);
        b.weight(name, desc(shape))
    };
    let x = b.input("x", desc(&[1, 512, 256]))?;
    let w = weight(&mut b, "linear", &[256, 256])?;
    let h = b.node(op("Linear")?, &[Some(x), Some(w)], [], "linear")?[0];
    let heads = ["q_num_heads", "kv_num_heads"].map(|name| (name.to_owned(), Attr::Int(8)));
    let a = b.node(op("Attention")?, &[Some(h), Some(h), Some(x)], heads, "attention")?[0];
    let image = b.input("image", desc(&[1, 32, 64, 64]))?;
    let k = weight(&mut b, "kernel", &[32, 32, 3, 3])?;
    let pads = [("pads".to_owned(), Attr::Ints(vec![1; 4]))];
    let c = b.node(op("Conv")?, &[Some(image), Some(k)], pads, "conv")?[0];
    Ok((b.finish([("a", a), ("c", c)])?, Arc::new(weights)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graphics_processors_come_first_unless_they_are_software() {
        let info = |id: &str, ty: &str| DeviceInfo {
            id: id.into(),
            name: String::new(),
            facts: vec![("type".into(), ty.into())],
        };
        assert!(rank(&info("ort:cuda:0", "")) < rank(&info("cpu", "")));
        assert!(rank(&info("wgpu:0", "discrete")) < rank(&info("cpu", "")));
        assert!(rank(&info("wgpu:0", "cpu")) > rank(&info("cpu", "")));
        assert!(rank(&info("tract", "")) > rank(&info("cpu", "")));
    }

    #[test]
    fn times_survive_in_their_file_and_damage_does_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/probe.json");
        Times([("cpu | x".to_owned(), 0.25)].into()).write(&path);
        assert_eq!(Times::read(&path).0["cpu | x"], 0.25);
        std::fs::write(&path, "{not json").unwrap();
        assert!(Times::read(&path).0.is_empty());
    }
}
