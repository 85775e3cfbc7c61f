//! A model as tables, for people.

use std::collections::BTreeMap;
use std::io::Write;

use kinograph::graph::{Graph, Node, Output, ValueId};
use kinograph::{Component, Model};

pub(super) fn overview(model: &Model, out: &mut impl Write) -> anyhow::Result<()> {
    let manifest = model.manifest();
    writeln!(out, "{} {}\n{}\n", manifest.name, manifest.version, manifest.doc)?;
    writeln!(
        out,
        "{:<12} {:>12} {:>10} {:>6} {:>10}  inputs -> outputs",
        "component", "parameters", "MiB", "nodes", "GFLOP"
    )?;
    let mut total = 0;
    for component in model.components() {
        let graph = component.inspect()?;
        total += graph.parameters();
        let signature = format!("{} -> {}", inputs(&graph), outputs(&graph));
        writeln!(
            out,
            "{:<12} {:>12} {:>10.2} {:>6} {:>10.3}  {signature}",
            component.name(),
            graph.parameters(),
            component.weight_bytes() as f64 / f64::from(1 << 20),
            graph.nodes().len(),
            graph.flops() as f64 / 1e9,
        )?;
    }
    writeln!(out, "{:<12} {total:>12}\n", "all")?;
    let video = &manifest.video;
    writeln!(
        out,
        "makes    {}x{}, {} frames at {} fps; up to {}x{}, {} frames; fps {:?}",
        video.width,
        video.height,
        video.frames,
        video.fps,
        video.max_width,
        video.max_height,
        video.max_frames,
        video.fps_choices
    )?;
    let sampler = &manifest.sampler;
    writeln!(
        out,
        "samples  {}, {} steps, {}, guidance {}",
        sampler.solver, sampler.steps, sampler.schedule, sampler.guidance
    )?;
    writeln!(
        out,
        "\n`kinograph inspect COMPONENT` shows its ops; shapes and GFLOP are at the sizes that the graph files assume."
    )?;
    Ok(())
}

pub(super) fn detail(component: &Component, out: &mut impl Write) -> anyhow::Result<()> {
    let graph = component.inspect()?;
    writeln!(out, "{}: {}\n", component.name(), component.file().doc)?;
    for node in graph.nodes() {
        writeln!(
            out,
            "{:<18} {} = {}{}",
            node.op.name,
            results(&graph, node),
            arguments(&graph, node),
            attributes(node)
        )?;
    }
    writeln!(out)?;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    graph.nodes().iter().for_each(|n| *counts.entry(n.op.name).or_default() += 1);
    let counts: Vec<String> = counts.iter().map(|(op, n)| format!("{op} {n}")).collect();
    writeln!(out, "{} nodes: {}", graph.nodes().len(), counts.join(", "))?;
    Ok(())
}

fn inputs(graph: &Graph) -> String {
    let named = |id: &ValueId| format!("{} {}", graph.value(*id).name, graph.value(*id).desc);
    graph.inputs().iter().map(named).collect::<Vec<_>>().join(", ")
}

fn outputs(graph: &Graph) -> String {
    let named = |o: &Output| format!("{} {}", o.name, graph.value(o.value).desc);
    graph.outputs().iter().map(named).collect::<Vec<_>>().join(", ")
}

fn results(graph: &Graph, node: &Node) -> String {
    let shapes: Vec<String> = node.outputs.iter().map(|&v| graph.value(v).desc.to_string()).collect();
    format!("{} {}", node.name, shapes.join(" "))
}

fn arguments(graph: &Graph, node: &Node) -> String {
    let names: Vec<&str> =
        node.inputs.iter().map(|v| v.map_or("-", |v| graph.value(v).name.as_str())).collect();
    format!("({})", names.join(", "))
}

fn attributes(node: &Node) -> String {
    let attrs: Vec<String> = node.attrs.iter().map(|(k, v)| format!("{k}={v}")).collect();
    if attrs.is_empty() { String::new() } else { format!(" {{{}}}", attrs.join(", ")) }
}
