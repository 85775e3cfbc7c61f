use std::fmt;
use std::time::Duration;

/// A stage of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// The text encoders; a step is one encoder.
    Text,
    /// The sampler; a step is one step of the schedule.
    Sample,
    /// The decoder.
    Decode,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Text => "text",
            Stage::Sample => "sample",
            Stage::Decode => "decode",
        })
    }
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// The stage.
    pub stage: Stage,
    /// Steps of the stage that are done.
    pub step: usize,
    /// Steps of the stage.
    pub of: usize,
    /// Time since the job began.
    pub elapsed: Duration,
}
