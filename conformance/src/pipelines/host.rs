//! What runs on the host between two graphs, so that a test can put something wrong in its place.

use std::ops::{ControlFlow, Range};

use kinograph::sampler::{self, SampleError, Solver, Step};
use kinograph::schedule::Schedule;
use kinograph::tiling::{self, Tiles};
use kinograph::{CodecOptions, HostTensor, Model, noise};

/// The velocity of a flow: `u(x, t)` into the last slice.
pub type Velocity<'a> = dyn FnMut(&[f32], f64, &mut [f32]) -> Result<(), String> + 'a;

/// The arithmetic of the host. Each method is the runtime's own; whoever has a sampler or a tiler of another make overrides it
/// and holds that against the suite.
pub trait Host: Send + Sync {
    /// Standard normals of a stream from an index on.
    fn noise(&self, out: &mut [f32], seed: u64, stream: u64, first: u64) {
        noise::fill_normal_at(out, seed, stream, first);
    }

    /// The times of a schedule.
    ///
    /// # Errors
    /// In words.
    fn times(&self, schedule: &Schedule, steps: usize) -> Result<Vec<f64>, String> {
        schedule.times(steps).map_err(|e| e.to_string())
    }

    /// The weight of the later of two tiles at a position of those that they share.
    fn blend_weight(&self, position: usize, overlap: usize) -> f32 {
        tiling::weight(position, overlap)
    }

    /// The tiles that cover an axis.
    fn tiles(&self, tiles: Tiles, total: usize) -> Vec<Range<usize>> {
        tiles.ranges(total).collect()
    }

    /// Guidance, in place of the velocity under the prompt.
    fn guide(&self, text: &mut [f32], negative: &[f32], scale: f32) {
        sampler::guide(text, negative, scale);
    }

    /// Follows a flow; `after` sees each finished step and the state after it.
    ///
    /// # Errors
    /// Those of the velocity, and the solver's, in words.
    fn sample(
        &self,
        solver: Solver,
        times: &[f64],
        state: &mut [f32],
        velocity: &mut Velocity<'_>,
        after: &mut dyn FnMut(&Step, &[f32]),
    ) -> Result<(), String> {
        let told = |step: &Step, state: &[f32]| {
            after(step, state);
            ControlFlow::Continue(())
        };
        let done = sampler::sample(solver, times, state, None, velocity, told);
        done.map_err(|error| match error {
            SampleError::Velocity { source, .. } => source,
            other => other.to_string(),
        })
    }

    /// Decodes latents to bytes of frames.
    ///
    /// # Errors
    /// The runtime's, in words.
    fn decode(&self, model: &Model, latents: &HostTensor, options: &CodecOptions) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let take = |frame: &[u8]| {
            bytes.extend_from_slice(frame);
            Ok(())
        };
        model.decode(latents, options, take, |_| ControlFlow::Continue(())).map_err(|e| e.to_string())?;
        Ok(bytes)
    }
}

/// The runtime's own arithmetic.
#[derive(Clone, Copy, Debug, Default)]
pub struct RuntimeHost;

impl Host for RuntimeHost {}
