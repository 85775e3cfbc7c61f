//! The command line: `kinograph conformance`, and this crate's own program, which is the same without the rest.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, Subcommand, ValueHint};
use kinograph::{DeviceOptions, Numerics, ReproducibleError, Runtime, RuntimeError};
use kinograph_backend::Device;
use serde_json::json;

use crate::catalogue::{Catalogue, Item, Selection, random_items};
use crate::expectations::Expectations;
use crate::outcome::{Outcome, Record};
use crate::pipelines::Subject;
use crate::replay::ReplayError;
use crate::report::{self, Counts, Report, ReportError};
use crate::run::RunFailure;
use crate::runner::{self, Settings};

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the cases and judge what comes back.
    Test(Test),
    /// Ask what the device takes, without running anything.
    Support(Support),
    /// Measure how fast the device runs the cases.
    Perf(Perf),
    /// Run a saved failure again.
    Replay(Replay),
    /// Make the pages anew from JSON of several runs, such as of several machines.
    Report(Pages),
    /// List the cases.
    List(Chosen),
}

/// Which cases.
#[derive(Args, Clone, Debug, Default)]
pub struct Chosen {
    /// Only cases whose id contains this, such as `op/Conv`, `f16` or `tiles/*:2`; repeatable.
    #[arg(long, value_name = "TEXT")]
    pub filter: Vec<String>,
    /// No case whose id contains this; repeatable.
    #[arg(long, value_name = "TEXT")]
    pub without: Vec<String>,
    /// Only the cases of a quick run.
    #[arg(long)]
    pub quick: bool,
}

/// The options of `test`.
#[derive(Args, Debug)]
pub struct Test {
    #[command(flatten)]
    chosen: Chosen,
    /// Random cases of ops beside, drawn from as many seeds.
    #[arg(long, value_name = "N", default_value_t = 100)]
    random: u64,
    /// The first of their seeds, and what the data of graphs and pipelines is drawn with. A failure tells its own.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Known failures, a TOML file of [[fails]] with `id` and `reason`; repeatable.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    expectations: Vec<PathBuf>,
    /// Write pages, JSON and JUnit XML to this folder; `index.html` is the matrix over devices.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    report: Option<PathBuf>,
    /// Save failures to this folder, to be replayed.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    save: Option<PathBuf>,
    /// Do not look for the first wrong node of a failed graph.
    #[arg(long)]
    no_bisect: bool,
    /// Print JSON, a list of reports.
    #[arg(long)]
    json: bool,
    /// Print every case.
    #[arg(long)]
    every: bool,
}

