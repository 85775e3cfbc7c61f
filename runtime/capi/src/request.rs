//! What to generate.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::time::Duration;

use kinograph::Request;
use kinograph::tiling::Tiles;

use crate::control::KinographControl;
use crate::failure::{Failure, KinographError, free, guard};
use crate::pointers::{give, given, slot, text};
use crate::status::KinographStatus;
use crate::tensor::KinographTensor;

/// What to generate; what is left open is as the model's package says. One thread at a time may change it; several may generate
/// from it at once while nobody does.
#[derive(Clone, Debug)]
pub struct KinographRequest {
    pub(crate) request: Request,
    /// Width and height in pixels, where chosen: frames are told with their size.
    pub(crate) size: Option<(usize, usize)>,
}

impl KinographRequest {
    /// Changes the request by one of its builders.
    fn change(&mut self, change: impl FnOnce(Request) -> Request) {
        self.request = change(std::mem::take(&mut self.request));
    }
}

/// Makes a request for this prompt, with seed 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_request_new(
    prompt: *const c_char,
    request: Option<&mut MaybeUninit<*mut KinographRequest>>,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let slot = slot(request, "request")?;
        // SAFETY: a text of the caller.
        let prompt = unsafe { text(prompt, "prompt") }?;
        give(slot, KinographRequest { request: Request::new(prompt), size: None });
        Ok(())
    })
}

/// Makes a request like another one, for batches. They share the other one's control.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_request_clone(
    request: Option<&KinographRequest>,
    clone: Option<&mut MaybeUninit<*mut KinographRequest>>,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let slot = slot(clone, "clone")?;
        give(slot, given(request, "request")?.clone());
        Ok(())
    })
}

/// What to show, in place of the prompt that it was made with.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_request_prompt(
    request: Option<&mut KinographRequest>,
    prompt: *const c_char,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let request = given(request, "request")?;
        // SAFETY: a text of the caller.
        let prompt = unsafe { text(prompt, "prompt") }?;
        request.change(|r| r.prompt(prompt));
        Ok(())
    })
}

/// What to steer away from; empty at first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_request_negative(
    request: Option<&mut KinographRequest>,
    prompt: *const c_char,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let request = given(request, "request")?;
        // SAFETY: a text of the caller.
        let prompt = unsafe { text(prompt, "prompt") }?;
        request.change(|r| r.negative(prompt));
        Ok(())
    })
}

/// The seed of the noise. The same seed gives the same video.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_request_seed(
    request: Option<&mut KinographRequest>,
    seed: u64,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let request = given(request, "request")?;
        request.change(|r| r.seed(seed));
        Ok(())
    })
}

/// The number of frames; 1 makes an image.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_request_frames(
    request: Option<&mut KinographRequest>,
    frames: usize,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let request = given(request, "request")?;
        request.change(|r| r.frames(frames));
        Ok(())
    })
}

/// Width and height in pixels.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_request_size(
    request: Option<&mut KinographRequest>,
    width: usize,
    height: usize,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let request = given(request, "request")?;
        request.change(|r| r.size(width, height));
        request.size = Some((width, height));
        Ok(())
    })
}

/// Frames per second: the model is told, so that motion has the right speed.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_request_fps(
    request: Option<&mut KinographRequest>,
    fps: u32,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let request = given(request, "request")?;
        request.change(|r| r.fps(fps));
        Ok(())
    })
}

/// Steps of the sampler. An adaptive solver takes as many as it needs.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_request_steps(
    request: Option<&mut KinographRequest>,
    steps: usize,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let request = given(request, "request")?;
        request.change(|r| r.steps(steps));
        Ok(())
    })
}

/// How a step is taken: `euler`, `midpoint`, `heun`, `rk4`, `dopri5` or `dopri5:RTOL:ATOL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_request_solver(
    request: Option<&mut KinographRequest>,
    solver: *const c_char,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let request = given(request, "request")?;
        // SAFETY: a text of the caller.
        let solver: kinograph::sampler::Solver = unsafe { text(solver, "solver") }?.parse()?;
        request.change(|r| r.solver(solver));
        Ok(())
    })
}

