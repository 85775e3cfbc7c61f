//! `plan`: what a job would need, without running it.

use std::io::{Write, stdout};

use clap::Args;
use kinograph::{Plan, StagePlan};
use serde::Serialize;

use crate::config::Config;
use crate::video::Video;
use crate::{json, source};

#[derive(Args, Debug)]
pub(crate) struct Planned {
    #[command(flatten)]
    video: Video,
    /// Print JSON, for programs.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Planned, config: &Config) -> anyhow::Result<()> {
    let package = source::package(config)?;
    let placement = source::placement(config, &package)?;
    let request = options.video.request("", config);
    let plan = kinograph::plan(&package, placement, &request)?;
    if options.json {
        return json::print(&Document::of(&package.manifest().name, &plan));
    }
    let mut out = Vec::new();
    print(&package.manifest().name, &plan, &mut out)?;
    Ok(stdout().write_all(&out)?)
}

fn print(name: &str, plan: &Plan, out: &mut impl Write) -> anyhow::Result<()> {
    let (frames, width, height) = plan.video;
    let [channels, t, h, w] = plan.latent;
    writeln!(
        out,
        "{name} on {}: {frames} frames of {width}x{height}, latent {channels}x{t}x{h}x{w}\n",
        plan.device
    )?;
    writeln!(
        out,
        "{:<7} {:<12} {:>15} {:>11} {:>8} {:>6} {:>9} {:>10} {:>10} {:>11}",
        "stage",
        "component",
        "parameters",
        "weights",
        "tokens",
        "tiles",
        "forwards",
        "FLOP each",
        "FLOP",
        "run memory"
    )?;
    for stage in &plan.stages {
        writeln!(out, "{}", row(stage))?;
    }
    let total = plan.flops().map_or("adaptive".to_owned(), |flops| format!("{flops:.3e}"));
    let weights = bytes(plan.weight_bytes());
    let (all, parameters) = ("all", plan.parameters());
    writeln!(out, "{:<20} {parameters:>15} {weights:>11} {total:>46}\n", all)?;
    writeln!(out, "peak memory {} ({} bytes)", bytes(plan.peak), plan.peak)?;
    for stage in plan
        .stages
        .iter()
        .filter(|s| s.partitions.len() > 1 || s.partitions.iter().any(|p| p.0 != plan.device))
    {
        match &stage.partitions[..] {
            [(id, _)] => writeln!(out, "  {} runs on {id}", stage.component)?,
            _ => writeln!(out, "  {} runs in parts: {}", stage.component, partitions(stage))?,
        }
    }
    for line in tactics(plan) {
        writeln!(out, "  {line}")?;
    }
    Ok(())
}

/// The parts of a graph with their nodes; many are summed up.
fn partitions(stage: &StagePlan) -> String {
    let part = |(id, nodes): &(String, usize)| format!("{nodes} nodes on {id}");
    let shown: Vec<String> = stage.partitions.iter().take(6).map(part).collect();
    let more = stage.partitions.len().saturating_sub(6);
    shown.join(", ") + &if more > 0 { format!(" and {more} more parts") } else { String::new() }
}

fn row(stage: &StagePlan) -> String {
    let forwards = stage.forwards;
    let total = stage.flops_in_all().map_or("adaptive".to_owned(), |flops| format!("{flops:.3e}"));
    format!(
        "{:<7} {:<12} {:>15} {:>11} {:>8} {:>6} {:>9} {:>10.3e} {total:>10} {:>11}",
        stage.stage.to_string(),
        stage.component,
        stage.parameters,
        bytes(stage.weight_bytes),
        stage.tokens.map_or("-".to_owned(), |n| n.to_string()),
        stage.tiles,
        forwards.map_or("adaptive".to_owned(), |n| n.to_string()),
        stage.flops as f64,
        bytes(stage.memory.run.saturating_add(stage.host)),
    )
}

/// What keeps the job within its limit, in words.
fn tactics(plan: &Plan) -> Vec<String> {
    let tactics = plan.tactics;
    let mut lines = Vec::new();
    if tactics.release {
        lines.push("each stage gives back its memory before the next begins".to_owned());
    }
    if tactics.recompute_text {
        lines.push("what the text alone decides is computed in every step and not kept".to_owned());
    }
    if tactics.split_guidance {
        lines.push("prompt and negative prompt run one after the other".to_owned());
    }
    if let Some(tiles) = tactics.spatial {
        lines.push(format!("frames are decoded in tiles of {tiles} latent rows and columns"));
    }
    lines
}

/// Bytes for people, in decimal units as model sizes are told.
fn bytes(count: u64) -> String {
    const UNITS: [(&str, f64); 4] = [("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
    let value = count as f64;
    match UNITS.iter().find(|(_, scale)| value >= *scale) {
        Some((unit, scale)) => format!("{:.2} {unit}", value / scale),
        None => format!("{count} B"),
    }
}

/// The plan for programs; documented in docs/configuration.md.
#[derive(Serialize)]
struct Document<'a> {
    model: &'a str,
    device: &'a str,
    frames: usize,
    width: usize,
    height: usize,
    latent: [usize; 4],
    parameters: u64,
    weight_bytes: u64,
    flops: Option<f64>,
    peak_bytes: u64,
    tactics: Tactics,
    stages: Vec<Stage<'a>>,
}

#[derive(Serialize)]
struct Tactics {
    release: bool,
    recompute_text: bool,
    split_guidance: bool,
    spatial_tiles: Option<String>,
}

#[derive(Serialize)]
struct Stage<'a> {
    stage: String,
    component: &'a str,
    /// The parts that the graph is cut into: device and number of nodes.
    partitions: &'a [(String, usize)],
    parameters: u64,
    weight_bytes: u64,
    tokens: Option<usize>,
    tiles: usize,
    forwards: Option<u64>,
    flops_each: u64,
    flops_once: u64,
    run_bytes: u64,
    host_bytes: u64,
    copied_weight_bytes: u64,
}

impl<'a> Document<'a> {
    fn of(model: &'a str, plan: &'a Plan) -> Self {
        let (frames, width, height) = plan.video;
        let tactics = Tactics {
            release: plan.tactics.release,
            recompute_text: plan.tactics.recompute_text,
            split_guidance: plan.tactics.split_guidance,
            spatial_tiles: plan.tactics.spatial.map(|tiles| tiles.to_string()),
        };
        Self {
            model,
            device: &plan.device,
            frames,
            width,
            height,
            latent: plan.latent,
            parameters: plan.parameters(),
            weight_bytes: plan.weight_bytes(),
            flops: plan.flops(),
            peak_bytes: plan.peak,
            tactics,
            stages: plan.stages.iter().map(Stage::of).collect(),
        }
    }
}

impl<'a> Stage<'a> {
    fn of(stage: &'a StagePlan) -> Self {
        Self {
            stage: stage.stage.to_string(),
            component: &stage.component,
            partitions: &stage.partitions,
            parameters: stage.parameters,
            weight_bytes: stage.weight_bytes,
            tokens: stage.tokens,
            tiles: stage.tiles,
            forwards: stage.forwards,
            flops_each: stage.flops,
            flops_once: stage.flops_once,
            run_bytes: stage.memory.run,
            host_bytes: stage.host,
            copied_weight_bytes: stage.memory.weights_copied,
        }
    }
}