/// The options of `support`.
#[derive(Args, Debug)]
pub struct Support {
    #[command(flatten)]
    chosen: Chosen,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The options of `perf`.
#[derive(Args, Debug)]
pub struct Perf {
    #[command(flatten)]
    chosen: Chosen,
    /// Time for each case.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.2)]
    seconds: f64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The options of `replay`.
#[derive(Args, Debug)]
pub struct Replay {
    /// What `test --save` wrote.
    #[arg(value_hint = ValueHint::FilePath)]
    file: PathBuf,
}

/// The options of `report`.
#[derive(Args, Debug)]
pub struct Pages {
    /// JSON reports of devices.
    #[arg(required = true, value_hint = ValueHint::FilePath)]
    files: Vec<PathBuf>,
    /// The folder for the pages.
    #[arg(long, short, value_name = "DIR", value_hint = ValueHint::DirPath)]
    output: PathBuf,
}

/// The devices that a command is about.
pub struct Devices<'a> {
    /// What opens them.
    pub runtime: &'a Runtime,
    /// Their ids; `all` is every device that is there.
    pub ids: Vec<String>,
    /// How they are opened.
    pub options: DeviceOptions,
    /// Their arithmetic: with reproducible numerics each case must be right to the bit.
    pub numerics: Numerics,
}

/// Why a command did not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// A device that is not there, or does not open.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A device whose bits are its own.
    #[error(transparent)]
    Reproducible(#[from] ReproducibleError),
    /// A case file, or one of known failures.
    #[error(transparent)]
    Case(#[from] crate::case::CaseError),
    /// A report.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A saved failure.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// A file.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Standard output.
    #[error(transparent)]
    Output(#[from] io::Error),
    /// The selection is empty.
    #[error("no case has such an id; `list` shows them")]
    Empty,
}

/// Runs a command; its output goes to `out`. False when a device failed.
///
/// # Errors
/// [`ProgramError`].
pub fn run(command: &Command, devices: &Devices<'_>, out: &mut dyn Write) -> Result<bool, ProgramError> {
    match command {
        Command::Test(options) => test(options, devices, out),
        Command::Support(options) => support(options, devices, out),
        Command::Perf(options) => perf(options, devices, out),
        Command::Replay(options) => replay(options, devices, out),
        Command::Report(options) => {
            let reports =
                options.files.iter().map(|file| Report::read(file)).collect::<Result<Vec<_>, _>>()?;
            let index = report::write_all(&options.output, &reports)?;
            writeln!(out, "{}", index.display())?;
            Ok(true)
        }
        Command::List(chosen) => {
            for item in items(chosen)? {
                writeln!(out, "{}{}", item.id, if item.quick { "" } else { "  (full)" })?;
            }
            Ok(true)
        }
    }
}

fn items(chosen: &Chosen) -> Result<Vec<Item>, ProgramError> {
    let Chosen { filter, without, quick } = chosen.clone();
    let items = Catalogue::builtin()?.select(&Selection { quick, filters: filter, without });
    if items.is_empty() { Err(ProgramError::Empty) } else { Ok(items) }
}

impl Devices<'_> {
    fn open(&self) -> Result<Vec<std::sync::Arc<dyn Device>>, ProgramError> {
        let all = self.ids.iter().any(|id| id == "all");
        let ids =
            if all { self.runtime.devices().into_iter().map(|d| d.id).collect() } else { self.ids.clone() };
        let open = |id: &String| match self.runtime.open(id, &self.options) {
            Ok(device) => Some(Ok(device)),
            // Of all, those that open: a device may be listed and not be there.
            Err(error) if all => {
                eprintln!("skipped: {error}");
                None
            }
            Err(error) => Some(Err(error.into())),
        };
        ids.iter().filter_map(open).collect()
    }
}

fn test(options: &Test, devices: &Devices<'_>, out: &mut dyn Write) -> Result<bool, ProgramError> {
    // Asked for by a filter, random cases would be named.
    let mut items = match (items(&options.chosen), options.random) {
        (Err(ProgramError::Empty), 1..) => Vec::new(),
        (other, _) => other?,
    };
    let selection = Selection {
        filters: options.chosen.filter.clone(),
        without: options.chosen.without.clone(),
        quick: false,
    };
    items.extend(random_items(options.seed, options.random).into_iter().filter(|item| selection.takes(item)));
    if items.is_empty() {
        return Err(ProgramError::Empty);
    }
    if let Some(folder) = &options.save {
        std::fs::create_dir_all(folder)
            .map_err(|source| ProgramError::Io { path: folder.clone(), source })?;
    }
    let mut reports = Vec::new();
    for device in devices.open()? {
        let settings = Settings {
            expectations: expectations(&device.info().id, &options.expectations)?,
            save: options.save.clone(),
            bisect: !options.no_bisect,
            seed: options.seed,
            ..Settings::default()
        };
        let quiet = options.json;
        if !quiet {
            writeln!(out, "{}  {}", device.info().id, device.info().name)?;
        }
        let report = run_on(device, devices.numerics, &items, &settings, options, &mut |line| {
            if quiet { Ok(()) } else { writeln!(out, "{line}") }
        })?;
        if !quiet {
            summary(&report, out)?;
        }
        reports.push(report);
    }
    if options.json {
        let text = serde_json::to_string(&reports).map_err(io::Error::from)?;
        writeln!(out, "{text}")?;
    }
    if let Some(folder) = &options.report {
        let index = report::write_all(folder, &reports)?;
        if !options.json {
            writeln!(out, "{}", index.display())?;
        }
    }
    Ok(!reports.is_empty() && reports.iter().all(Report::conforms))
}

fn expectations(id: &str, files: &[PathBuf]) -> Result<Expectations, ProgramError> {
    let mut all = Expectations::of_device(id)?;
    for path in files {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ProgramError::Io { path: path.clone(), source })?;
        all.extend(Expectations::parse(&path.display().to_string(), &text)?);
    }
    Ok(all)
}

/// What is judged of a device with this arithmetic.
fn subject(device: std::sync::Arc<dyn Device>, numerics: Numerics) -> Result<Subject, ProgramError> {
    match numerics {
        Numerics::Native => Ok(Subject::new(device)),
        Numerics::Reproducible(precision) => Ok(Subject::reproducible(device, precision)?),
    }
}

fn run_on(
    device: std::sync::Arc<dyn Device>,
    numerics: Numerics,
    items: &[Item],
    settings: &Settings,
    options: &Test,
    print: &mut dyn FnMut(&Record) -> io::Result<()>,
) -> Result<Report, ProgramError> {
    let info = device.info().clone();
    let subject = subject(device, numerics)?;
    let (begin, live) = (Instant::now(), io::stderr().is_terminal());
    let mut records = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        if live {
            eprint!("\r\x1b[K{}/{} {}", i + 1, items.len(), item.id);
        }
        let record = runner::test(&subject, item, settings);
        if options.every || record.outcome.is_failure() {
            if live {
                eprint!("\r\x1b[K");
            }
            print(&record)?;
        }
        records.push(record);
    }
    if live {
        eprint!("\r\x1b[K");
    }
    Ok(Report::new(&info, options.chosen.quick, options.seed, begin.elapsed().as_secs_f64(), records))
}

