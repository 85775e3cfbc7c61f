use kinograph_backend::{CompileError, DeviceError, Refusal, RunError};
use kinograph_graph::{GraphError, OpError};

use crate::media::MediaError;
use crate::model::CheckpointError;
use crate::package::PackageError;
use crate::registry::RuntimeError;
use crate::sampler::{SampleError, step_of};
use crate::schedule::ScheduleError;
use crate::tokenize::TokenizeError;

/// Why a model did not load or a job did not finish, by stage.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No such device, or it did not open.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A file of the package is missing or wrong.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// A graph of the package is wrong, or does not take these sizes.
    #[error("component `{component}`: {source}")]
    Graph {
        /// The component.
        component: String,
        /// What is wrong, with file, line and node.
        source: Box<GraphError>,
    },
    /// The package says something that its graphs do not.
    #[error("component `{component}`: {reason}")]
    Component {
        /// The component.
        component: String,
        /// What does not fit.
        reason: String,
    },
    /// The device does not take a component.
    #[error("component `{component}`: {source}")]
    Compile {
        /// The component.
        component: String,
        /// Why.
        source: Box<CompileError>,
    },
    /// The device does not take some nodes of a component.
    #[error("component `{component}`: {device} does not take {}; choose another device, or name one for them with a fallback", refusals(.nodes))]
    Refused {
        /// The component.
        component: String,
        /// The device's id.
        device: String,
        /// Each node that is refused: its name, its op, the reason.
        nodes: Vec<(String, String, Refusal)>,
    },
    /// No device takes the whole model.
    #[error("no device takes the whole model: {reasons}")]
    NoDevice {
        /// Each device with its reason.
        reasons: String,
    },
    /// The device failed while running a component.
    #[error("component `{component}`: {source}")]
    Run {
        /// The component.
        component: String,
        /// Why.
        source: Box<RunError>,
    },
    /// The request asks for what the model does not do.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The prompt was not tokenised.
    #[error("text encoder `{encoder}`: {source}")]
    Tokenize {
        /// The encoder.
        encoder: String,
        /// Why.
        source: Box<TokenizeError>,
    },
    /// The schedule cannot be computed.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The backbone failed in a step of sampling.
    #[error("sampling {}: {source}", step_of(*.step, *.of))]
    Sample {
        /// The step, from 1.
        step: usize,
        /// Steps of the run, when the solver knows.
        of: Option<usize>,
        /// Why.
        source: Box<Error>,
    },
    /// The backbone gave a number that is none.
    #[error(
        "sampling {}: the velocity is {value} at element {element}; the weights or the precision are unfit",
        step_of(*.step, *.of)
    )]
    NotFinite {
        /// The step, from 1.
        step: usize,
        /// Steps of the run, when the solver knows.
        of: Option<usize>,
        /// The first such element.
        element: usize,
        /// Its value.
        value: f32,
    },
    /// The solver stopped for a reason of its own: tolerances that cannot be met, a position that does not fit.
    #[error("sampling: {0}")]
    Solver(String),
    /// Frames could not be read or written.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// The checkpoint of the job cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A replay manifest does not fit.
    #[cfg(feature = "replay")]
    #[error(transparent)]
    Replay(Box<crate::replay::ReplayError>),
    /// The job was cancelled, by its callback or by its [`Control`](crate::Control).
    #[error("cancelled")]
    Cancelled,
}

