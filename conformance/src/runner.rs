//! Cases on a device, one after the other.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use kinograph::Precision;
use kinograph_backend::{Device, HostTensor};
use kinograph_graph::Graph;

use crate::bisect::bisect;
use crate::catalogue::{Item, Kind};
use crate::expectations::Expectations;
use crate::outcome::{Failure, Outcome, Record};
use crate::pipelines::{Stopped, Subject};
use crate::problem::{Answer, Problem, digest};
use crate::replay;
use crate::run::{Run, RunFailure};
use crate::shrink::shrink;
use crate::statistics;

/// Digests of the exact answers, by the ids of cases.
const DIGESTS: &str = include_str!("../goldens/digests.txt");

/// How cases are run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the device is known to get wrong.
    pub expectations: Expectations,
    /// Where failures are saved for `replay`; nowhere by default.
    pub save: Option<PathBuf>,
    /// Whether the first wrong node of a failed graph is looked for.
    pub bisect: bool,
    /// Added to what the data of graphs and pipelines is drawn with; 0 for the data that the golden digests are of.
    pub seed: u64,
    /// Digests of exact answers by the ids of cases; those of the built-in cases by default. A case without one is judged by
    /// evaluating it.
    pub digests: HashMap<String, String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            expectations: Expectations::default(),
            save: None,
            bisect: true,
            seed: 0,
            digests: digests(DIGESTS),
        }
    }
}

/// Lines of a digest and an id.
fn digests(text: &str) -> HashMap<String, String> {
    let pair = |line: &str| line.split_once("  ").map(|(digest, id)| (id.to_owned(), digest.to_owned()));
    text.lines().filter_map(pair).collect()
}

/// Runs one case.
pub fn test(subject: &Subject, item: &Item, settings: &Settings) -> Record {
    let begin = Instant::now();
    let mut record = Record::new(item);
    match &item.kind {
        Kind::Op(case) => match Run::new(case) {
            Ok(run) => {
                problem(subject, &item.id, run.problem(), settings, &mut record);
                if record.outcome.is_failure() && case.name.starts_with("random") {
                    record.smaller = shrink(&*subject.device, case).map(|case| case.describe());
                }
            }
            Err(error) => record.outcome = Outcome::wrong(format!("the case is wrong: {error}")),
        },
        Kind::Graph(case) => match case.problem_from(settings.seed) {
            Ok(it) => problem(subject, &item.id, &it, settings, &mut record),
            Err(error) => record.outcome = Outcome::wrong(format!("the case is wrong: {error}")),
        },
        Kind::Pipeline(_) if subject.precision.is_some() => {
            let reason =
                "pipelines are judged by bounds of native numerics; `kinograph replay` compares whole jobs";
            record.outcome = Outcome::Unsupported { reason: reason.into() };
        }
        Kind::Pipeline(case) => match case.run(subject, settings.seed) {
            Ok(score) => {
                let failed = score.first.clone();
                let (sum, squares, elements) = (score.sum, score.squares, score.elements.max(1) as f64);
                record.elements = score.elements;
                record.share = finite(score.worst);
                record.largest = score.largest;
                record.bias = finite(sum / elements);
                record.spread = finite((squares / elements).sqrt());
                record.flops = score.flops;
                record.device_seconds = score.seconds;
                record.maps = score.maps;
                record.notes = score.notes;
                record.outcome = match failed {
                    None if score.worst == 0.0 => Outcome::Identical,
                    None => Outcome::Within,
                    Some(message) => failure(subject, &item.id, message, score.problem.as_deref(), settings),
                };
            }
            Err(Stopped::Refused(reason)) => record.outcome = Outcome::Unsupported { reason },
            Err(Stopped::Wrong(message, found)) => {
                record.outcome = failure(subject, &item.id, message, found.as_deref(), settings);
            }
        },
    }
    record.seconds = begin.elapsed().as_secs_f64();
    record.expect(settings.expectations.reason_of(&item.id));
    record
}

/// Infinity and NaN are no numbers of JSON.
fn finite(share: f64) -> f64 {
    if share.is_finite() { share } else { f64::MAX }
}

