//! `kinograph bench`: how fast a device computes, as a share of what its own matrix product reaches.
//!
//! Each case is a graph that is compiled for the device, so every backend is measured by the same command.

mod case;
mod compare;
mod measure;
mod peak;
mod report;
mod resident;

use std::io::stdout;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, ensure};
use clap::Args;
use kinograph::{Device, Model, Package};

use case::{CASES, Case};
use compare::Compared;
use measure::{Clock, Prepared};
use peak::Peak;
use report::{Format, Report, Row};

/// The options of `kinograph bench`.
#[derive(Args, Debug)]
pub(crate) struct Bench {
    /// Measure only the cases whose name contains this.
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    /// Time to spend on each case.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = parse_seconds)]
    seconds: f64,
    /// Measure each case with one thread and then with all, and show how much faster that is.
    #[arg(long)]
    scaling: bool,
    /// Measure another device too, case by case in turn, and show how its time compares; repeatable.
    #[arg(long, value_name = "ID", conflicts_with = "scaling")]
    against: Vec<String>,
    /// Count the time that the thread computed for, not that on the wall: for a machine that others use too. Needs
    /// a device that computes on the calling thread, as the CPU does with --threads 1.
    #[arg(long, conflicts_with_all = ["scaling", "against"])]
    cpu_time: bool,
    /// Show the times of another library beside, from a file that backends/cpu/benches/torch_compare.py wrote, or those of
    /// another device, from `kinograph bench --json`.
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// List the cases in JSON instead of measuring them.
    #[arg(long)]
    list: bool,
    /// Print JSON.
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print the tables of docs/performance.md.
    #[arg(long)]
    markdown: bool,
}

/// Measures the cases, and the components of the model if there is one. `open` opens the device with so many threads,
/// or with as many as it likes.
///
/// # Errors
/// No case of that name, a device that does not open or fails, a file of times that cannot be read.
pub(crate) fn run(
    options: &Bench,
    package: Option<Package>,
    threads: Option<u16>,
    open: impl Fn(Option<&str>, Option<u16>) -> anyhow::Result<Arc<dyn Device>>,
) -> anyhow::Result<()> {
    let cases: Vec<&Case> = CASES.iter().filter(|case| case.name().contains(&options.filter)).collect();
    if options.list {
        return report::list(&cases, &mut stdout().lock());
    }
    let compared = options.compare.as_deref().map(Compared::read).transpose()?;
    let mut devices = vec![open(None, if options.scaling { Some(1) } else { threads })?];
    if options.scaling {
        devices.push(open(None, threads)?);
    }
    for id in &options.against {
        devices.push(open(Some(id), threads)?);
    }

    let mut works: Vec<Work> = cases.into_iter().map(Work::Op).collect();
    works.extend(components(package, &devices[0], &options.filter)?);
    ensure!(!works.is_empty(), "no case contains `{}`; `kinograph bench --list` shows them", options.filter);

    let clock = if options.cpu_time { Clock::thread()? } else { Clock::wall() };
    let mut peaks = devices.iter().map(|d| Peak::find(&**d, clock)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut report = Report::new(format(options), options.scaling, &devices, &peaks, compared);
    report.begin(&mut stdout().lock())?;
    for work in &works {
        let row = measure(work, &devices, &mut peaks, clock, options.seconds)
            .with_context(|| format!("case `{}`", work.name()))?;
        report.add(row, &mut stdout().lock())?;
    }
    report.end(&peaks, &mut stdout().lock())
}

/// What one line of the table measures.
enum Work {
    Op(&'static Case),
    Component { name: String, graph: Arc<kinograph::graph::Graph> },
}

impl Work {
    fn name(&self) -> String {
        match self {
            Work::Op(case) => case.name(),
            Work::Component { name, .. } => name.clone(),
        }
    }

    fn prepare(&self, device: &dyn Device) -> anyhow::Result<Prepared> {
        match self {
            Work::Op(case) => Prepared::new(device, Arc::new(case.graph()?), case.stored()),
            // Model files hold f16.
            Work::Component { graph, .. } => {
                Prepared::new(device, graph.clone(), kinograph::graph::DType::F16)
            }
        }
    }

    /// Whether the operations of the op table are products, which compare with a matrix product, or whether reading
    /// and writing is what takes the time.
    fn is_product(&self) -> bool {
        match self {
            Work::Op(case) => case.is_product(),
            Work::Component { .. } => true,
        }
    }
}

/// The components of a model, with the sizes that their files assume.
fn components(package: Option<Package>, device: &Arc<dyn Device>, filter: &str) -> anyhow::Result<Vec<Work>> {
    let Some(package) = package else { return Ok(Vec::new()) };
    let model = Model::load(package, device.clone())?;
    let mut works = Vec::new();
    for component in model.components() {
        let graph = component.inspect()?;
        let shapes: Vec<String> =
            graph.inputs().iter().map(|&id| case::shape(&graph.value(id).desc.shape)).collect();
        let name = format!("{} {} {}", model.manifest().name, component.name(), shapes.join(" "));
        if name.contains(filter) {
            works.push(Work::Component { name, graph: Arc::new(graph) });
        }
    }
    Ok(works)
}

/// Measures on each device in turn, the peak directly before and after: what a machine reaches changes with what else
/// it does and how hot it is.
fn measure(
    work: &Work,
    devices: &[Arc<dyn Device>],
    peaks: &mut [Peak],
    clock: Clock,
    seconds: f64,
) -> anyhow::Result<Row> {
    let mut runs = Vec::new();
    let mut amount = 0.0;
    for (i, (device, peak)) in devices.iter().zip(peaks).enumerate() {
        let prepared = match work.prepare(&**device) {
            Ok(prepared) => prepared,
            // A device that is measured beside the first may lack the case.
            Err(error) if i > 0 => {
                log::info!("{}: {}: {error:#}", device.info().id, work.name());
                runs.push(None);
                continue;
            }
            Err(error) => return Err(error),
        };
        amount = if work.is_product() { prepared.flops() } else { prepared.bytes() };
        let before = peak.again(clock)?;
        let mut run = prepared.measure(clock, seconds)?;
        run.peak = before.max(peak.again(clock)?);
        runs.push(Some(run));
    }
    Ok(Row { name: work.name(), product: work.is_product(), amount, runs })
}

fn format(options: &Bench) -> Format {
    match (options.json, options.markdown) {
        (true, _) => Format::Json,
        (_, true) => Format::Markdown,
        _ => Format::Text,
    }
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|s: &f64| (0.001..=3600.0).contains(s));
    seconds.ok_or_else(|| "give seconds between 0.001 and 3600".into())
}