/// Why a request does not fit the model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The number of frames.
    #[error("{frames} frames: this model makes 1 to {most}")]
    Frames {
        /// As asked.
        frames: usize,
        /// The most.
        most: usize,
    },
    /// The size.
    #[error("{width}x{height}: {reason}")]
    Size {
        /// As asked, in pixels.
        width: usize,
        /// As asked, in pixels.
        height: usize,
        /// What the model takes.
        reason: String,
    },
    /// The frame rate.
    #[error("{fps} frames per second: this model knows {known}")]
    Fps {
        /// As asked.
        fps: u32,
        /// What it knows.
        known: String,
    },
    /// The given starting noise.
    #[error(
        "the given latents are {found:?}, but this request needs {expected:?} (channels, frames, height, width)"
    )]
    Latents {
        /// As given.
        found: Vec<usize>,
        /// As needed.
        expected: Vec<usize>,
    },
    /// A batch of no request.
    #[error("a batch needs at least one request")]
    EmptyBatch,
    /// Requests of a batch that differ in what they share.
    #[error(
        "request {position} of the batch has another {setting} than the first; only prompts, seeds and noise may differ"
    )]
    Batch {
        /// The request, from 0.
        position: usize,
        /// What differs.
        setting: &'static str,
    },
    /// The job needs more memory than it may have, however it is cut.
    #[error(
        "the job needs {} but the limit is {}; the component `{component}` needs the most: take a smaller size or fewer \
         frames, or raise the limit", mebibytes(*.needed), mebibytes(*.limit)
    )]
    MemoryLimit {
        /// The limit in bytes.
        limit: u64,
        /// What is needed at least, in bytes.
        needed: u64,
        /// What needs the most.
        component: String,
    },
    /// The package has no encoder.
    #[error("the package has no [encoder], so it cannot encode a video")]
    NoEncoder,
    /// A video without frames.
    #[error("the video has no frames")]
    NoFrames,
    /// Tiles of the encoder that do not fall on latent frames.
    #[error("the encoder's tiles and their overlap must be multiples of {compression} frames")]
    EncoderTiles {
        /// Frames of video in a latent frame.
        compression: usize,
    },
    /// Overlapping tiles along time of an autoencoder that needs none.
    #[error(
        "the tiles along time overlap by {overlap}, but this autoencoder carries what it needs from one to the next: give a size only"
    )]
    StreamOverlap {
        /// The overlap asked for.
        overlap: usize,
    },
    /// Latents that the decoder does not take.
    #[error("the latents are {found}, but {reason}")]
    LatentShape {
        /// As given.
        found: String,
        /// What is needed.
        reason: String,
    },
    /// More than was decoded was to be kept.
    #[error("{frames} frames of {width}x{height} cannot be kept of {whole}")]
    Crop {
        /// Frames to keep.
        frames: usize,
        /// Columns to keep.
        width: usize,
        /// Rows to keep.
        height: usize,
        /// What there is.
        whole: String,
    },
}

/// Bytes for people.
fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

impl Error {
    pub(crate) fn run(component: &str, source: RunError) -> Self {
        match source {
            RunError::Cancelled => Error::Cancelled,
            source => Error::Run { component: component.to_owned(), source: Box::new(source) },
        }
    }

    pub(crate) fn device(component: &str, source: DeviceError) -> Self {
        Error::run(component, RunError::Device(source))
    }

    pub(crate) fn compile(component: &str, source: CompileError) -> Self {
        Error::Compile { component: component.to_owned(), source: Box::new(source) }
    }

    pub(crate) fn graph(component: &str, source: GraphError) -> Self {
        Error::Graph { component: component.to_owned(), source: Box::new(source) }
    }

    pub(crate) fn tokenize(encoder: &str, source: TokenizeError) -> Self {
        Error::Tokenize { encoder: encoder.to_owned(), source: Box::new(source) }
    }

    pub(crate) fn tensor(component: &str, source: OpError) -> Self {
        Error::Component { component: component.to_owned(), reason: source.to_string() }
    }
}

impl From<SampleError<Error>> for Error {
    fn from(error: SampleError<Error>) -> Self {
        match error {
            SampleError::Velocity { source: Error::Cancelled, .. } | SampleError::Cancelled { .. } => {
                Error::Cancelled
            }
            SampleError::Velocity { step, of, source } => {
                Error::Sample { step, of, source: Box::new(source) }
            }
            SampleError::NotFinite { step, of, element, value } => {
                Error::NotFinite { step, of, element, value }
            }
            other => Error::Solver(other.to_string()),
        }
    }
}

/// The refused nodes in words: each reason once, with the first nodes that have it.
fn refusals(nodes: &[(String, String, Refusal)]) -> String {
    let mut reasons: Vec<(String, Vec<&str>)> = Vec::new();
    for (node, op, refusal) in nodes {
        let reason = format!("{op} ({refusal})");
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, names)) => names.push(node),
            None => reasons.push((reason, vec![node])),
        }
    }
    let shown = |(reason, names): &(String, Vec<&str>)| {
        let first = names.iter().take(3).map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
        let more = if names.len() > 3 { format!(" and {} more", names.len() - 3) } else { String::new() };
        format!("{reason}: {first}{more}")
    };
    reasons.iter().map(shown).collect::<Vec<_>>().join("; ")
}