/// What the device makes of a problem; a refusal or a failure is the record's outcome.
fn answer(
    subject: &Subject,
    id: &str,
    it: &Problem,
    settings: &Settings,
    record: &mut Record,
) -> Option<Answer> {
    record.flops = it.graph().flops();
    match it.on(&*subject.device) {
        Ok(answer) => {
            record.device_seconds = answer.seconds;
            return Some(answer);
        }
        Err(RunFailure::Refused(refusal)) => {
            record.outcome = Outcome::Unsupported { reason: refusal.to_string() };
        }
        Err(error) => record.outcome = failure(subject, id, error.to_string(), Some(it), settings),
    }
    None
}

/// With reproducible numerics there is one answer, to the bit.
fn exactly(
    subject: &Subject,
    id: &str,
    it: &Problem,
    precision: Precision,
    settings: &Settings,
    record: &mut Record,
) {
    let due = match it.reproducible(precision) {
        Ok(written) => written.exact(),
        Err(refusal) => return record.outcome = Outcome::Unsupported { reason: refusal.to_string() },
    };
    let due = match due {
        Ok(due) => due,
        Err(error) => return record.outcome = Outcome::wrong(format!("the case is wrong: {error}")),
    };
    let settings = Settings { bisect: false, ..settings.clone() };
    let Some(answer) = answer(subject, id, it, &settings, record) else { return };
    record.elements = answer.outputs.iter().map(|t| t.data().len()).sum();
    record.digest = digest(&answer.outputs);
    record.outcome = match differing(&due, &answer.outputs) {
        None => Outcome::Identical,
        Some(message) => failure(subject, id, message, Some(it), &settings),
    };
}

/// The first element that is not the one due, all NaNs counting as one.
fn differing(due: &[HostTensor], found: &[HostTensor]) -> Option<String> {
    let bits = |v: f64| if v.is_nan() { f64::NAN.to_bits() } else { v.to_bits() };
    due.iter().zip(found).enumerate().find_map(|(output, (due, found))| {
        let (due, found) = (due.data().to_f64(), found.data().to_f64());
        let mut other = due.iter().zip(&found).enumerate().filter(|&(_, (&d, &f))| bits(d) != bits(f));
        let (at, (due, found)) = other.next()?;
        let count = 1 + other.count();
        Some(format!(
            "{count} elements have other bits, first output {output} [{at}]: due {due:e}, found {found:e}"
        ))
    })
}

fn problem(subject: &Subject, id: &str, it: &Problem, settings: &Settings, record: &mut Record) {
    if let Some(precision) = subject.precision {
        return exactly(subject, id, it, precision, settings, record);
    }
    let Some(answer) = answer(subject, id, it, settings, record) else { return };
    let found = digest(&answer.outputs);
    // With the golden digest there is no need for the exact answer.
    let golden = settings.digests.get(id).filter(|_| settings.seed == 0);
    if golden == Some(&found) {
        record.elements = answer.outputs.iter().map(|t| t.data().len()).sum();
        record.digest = found;
        return record.outcome = Outcome::Identical;
    }
    let due = match it.due() {
        Ok(due) => due,
        Err(error) => return record.outcome = Outcome::wrong(format!("the case is wrong: {error}")),
    };
    let verdict = due.judge(id.to_owned(), &answer.outputs);
    record.elements = verdict.elements;
    record.share = finite(verdict.worst);
    record.largest = verdict.largest;
    record.bias = finite(verdict.bias());
    record.spread = finite(verdict.spread());
    record.outcome = match statistics::judge(it.graph(), &verdict) {
        _ if !verdict.passed() => failure(subject, id, verdict.to_string(), Some(it), settings),
        Some(message) => failure(subject, id, message, Some(it), settings),
        None if due.digest() == found => Outcome::Identical,
        None => Outcome::Within,
    };
    record.digest = found;
}

/// A failure, looked into and saved.
fn failure(
    subject: &Subject,
    id: &str,
    message: String,
    found: Option<&Problem>,
    settings: &Settings,
) -> Outcome {
    let mut failure = Failure { message, divergence: None, saved: None };
    if let Some(found) = found {
        if settings.bisect && found.graph().nodes().len() > 1 {
            match bisect(found, &*subject.device) {
                Ok(divergence) => failure.divergence = divergence,
                Err(error) => failure.message = format!("{}; looking for the node: {error}", failure.message),
            }
        }
        if let Some(folder) = &settings.save {
            let path = folder.join(format!("{}.replay", file_name(id)));
            match replay::save(&path, id, found) {
                Ok(()) => failure.saved = Some(path),
                Err(error) => failure.message = format!("{}; saving it: {error}", failure.message),
            }
        }
    }
    Outcome::Failed(Box::new(failure))
}

