//! Cases that go through more than one graph: tiles, sampling, attention of many tokens, the host's arithmetic, flipbook.

mod arithmetic;
mod attention;
#[cfg(feature = "flipbook")]
mod flipbook;
mod flows;
mod host;
mod sampling;
mod score;
mod tiles;
mod tiny;

use std::sync::Arc;

use kinograph::{Numerics, Precision, ReproducibleError};
use kinograph_backend::Device;
use serde::Deserialize;

use crate::case::CaseError;

pub use host::{Host, RuntimeHost, Velocity};
pub use score::HeatMap;
pub(crate) use score::{Ended, Score, Stopped};

/// A case of more than one graph, or of what runs between them.
#[derive(Clone, Debug)]
pub struct PipelineCase {
    /// What it is, such as `tiles/4:2 of 9`.
    pub name: String,
    /// True for the cases of a quick run.
    pub quick: bool,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Noise,
    Blend,
    Cover,
    Schedule(String, Vec<usize>),
    Solver {
        solver: String,
        schedule: String,
        steps: usize,
        guidance: String,
    },
    Sampling {
        solver: String,
        schedule: String,
        steps: usize,
        guidance: String,
    },
    Attention(attention::Sizes),
    Tiles(tiles::Tiling),
    Encode(usize),
    Decode(usize),
    #[cfg(feature = "flipbook")]
    Flipbook(flipbook::Part),
}

/// What a pipeline runs on.
#[derive(Clone)]
pub struct Subject {
    /// The device.
    pub device: Arc<dyn Device>,
    /// What runs on the host between graphs.
    pub host: Arc<dyn Host>,
    /// Whether every bit must be that of reproducible numerics, of this precision.
    pub precision: Option<Precision>,
}

impl Subject {
    /// A device, with the runtime's own arithmetic on the host.
    pub fn new(device: Arc<dyn Device>) -> Self {
        Self { device, host: Arc::new(RuntimeHost), precision: None }
    }

    /// A device with reproducible numerics, whose every bit is judged.
    ///
    /// # Errors
    /// What the self-test of such devices finds.
    pub fn reproducible(device: Arc<dyn Device>, precision: Precision) -> Result<Self, ReproducibleError> {
        let device = Numerics::Reproducible(precision).on(device)?;
        Ok(Self { precision: Some(precision), ..Self::new(device) })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schedules: Vec<Schedules>,
    solvers: Vec<Solvers>,
    sampling: Vec<Solvers>,
    attention: Vec<attention::Entry>,
    tiles: Vec<tiles::Tiling>,
    frames: FrameCounts,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Schedules {
    schedule: String,
    steps: Vec<usize>,
}

/// Each solver with each schedule and each guidance.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Solvers {
    solvers: Vec<String>,
    schedules: Vec<String>,
    guidance: Vec<String>,
    steps: usize,
    #[serde(default)]
    full: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FrameCounts {
    from: usize,
    to: usize,
    quick: Vec<usize>,
}

/// Reads the file of pipelines.
pub(crate) fn parse(file: &str, text: &str) -> Result<Vec<PipelineCase>, CaseError> {
    let format = |e: toml::de::Error| CaseError::Format { file: file.to_owned(), reason: e.to_string() };
    let parsed: File = toml::from_str(text).map_err(format)?;
    let case = |name: &str, quick, kind| PipelineCase { name: name.to_owned(), quick, kind };
    let mut cases = vec![
        case("noise", true, Kind::Noise),
        case("blend weights", true, Kind::Blend),
        case("tiles that cover", true, Kind::Cover),
    ];
    for Schedules { schedule, steps } in parsed.schedules {
        cases.push(case(&format!("schedule/{schedule}"), true, Kind::Schedule(schedule.clone(), steps)));
    }
    for entry in &parsed.solvers {
        cases.extend(entry.cases("solver", |solver, schedule, guidance| Kind::Solver {
            solver,
            schedule,
            steps: entry.steps,
            guidance,
        }));
    }
    for entry in &parsed.sampling {
        cases.extend(entry.cases("sampling", |solver, schedule, guidance| Kind::Sampling {
            solver,
            schedule,
            steps: entry.steps,
            guidance,
        }));
    }
    for entry in parsed.attention {
        let (name, full) = (format!("attention/{}", entry.name), entry.full);
        cases.push(PipelineCase { name, quick: !full, kind: Kind::Attention(entry.sizes) });
    }
    for tiling in parsed.tiles {
        cases.push(PipelineCase {
            name: format!("tiles/{tiling}"),
            quick: !tiling.full,
            kind: Kind::Tiles(tiling),
        });
    }
    for frames in parsed.frames.from..=parsed.frames.to {
        let quick = parsed.frames.quick.contains(&frames);
        let plural = if frames == 1 { "frame" } else { "frames" };
        cases.push(case(&format!("encode/{frames} {plural}"), quick, Kind::Encode(frames)));
        cases.push(case(&format!("decode/{frames} {plural}"), quick, Kind::Decode(frames)));
    }
    #[cfg(feature = "flipbook")]
    cases.extend(flipbook::Part::ALL.into_iter().map(|part| PipelineCase {
        name: format!("flipbook/{part}"),
        quick: part.quick(),
        kind: Kind::Flipbook(part),
    }));
    Ok(cases)
}

impl Solvers {
    fn cases(&self, group: &str, kind: impl Fn(String, String, String) -> Kind) -> Vec<PipelineCase> {
        let mut cases = Vec::new();
        for solver in &self.solvers {
            for schedule in &self.schedules {
                for guidance in &self.guidance {
                    let name = format!("{group}/{solver} {schedule} guidance {guidance}");
                    let kind = kind(solver.clone(), schedule.clone(), guidance.clone());
                    cases.push(PipelineCase { name, quick: !self.full, kind });
                }
            }
        }
        cases
    }
}

impl PipelineCase {
    pub(crate) fn run(&self, subject: &Subject, seed: u64) -> Ended {
        let host = &*subject.host;
        let ended = match &self.kind {
            Kind::Noise => arithmetic::noise(host)?,
            Kind::Blend => arithmetic::blend(host)?,
            Kind::Cover => arithmetic::cover(host)?,
            Kind::Schedule(schedule, steps) => arithmetic::schedule(host, schedule, steps)?,
            Kind::Solver { solver, schedule, steps, guidance } => {
                flows::solver(host, solver, schedule, *steps, guidance)?
            }
            Kind::Sampling { solver, schedule, steps, guidance } => {
                sampling::run(subject, solver, schedule, *steps, guidance, seed)?
            }
            Kind::Attention(sizes) => attention::run(&*subject.device, sizes, seed)?,
            Kind::Tiles(tiling) => tiles::run(subject, tiling, seed)?,
            Kind::Encode(frames) => tiles::encode(subject, *frames, seed)?,
            Kind::Decode(frames) => tiles::decode(subject, *frames, seed)?,
            #[cfg(feature = "flipbook")]
            Kind::Flipbook(part) => flipbook::run(subject, *part)?,
        };
        Ok(ended)
    }
}

/// Makes the goldens of flipbook anew, from the exact evaluation: a safetensors file.
///
/// # Errors
/// In words.
#[cfg(feature = "flipbook")]
pub fn flipbook_goldens(text_goldens: &[u8]) -> Result<Vec<u8>, String> {
    flipbook::goldens(text_goldens)
}
