use std::fmt;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use kinograph_backend::Control;

use crate::Error;
use crate::media::Frames;

/// A stage of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// The text encoders; a step is one encoder.
    Text,
    /// The sampler; a step is one step of the schedule, or of an adaptive solver a thousandth of the way.
    Sample,
    /// The encoder of the autoencoder; a step is one tile.
    Encode,
    /// The decoder of the autoencoder; a step is one tile.
    Decode,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Text => "text",
            Stage::Sample => "sample",
            Stage::Encode => "encode",
            Stage::Decode => "decode",
        })
    }
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// The stage.
    pub stage: Stage,
    /// Steps of the stage that are done.
    pub step: usize,
    /// Steps of the stage; 0 when nobody knows, as for a video that is read from a file.
    pub of: usize,
    /// Time since the job began.
    pub elapsed: Duration,
    /// Time that the rest of the job will take at the present pace, by the operations that are left; nothing before the
    /// first step that tells a pace, and nothing with an adaptive solver while it samples.
    pub remaining: Option<Duration>,
    /// A small picture of the first latent, one pixel a latent position and one frame a latent frame, when
    /// [`Request::preview_every`](crate::Request::preview_every) asks for it.
    pub preview: Option<Frames>,
}

/// What hears of a job's progress, and may end it.
pub(crate) type Listener<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

/// A running job: its listener, its clock, its handle to cancel.
pub(crate) struct Run<'a> {
    listener: &'a mut Listener<'a>,
    pub(crate) control: &'a Control,
    begin: Instant,
    timings: Vec<(Stage, Duration)>,
    pace: Pace,
}

/// Operations that are left, and how fast they go.
#[derive(Default)]
struct Pace {
    /// Floating-point operations of the rest of the job; nothing while they are not known.
    left: Option<f64>,
    /// Operations of the present stage since it began.
    done: f64,
    since: Option<Instant>,
    /// Operations a second.
    rate: Option<f64>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(control: &'a Control, listener: &'a mut Listener<'a>) -> Self {
        Self { listener, control, begin: Instant::now(), timings: Vec::new(), pace: Pace::default() }
    }

    /// Says how many operations are left from here on, if that is known.
    pub(crate) fn expect(&mut self, flops: Option<f64>) {
        self.pace = Pace { left: flops, done: 0.0, since: Some(Instant::now()), rate: self.pace.rate };
    }

    /// Says that so many operations are done.
    pub(crate) fn worked(&mut self, flops: f64) {
        let pace = &mut self.pace;
        pace.done += flops;
        pace.left = pace.left.map(|left| (left - flops).max(0.0));
        let seconds = pace.since.map_or(0.0, |since| since.elapsed().as_secs_f64());
        if seconds > 0.0 {
            pace.rate = Some(pace.done / seconds);
        }
    }

    pub(crate) fn tell(&mut self, stage: Stage, step: usize, of: usize) -> Result<(), Error> {
        self.show(stage, step, of, None)
    }

    pub(crate) fn show(
        &mut self,
        stage: Stage,
        step: usize,
        of: usize,
        preview: Option<Frames>,
    ) -> Result<(), Error> {
        let remaining = match (self.pace.left, self.pace.rate) {
            (Some(left), Some(rate)) if rate > 0.0 => Duration::try_from_secs_f64(left / rate).ok(),
            _ => None,
        };
        let progress = Progress { stage, step, of, elapsed: self.begin.elapsed(), remaining, preview };
        if (self.listener)(progress).is_break() || self.control.is_cancelled() {
            return Err(Error::Cancelled);
        }
        Ok(())
    }

    pub(crate) fn done(&mut self, stage: Stage) {
        let before: Duration = self.timings.iter().map(|(_, d)| *d).sum();
        self.timings.push((stage, self.begin.elapsed().saturating_sub(before)));
    }

    /// How long each stage took.
    pub(crate) fn timings(self) -> Vec<(Stage, Duration)> {
        self.timings
    }
}