fn file_name(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || "-.=".contains(c) { c } else { '_' }).collect()
}

/// Runs a saved failure again.
///
/// # Errors
/// A file that cannot be read.
pub fn replay(subject: &Subject, path: &Path) -> Result<Record, replay::ReplayError> {
    let (id, it) = replay::load(path)?;
    let kind = match &id {
        id if id.starts_with("op/") => "op",
        id if id.starts_with("graph/") => "graph",
        _ => "pipeline",
    };
    let mut record = Record::named(&id, kind);
    let settings = Settings { digests: HashMap::new(), ..Settings::default() };
    let begin = Instant::now();
    problem(subject, &id, &it, &settings, &mut record);
    record.seconds = begin.elapsed().as_secs_f64();
    Ok(record)
}

/// Whether a device takes a case, without running it. `None` for pipelines that no graph stands for.
pub fn support(device: &dyn Device, item: &Item) -> Option<Result<(), String>> {
    let ask = |graph: &Graph| {
        graph.nodes().iter().find_map(|node| match device.support(graph, node) {
            kinograph_backend::Support::Yes => None,
            kinograph_backend::Support::No(refusal) if graph.nodes().len() > 1 => {
                Some(format!("{} ({}): {refusal}", node.name, node.op.name))
            }
            kinograph_backend::Support::No(refusal) => Some(refusal.to_string()),
        })
    };
    let refusal = match &item.kind {
        Kind::Op(case) => ask(Run::new(case).ok()?.graph()),
        Kind::Graph(case) => ask(&case.graph().ok()?),
        Kind::Pipeline(_) => return None,
    };
    Some(refusal.map_or(Ok(()), Err))
}

/// How fast a case runs: the least and the middle of the times of as many runs as fit into so many seconds, at least three.
/// `None` for pipelines.
///
/// # Errors
/// When the device does not run it.
pub fn perf(device: &dyn Device, item: &Item, seconds: f64) -> Option<Result<Timing, RunFailure>> {
    let it = match &item.kind {
        Kind::Op(case) => Run::new(case).ok()?.problem().clone(),
        Kind::Graph(case) => case.problem().ok()?,
        Kind::Pipeline(_) => return None,
    };
    Some(time(device, &it, seconds))
}

/// Times of a case.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Timing {
    /// Runs that were measured.
    pub runs: usize,
    /// Seconds of the fastest.
    pub least: f64,
    /// Seconds of the middle one.
    pub middle: f64,
    /// Operations of one, a multiply and an add counting as two.
    pub flops: u64,
}

fn time(device: &dyn Device, it: &Problem, seconds: f64) -> Result<Timing, RunFailure> {
    let executable = it.compile(device)?;
    let inputs = it.inputs.iter().map(|t| device.upload(t.clone())).collect::<Result<Vec<_>, _>>()?;
    let control = kinograph_backend::Control::new();
    let mut times = Vec::new();
    let begin = Instant::now();
    // The first run warms up.
    executable.run(&inputs, &control)?;
    while times.len() < 3 || (begin.elapsed().as_secs_f64() < seconds && times.len() < 10_000) {
        let start = Instant::now();
        let outputs = executable.run(&inputs, &control)?;
        // Devices may answer before they are done.
        outputs.iter().try_for_each(|buffer| device.download(buffer).map(drop))?;
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(Timing {
        runs: times.len(),
        least: times[0],
        middle: times[times.len() / 2],
        flops: it.graph().flops(),
    })
}

/// The digest of a case's exact answer, rounded once; `None` for pipelines.
///
/// # Errors
/// When the case is wrong.
pub fn exact_digest(item: &Item) -> Option<Result<String, kinograph_graph::OpError>> {
    let it = match &item.kind {
        Kind::Op(case) => Run::new(case).map(|run| run.problem().clone()),
        Kind::Graph(case) => case.problem(),
        Kind::Pipeline(_) => return None,
    };
    Some(it.and_then(|it| it.exact_digest()))
}
