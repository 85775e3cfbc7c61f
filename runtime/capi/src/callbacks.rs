//! What a host hears of a running job.

use std::cell::Cell;
use std::ffi::c_void;
use std::mem::size_of;
use std::ops::ControlFlow;

use kinograph::media::{Frames, MediaError};
use kinograph::{Error, Progress, Stage};

use crate::failure::Failure;
use crate::pointers::{Versioned, read};
use crate::video::KinographFrames;

/// A stage of a job.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KinographStage {
    /// One that this header does not know.
    Other = 0,
    /// The text encoders; a step is one encoder.
    Text = 1,
    /// The sampler; a step is one step of the schedule, or of an adaptive solver a thousandth of the way.
    Sample = 2,
    /// The encoder of the autoencoder; a step is one tile.
    Encode = 3,
    /// The decoder of the autoencoder; a step is one tile.
    Decode = 4,
}

impl KinographStage {
    pub(crate) fn of(stage: Stage) -> Self {
        match stage {
            Stage::Text => Self::Text,
            Stage::Sample => Self::Sample,
            Stage::Encode => Self::Encode,
            Stage::Decode => Self::Decode,
            _ => Self::Other,
        }
    }
}

/// How far a job is. Read `struct_size` before fields that later headers add.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographProgress {
    /// The size of this struct as the library knows it.
    pub struct_size: usize,
    /// A `KinographStage`.
    pub stage: i32,
    /// Zero.
    pub reserved: i32,
    /// Steps of the stage that are done.
    pub step: usize,
    /// Steps of the stage; 0 when nobody knows.
    pub of: usize,
    /// Seconds since the job began.
    pub elapsed: f64,
    /// Seconds that the rest of the job will take at the present pace; negative when that is not known.
    pub remaining: f64,
}

/// A finished frame, for the time of the call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographFrame {
    /// The size of this struct as the library knows it.
    pub struct_size: usize,
    /// Its position in the video, from 0.
    pub index: usize,
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// Red, green and blue of each pixel, rows from the top, without gaps.
    pub data: *const u8,
    /// Bytes of it: 3 times width times height.
    pub size: usize,
}

/// What a host hears of a job, and by which it may end it. All are called in the thread of the job, while it runs; what they are
/// shown lives until they return. Any answer but 0 ends the job with `KINOGRAPH_STATUS_CANCELLED`. They may use other
/// objects, but must not free those of the job or change its request, throw, or leave by `longjmp`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographCallbacks {
    /// The size of this struct.
    pub struct_size: usize,
    /// Given to each callback as it is.
    pub user: *mut c_void,
    /// At the start of each stage and after each of its steps; may be null.
    pub progress: Option<unsafe extern "C" fn(user: *mut c_void, progress: *const KinographProgress) -> i32>,
    /// For each frame as soon as it is decoded, in order; may be null.
    pub frame: Option<unsafe extern "C" fn(user: *mut c_void, frame: *const KinographFrame) -> i32>,
    /// A small picture of the latent, one pixel a latent position and one frame a latent frame, before the progress of the
    /// steps that `kinograph_request_preview_every` chose; may be null.
    pub preview: Option<unsafe extern "C" fn(user: *mut c_void, preview: *const KinographFrames) -> i32>,
}

// SAFETY: `repr(C)`, the size first, and zeros are no callbacks.
unsafe impl Versioned for KinographCallbacks {}

const NOBODY: KinographCallbacks = KinographCallbacks {
    struct_size: size_of::<KinographCallbacks>(),
    user: std::ptr::null_mut(),
    progress: None,
    frame: None,
    preview: None,
};

/// The callbacks of one job.
pub(crate) struct Listener {
    callbacks: KinographCallbacks,
    /// Set when a callback ended the job.
    ended: Cell<bool>,
    frames: Cell<usize>,
}

impl Listener {
    /// # Safety
    /// Null, or callbacks that may be called for as long as the listener lives.
    pub(crate) unsafe fn new(callbacks: *const KinographCallbacks) -> Result<Self, Failure> {
        // SAFETY: as promised by the caller.
        let callbacks = unsafe { read(callbacks, "callbacks") }?.unwrap_or(NOBODY);
        Ok(Self { callbacks, ended: Cell::new(false), frames: Cell::new(0) })
    }

    /// Tells how far the job is, and goes on or not.
    pub(crate) fn progress(&self, progress: &Progress) -> ControlFlow<()> {
        let seen = progress.preview.as_ref().is_none_or(|preview| self.preview(preview));
        let told = seen && self.tell(progress);
        if told { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn tell(&self, progress: &Progress) -> bool {
        let Some(call) = self.callbacks.progress else { return true };
        let told = KinographProgress {
            struct_size: size_of::<KinographProgress>(),
            stage: KinographStage::of(progress.stage) as i32,
            reserved: 0,
            step: progress.step,
            of: progress.of,
            elapsed: progress.elapsed.as_secs_f64(),
            remaining: progress.remaining.map_or(-1.0, |left| left.as_secs_f64()),
        };
        // SAFETY: the host's function with its own `user`, in the thread of the job, as the header says.
        self.answer(unsafe { call(self.callbacks.user, &raw const told) })
    }

    fn preview(&self, preview: &Frames) -> bool {
        let Some(call) = self.callbacks.preview else { return true };
        let shown = KinographFrames::of(Some(preview));
        // SAFETY: as for the progress; the frames live until the call returns.
        self.answer(unsafe { call(self.callbacks.user, &raw const shown) })
    }

    /// Gives a frame on. An error ends the job, and [`Self::outcome`] then says that it was cancelled.
    pub(crate) fn frame(&self, rgb: &[u8], (width, height): (usize, usize)) -> Result<(), MediaError> {
        let index = self.frames.replace(self.frames.get() + 1);
        let Some(call) = self.callbacks.frame else { return Ok(()) };
        let shown = KinographFrame {
            struct_size: size_of::<KinographFrame>(),
            index,
            width,
            height,
            data: rgb.as_ptr(),
            size: rgb.len(),
        };
        // SAFETY: as for the progress; the bytes live until the call returns.
        match self.answer(unsafe { call(self.callbacks.user, &raw const shown) }) {
            true => Ok(()),
            false => Err(MediaError::NoFrames { path: std::path::PathBuf::new() }),
        }
    }

    fn answer(&self, answer: i32) -> bool {
        self.ended.set(self.ended.get() || answer != 0);
        answer == 0
    }

    /// What the job gave, unless a callback ended it.
    pub(crate) fn outcome<T>(&self, made: Result<T, Error>) -> Result<T, Failure> {
        if made.is_err() && self.ended.get() {
            return Err(Error::Cancelled.into());
        }
        Ok(made?)
    }
}