fn summary(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let Counts { identical, within, unsupported, expected, failed } = report.counts();
    let passed = |r: &&Record| r.outcome.is_pass();
    let worst = report.cases.iter().filter(passed).max_by(|a, b| a.share.total_cmp(&b.share));
    write!(out, "{identical} identical, {within} within bounds")?;
    if let Some(worst) = worst.filter(|w| w.share > 0.0) {
        write!(out, " (at most {:.3}, {})", worst.share, worst.id)?;
    }
    writeln!(
        out,
        ", {unsupported} unsupported, {expected} expected failures, {failed} failed: {} in {:.1} s\n",
        if report.conforms() { "conforms" } else { "does NOT conform" },
        report.seconds
    )
}

fn support(options: &Support, devices: &Devices<'_>, out: &mut dyn Write) -> Result<bool, ProgramError> {
    let items = items(&options.chosen)?;
    let mut all = Vec::new();
    for device in devices.open()? {
        let device = devices.numerics.on(device)?;
        let mut groups: BTreeMap<&str, (usize, usize, BTreeMap<String, usize>)> = BTreeMap::new();
        for item in &items {
            let Some(answer) = runner::support(&*device, item) else { continue };
            let group = groups.entry(item.group()).or_default();
            group.1 += 1;
            match answer {
                Ok(()) => group.0 += 1,
                Err(reason) => *group.2.entry(reason).or_default() += 1,
            }
        }
        let id = &device.info().id;
        if options.json {
            let groups: BTreeMap<_, _> = groups
                .iter()
                .map(|(name, (taken, of, refused))| {
                    (*name, json!({ "taken": taken, "of": of, "refused": refused }))
                })
                .collect();
            all.push(json!({ "device": id, "support": groups }));
            continue;
        }
        writeln!(out, "{id}  {}", device.info().name)?;
        for (name, (taken, of, refused)) in groups {
            let reasons: Vec<String> =
                refused.iter().map(|(reason, count)| format!("{reason} ({count})")).collect();
            writeln!(out, "  {name:<28} {taken:>3} of {of:<3} {}", reasons.join("; "))?;
        }
    }
    if options.json {
        writeln!(out, "{}", serde_json::to_string(&all).map_err(io::Error::from)?)?;
    }
    Ok(true)
}

fn perf(options: &Perf, devices: &Devices<'_>, out: &mut dyn Write) -> Result<bool, ProgramError> {
    let items = items(&options.chosen)?;
    let (mut all, mut right) = (Vec::new(), true);
    for device in devices.open()? {
        let device = devices.numerics.on(device)?;
        let id = device.info().id.clone();
        if !options.json {
            writeln!(out, "{id}  {}\n  {:>10} {:>10}  case", device.info().name, "ms", "GFLOP/s")?;
        }
        for item in &items {
            match runner::perf(&*device, item, options.seconds) {
                None | Some(Err(RunFailure::Refused(_))) => {}
                Some(Ok(timing)) if options.json => {
                    all.push(json!({ "device": id, "case": item.id, "timing": timing }));
                }
                Some(Ok(timing)) => {
                    let rate = timing.flops as f64 / timing.middle / 1e9;
                    writeln!(out, "  {:>10.4} {rate:>10.2}  {}", timing.middle * 1e3, item.id)?;
                }
                Some(Err(error)) => {
                    right = false;
                    if options.json {
                        all.push(json!({ "device": id, "case": item.id, "error": error.to_string() }));
                    } else {
                        writeln!(out, "  {:>21}  {}: {error}", "failed", item.id)?;
                    }
                }
            }
        }
    }
    if options.json {
        writeln!(out, "{}", serde_json::to_string(&all).map_err(io::Error::from)?)?;
    }
    Ok(right)
}

fn replay(options: &Replay, devices: &Devices<'_>, out: &mut dyn Write) -> Result<bool, ProgramError> {
    let mut right = true;
    for device in devices.open()? {
        let id = device.info().id.clone();
        let record = runner::replay(&subject(device, devices.numerics)?, &options.file)?;
        writeln!(out, "{id}: {record}")?;
        right &= !record.outcome.is_failure() && !matches!(record.outcome, Outcome::Unsupported { .. });
    }
    Ok(right)
}
