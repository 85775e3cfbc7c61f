//! The state of sampling in a file, so that a job survives the end of its process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use safetensors::SafeTensors;
use serde_json::{Value, json};

use crate::Error;
use crate::files::{self, Unread, floats};
use crate::media::{TensorView, check_folder, write_tensors};
use crate::request::Checkpointing;
use crate::sampler::Position;

/// The name of the tensor that holds the state.
const STATE: &str = "state";
/// Keys of the metadata: the job, and where it stands.
const JOB: &str = "kinograph.job";
const POSITION: &str = "kinograph.position";

/// Why a job did not go on from a checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// It cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no checkpoint, or a damaged one.
    #[error("{path}: {reason}; remove it to begin anew")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It belongs to a job with other settings.
    #[error(
        "{path}: it is of another job, with another {setting}: give the same settings, another file, or remove it"
    )]
    OtherJob {
        /// The file.
        path: PathBuf,
        /// The first setting that differs.
        setting: String,
    },
}

/// A checkpoint that a job keeps.
pub(super) struct Checkpoint<'a> {
    path: &'a Path,
    settings: &'a Checkpointing,
    identity: Value,
    written: Instant,
    shape: Vec<usize>,
}

impl<'a> Checkpoint<'a> {
    pub(super) fn new(settings: &'a Checkpointing, identity: Value, shape: &[usize]) -> Self {
        let path = &settings.path;
        Self { path, settings, identity, written: Instant::now(), shape: shape.to_vec() }
    }

    /// Fills the state from the file, if there is one, and says where the job stands.
    pub(super) fn resume(&self, state: &mut [f32]) -> Result<Option<Position>, Error> {
        let fail = |reason: String| CheckpointError::Content { path: self.path.to_owned(), reason };
        // The state, and room for long prompts and schedules.
        let limit = (state.len() as u64).saturating_mul(4).saturating_add(16 << 20);
        let Some(bytes) = read(self.path, limit)? else {
            // Found now and not when the first state is written.
            check_folder(self.path)?;
            return Ok(None);
        };
        let file =
            SafeTensors::deserialize(&bytes).map_err(|e| fail(format!("not a whole checkpoint: {e}")))?;
        let metadata = SafeTensors::read_metadata(&bytes).ok().and_then(|(_, m)| m.metadata().clone());
        let entry = |key: &str| {
            let text =
                metadata.as_ref().and_then(|m| m.get(key)).ok_or_else(|| fail("not a checkpoint".into()))?;
            serde_json::from_str::<Value>(text).map_err(|e| fail(format!("`{key}`: {e}")))
        };
        if let Some(setting) = difference(&entry(JOB)?, &self.identity) {
            return Err(CheckpointError::OtherJob { path: self.path.to_owned(), setting }.into());
        }
        let position: (usize, f64, Option<f64>) =
            serde_json::from_value(entry(POSITION)?).map_err(|e| fail(format!("`{POSITION}`: {e}")))?;
        let tensor = file.tensor(STATE).map_err(|e| fail(e.to_string()))?;
        if tensor.dtype() != safetensors::Dtype::F32 || tensor.shape() != self.shape {
            return Err(fail(format!("its state is {:?}{:?}", tensor.dtype(), tensor.shape())).into());
        }
        state.iter_mut().zip(floats(tensor.data())).for_each(|(x, value)| *x = value);
        if state.iter().any(|x| !x.is_finite()) {
            return Err(fail("its state is not finite".into()).into());
        }
        let (steps, time, next_step) = position;
        Ok(Some(Position::new(steps, time, next_step)))
    }

    /// Whether it is time to write the file.
    pub(super) fn is_due(&self) -> bool {
        self.written.elapsed() >= self.settings.every
    }

    /// Writes the file.
    pub(super) fn keep(&mut self, state: &[f32], position: &Position) -> Result<(), Error> {
        let position = json!([position.steps, position.time, position.next_step]);
        let metadata = BTreeMap::from([
            (JOB.to_owned(), self.identity.to_string()),
            (POSITION.to_owned(), position.to_string()),
        ]);
        let view = TensorView { shape: &self.shape, data: state };
        write_tensors(self.path, &BTreeMap::from([(STATE.to_owned(), view)]), &metadata)?;
        self.written = Instant::now();
        Ok(())
    }
}

/// The bytes of a file that need not be there.
fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    let fail = |reason: String| CheckpointError::Content { path: path.to_owned(), reason };
    match files::read(path, limit) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(Unread::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(Unread::Io(source)) => Err(CheckpointError::Io { path: path.to_owned(), source }.into()),
        Err(Unread::NotPlain) => Err(fail("not a plain file".into()).into()),
        Err(Unread::TooLarge(limit)) => {
            Err(fail(format!("larger than {limit} bytes, which is more than this job's state")).into())
        }
    }
}

/// The first setting that two jobs do not share. Some are named only when they are not as usual, hence both are
/// asked.
fn difference(found: &Value, expected: &Value) -> Option<String> {
    let sides = [(expected, found), (found, expected)];
    let mut settings = sides.into_iter().flat_map(|(one, other)| {
        let entries = one.as_object().into_iter().flatten();
        entries.map(move |(key, value)| (key, other.get(key) == Some(value)))
    });
    settings.find(|(_, same)| !same).map(|(key, _)| key.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_only_one_job_has_differ() {
        let (plain, more) = (json!({ "seed": 1 }), json!({ "seed": 1, "text tokens": 8 }));
        assert_eq!(difference(&plain, &plain), None);
        assert_eq!(difference(&plain, &more).as_deref(), Some("text tokens"));
        assert_eq!(difference(&more, &plain).as_deref(), Some("text tokens"));
        assert_eq!(difference(&json!({ "seed": 2 }), &plain).as_deref(), Some("seed"));
        assert_eq!(difference(&json!(7), &plain).as_deref(), Some("seed"));
    }
}
