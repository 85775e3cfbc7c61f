//! Hosts whose arithmetic between the graphs is wrong.

use std::ops::Range;
use std::sync::Arc;

use kinograph::sampler::{Solver, Step};
use kinograph::schedule::Schedule;
use kinograph::tiling::Tiles;
use kinograph::{CodecOptions, HostTensor, Model};
use kinograph_conformance::{Host, RuntimeHost, Velocity};

type Mutant = (&'static str, &'static [&'static str], Arc<dyn Host>);

pub(crate) fn all() -> Vec<Mutant> {
    vec![
        ("blend weights exchanged", &["pipeline/blend"], Arc::new(Exchanged)),
        ("blend weights that begin at 1/N", &["pipeline/blend"], Arc::new(Late)),
        ("the last tile is left out", &["pipeline/tiles that cover"], Arc::new(Short)),
        ("overlaps that are not blended", &["pipeline/tiles/"], Arc::new(Unblended)),
        ("the sign of the Euler step reversed", &["pipeline/solver/euler"], Arc::new(Backwards)),
        ("Heun that is Euler", &["pipeline/solver/heun"], Arc::new(Lazy)),
        ("guidance from the wrong side", &["pipeline/solver/euler"], Arc::new(Misguided)),
        ("guidance of half the scale in sampling", &["pipeline/sampling/"], Arc::new(Timid)),
        ("a schedule one step late", &["pipeline/schedule/linear"], Arc::new(Tardy)),
        ("noise that ignores where a part begins", &["pipeline/noise"], Arc::new(Repeating)),
        ("noise of too little variance", &["pipeline/noise"], Arc::new(Quiet)),
    ]
}

struct Exchanged;
impl Host for Exchanged {
    fn blend_weight(&self, position: usize, overlap: usize) -> f32 {
        1.0 - RuntimeHost.blend_weight(position, overlap)
    }
}

struct Late;
impl Host for Late {
    fn blend_weight(&self, position: usize, overlap: usize) -> f32 {
        (position + 1) as f32 / overlap as f32
    }
}

struct Short;
impl Host for Short {
    fn tiles(&self, tiles: Tiles, total: usize) -> Vec<Range<usize>> {
        let mut all = RuntimeHost.tiles(tiles, total);
        if all.len() > 1 {
            all.pop();
        }
        all
    }
}

/// Decodes the clip in tiles that do not overlap.
struct Unblended;
impl Host for Unblended {
    fn decode(&self, model: &Model, latents: &HostTensor, options: &CodecOptions) -> Result<Vec<u8>, String> {
        let tiles = Tiles::new(2, 0).map_err(|e| e.to_string())?;
        RuntimeHost.decode(model, latents, &options.clone().tiles(tiles))
    }
}

struct Backwards;
impl Host for Backwards {
    fn sample(
        &self,
        solver: Solver,
        times: &[f64],
        state: &mut [f32],
        velocity: &mut Velocity<'_>,
        after: &mut dyn FnMut(&Step, &[f32]),
    ) -> Result<(), String> {
        let mut reversed = |x: &[f32], t: f64, out: &mut [f32]| {
            velocity(x, t, out)?;
            out.iter_mut().for_each(|u| *u = -*u);
            Ok(())
        };
        RuntimeHost.sample(solver, times, state, &mut reversed, after)
    }
}

struct Lazy;
impl Host for Lazy {
    fn sample(
        &self,
        _: Solver,
        times: &[f64],
        state: &mut [f32],
        velocity: &mut Velocity<'_>,
        after: &mut dyn FnMut(&Step, &[f32]),
    ) -> Result<(), String> {
        RuntimeHost.sample(Solver::Euler, times, state, velocity, after)
    }
}

struct Misguided;
impl Host for Misguided {
    fn guide(&self, text: &mut [f32], negative: &[f32], scale: f32) {
        text.iter_mut().zip(negative).for_each(|(u, n)| *u += scale * (*n - *u));
    }
}

struct Timid;
impl Host for Timid {
    fn guide(&self, text: &mut [f32], negative: &[f32], scale: f32) {
        RuntimeHost.guide(text, negative, scale / 2.0);
    }
}

struct Tardy;
impl Host for Tardy {
    fn times(&self, schedule: &Schedule, steps: usize) -> Result<Vec<f64>, String> {
        let mut times = RuntimeHost.times(schedule, steps)?;
        for i in 1..steps {
            times[i] = times[i] * (1.0 - 1e-9) + times[i + 1] * 1e-9;
        }
        Ok(times)
    }
}

struct Repeating;
impl Host for Repeating {
    fn noise(&self, out: &mut [f32], seed: u64, stream: u64, _: u64) {
        RuntimeHost.noise(out, seed, stream, 0);
    }
}

struct Quiet;
impl Host for Quiet {
    fn noise(&self, out: &mut [f32], seed: u64, stream: u64, first: u64) {
        RuntimeHost.noise(out, seed, stream, first);
        out.iter_mut().for_each(|x| *x *= 0.999);
    }
}