/// How the steps are spaced: `linear`, `linear-quadratic`, `linear-quadratic:250`, `shifted:3` or `explicit:0,0.25,0.5,1`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_request_schedule(
    request: Option<&mut KinographRequest>,
    schedule: *const c_char,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let request = given(request, "request")?;
        // SAFETY: a text of the caller.
        let schedule: kinograph::schedule::Schedule = unsafe { text(schedule, "schedule") }?.parse()?;
        request.change(|r| r.schedule(schedule));
        Ok(())
    })
}

/// Classifier-free guidance: a scale such as `3`, or `7.5@0.1-0.8` for one that holds in an interval of time. `1` is none, and
/// halves the work.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_request_guidance(
    request: Option<&mut KinographRequest>,
    guidance: *const c_char,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let request = given(request, "request")?;
        // SAFETY: a text of the caller.
        let guidance: kinograph::guidance::Guidance = unsafe { text(guidance, "guidance") }?.parse()?;
        request.change(|r| r.guidance(guidance));
        Ok(())
    })
}

/// Starts from this noise, `f32` of [channels, frames, rows, columns] in latent sizes, instead of the seed's.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_request_latents(
    request: Option<&mut KinographRequest>,
    noise: Option<&KinographTensor>,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let request = given(request, "request")?;
        let noise = given(noise, "noise")?.0.as_ref().clone();
        request.change(|r| r.latents(noise));
        Ok(())
    })
}

/// The decoder's tiles along time, in latent frames, and how much of each the next shares: at most half.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_request_tiles(
    request: Option<&mut KinographRequest>,
    size: usize,
    overlap: usize,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let request = given(request, "request")?;
        let tiles = Tiles::new(size, overlap)?;
        request.change(|r| r.tiles(tiles));
        Ok(())
    })
}

/// Decodes each frame in tiles of so many latent rows and columns, which changes the result a little.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_request_spatial_tiles(
    request: Option<&mut KinographRequest>,
    size: usize,
    overlap: usize,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let request = given(request, "request")?;
        let tiles = Tiles::new(size, overlap)?;
        request.change(|r| r.spatial_tiles(tiles));
        Ok(())
    })
}

/// The most bytes that the job may need, weights included. It chooses how to stay below, or fails before any work.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_request_memory_limit(
    request: Option<&mut KinographRequest>,
    bytes: u64,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let request = given(request, "request")?;
        request.change(|r| r.memory_limit(bytes));
        Ok(())
    })
}

/// Keeps the state of sampling in this file: after a step when `every` seconds have passed since the last time, and at the end of
/// sampling. When the file is there, the job goes on from it; a file of another job is an error. The caller removes it when the
/// job is done.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_request_checkpoint(
    request: Option<&mut KinographRequest>,
    path: *const c_char,
    every: f64,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let request = given(request, "request")?;
        // SAFETY: a text of the caller.
        let path = unsafe { text(path, "path") }?;
        let every = Duration::try_from_secs_f64(every)
            .map_err(|e| Failure::argument(format!("`every` is {every}: {e}")))?;
        request.change(|r| r.checkpoint(path, every));
        Ok(())
    })
}

/// Calls the preview callback at every so manyth step of sampling, when the package has a preview; 0 is never.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_request_preview_every(
    request: Option<&mut KinographRequest>,
    steps: usize,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let request = given(request, "request")?;
        request.change(|r| r.preview_every(steps));
        Ok(())
    })
}

/// A handle by which another thread may cancel the job.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_request_control(
    request: Option<&mut KinographRequest>,
    control: Option<&KinographControl>,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let request = given(request, "request")?;
        let control = given(control, "control")?.0.clone();
        request.change(|r| r.control(control));
        Ok(())
    })
}

/// Frees a request; null is fine. Jobs that run from it must have ended.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_request_free(request: Option<Box<KinographRequest>>) {
    free(request);
}
