//! Speed of a whole graph with weights of random numbers, stored in `f16`.
//!
//! `cargo bench -p kinograph-cpu --bench model -- graph.toml [T=4 ...] [threads=N] [steps]`: symbols are bound by name; `steps` lists the time of
//! each step too,
//! `reproducible` measures reproducible numerics beside native ones.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use kinograph_backend::{Backend, Control, DeviceOptions, HostData, HostTensor, MemoryWeights};
use kinograph_graph::exact::Slices;
use kinograph_graph::{Bindings, DType, Graph, GraphFile, Limits, passes};

/// Collects what the device logs of its steps.
struct Steps(Mutex<Vec<String>>);

static STEPS: Steps = Steps(Mutex::new(Vec::new()));

impl log::Log for Steps {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if let (log::Level::Trace, Ok(mut steps)) = (record.level(), self.0.lock()) {
            steps.push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

fn read(path: &Path, symbols: &BTreeMap<String, usize>) -> Result<Graph, Box<dyn std::error::Error>> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let include = |name: &str| std::fs::read_to_string(folder.join(name)).map_err(|e| e.to_string());
    let text = std::fs::read_to_string(path)?;
    let file = GraphFile::parse_with(&path.to_string_lossy(), &text, &Limits::default(), &include)?;
    let bindings = symbols.iter().fold(Bindings::new(), |b, (name, &value)| b.symbol(name, value));
    Ok(file.bind(&bindings)?)
}

fn numbers(count: usize) -> Vec<f64> {
    (0..count).map(|i| (((i * 7919 + 13) % 1000) as f64 / 500.0 - 1.0) * 0.05).collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut options = DeviceOptions { threads: Some(1), ..DeviceOptions::default() };
    let (mut symbols, mut path, mut steps, mut reproducible) = (BTreeMap::new(), None, false, false);
    for argument in std::env::args().skip(1).filter(|a| !a.starts_with("--")) {
        match argument.split_once('=') {
            Some(("threads", n)) => options.threads = Some(n.parse()?),
            Some((name, value)) => drop(symbols.insert(name.to_owned(), value.parse()?)),
            None if argument == "steps" => steps = true,
            None if argument == "reproducible" => reproducible = true,
            None => path = Some(argument),
        }
    }
    let Some(path) = path else {
        println!("give a graph file");
        return Ok(());
    };
    let graph = Arc::new(read(Path::new(&path), &symbols)?);
    let mut weights = MemoryWeights::new();
    for &id in graph.weights() {
        let value = graph.value(id);
        let HostData::F16(data) = HostData::from_f64(DType::F16, &numbers(value.desc.elements())) else {
            continue;
        };
        let bytes = data.iter().flat_map(|v| v.to_le_bytes()).collect();
        weights.insert(&value.name, DType::F16, value.desc.shape.clone(), bytes);
    }
    let device = kinograph_cpu::CpuBackend.open("cpu", &options)?;
    let weights = Arc::new(weights);
    let native = device.compile(graph.clone(), weights.clone())?;
    let mut kinds = vec![("native", native)];
    if reproducible {
        for (name, slices) in [("r16", Slices::Two), ("r8", Slices::One)] {
            let written = Arc::new(passes::reproducible(&graph, slices)?);
            kinds.push((name, device.compile(written, weights.clone())?));
        }
    }
    let mut inputs = Vec::new();
    for &id in graph.inputs() {
        let desc = &graph.value(id).desc;
        let data = HostData::from_f64(desc.dtype, &numbers(desc.elements()));
        inputs.push(device.upload(HostTensor::new(desc.shape.clone(), data)?)?);
    }
    let control = Control::new();
    // In turn, so that whatever else the machine does slows all alike.
    let mut best = vec![f64::INFINITY; kinds.len()];
    for _ in 0..8 {
        for ((_, executable), best) in kinds.iter().zip(&mut best) {
            let start = Instant::now();
            executable.run(&inputs, &control)?;
            *best = best.min(start.elapsed().as_secs_f64());
        }
    }
    for ((name, executable), &time) in kinds.iter().zip(&best) {
        let speed = graph.flops() as f64 / time / 1e9;
        println!(
            "{} {name}: {:.2} ms, {speed:.1} GFLOP/s, {:.2} of native",
            graph.name(),
            time * 1e3,
            time / best[0]
        );
        println!("{:?}", executable.memory());
    }
    if steps {
        log::set_logger(&STEPS).map_err(|e| e.to_string())?;
        log::set_max_level(log::LevelFilter::Trace);
        for (name, executable) in &kinds {
            executable.run(&inputs, &control)?;
            let mut lines = STEPS.0.lock().map_err(|e| e.to_string())?;
            println!("{name}:");
            lines.drain(..).for_each(|line| println!("{line}"));
        }
    }
    Ok(())
}
