//! What a job made.

use std::ffi::c_char;
use std::mem::{MaybeUninit, size_of};
use std::sync::Arc;
use std::time::Duration;

use kinograph::media::{self, FrameRate, Frames, WriteOptions};
use kinograph::{HostTensor, Stage};

use crate::callbacks::KinographStage;
use crate::failure::{Failure, KinographError, free, guard, guard_value};
use crate::pointers::{Versioned, fill, give, given, slot, text};
use crate::status::KinographStatus;
use crate::tensor::KinographTensor;

/// What a job made: frames, latents, and how long it took. Never changes; several threads may read it at once.
#[derive(Debug)]
pub struct KinographVideo {
    pub(crate) frames: Option<Frames>,
    pub(crate) latents: Option<Arc<HostTensor>>,
    pub(crate) timings: Vec<(Stage, Duration)>,
}

/// Frames of one size, one after another.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographFrames {
    /// The size of this struct.
    pub struct_size: usize,
    /// How many frames.
    pub count: usize,
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// Red, green and blue of each pixel, rows from the top, without gaps; null without frames.
    pub data: *const u8,
    /// Bytes of it: 3 times width times height times count.
    pub size: usize,
}

// SAFETY: `repr(C)`, the size first, and zeros are no frames.
unsafe impl Versioned for KinographFrames {}

impl KinographFrames {
    pub(crate) fn of(frames: Option<&Frames>) -> Self {
        let (count, width, height) = frames.map_or((0, 0, 0), |f| (f.len(), f.width(), f.height()));
        let data = frames.map_or(&[][..], Frames::data);
        let start = if data.is_empty() { std::ptr::null() } else { data.as_ptr() };
        Self { struct_size: size_of::<Self>(), count, width, height, data: start, size: data.len() }
    }
}

/// Says which frames a video has; set `frames->struct_size` first. `frames->data` lives as long as the video. A job that
/// streamed its frames has none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_video_frames(
    video: Option<&KinographVideo>,
    frames: *mut KinographFrames,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let video = given(video, "video")?;
        // SAFETY: a struct of the caller, or null.
        unsafe { fill(frames, KinographFrames::of(video.frames.as_ref()), "frames") }
    })
}

/// The latents at the end of sampling, `f32` of [1, channels, frames, rows, columns]; free them on their own. What was decoded
/// from latents of the caller has none, which is `KINOGRAPH_STATUS_ARGUMENT`.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_video_latents(
    video: Option<&KinographVideo>,
    latents: Option<&mut MaybeUninit<*mut KinographTensor>>,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let slot = slot(latents, "latents")?;
        let kept = given(video, "video")?.latents.clone();
        let kept =
            kept.ok_or_else(|| Failure::argument("this video was not sampled, so it has no latents"))?;
        give(slot, KinographTensor(kept));
        Ok(())
    })
}

/// Seconds that a stage took; `stage` is a `KinographStage`. Negative when the job had no such stage.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_video_seconds(video: Option<&KinographVideo>, stage: i32) -> f64 {
    let of_stage = |(known, time): &(Stage, Duration)| {
        (KinographStage::of(*known) as i32 == stage).then_some(time.as_secs_f64())
    };
    guard_value(-1.0, || video.and_then(|video| video.timings.iter().find_map(of_stage)).unwrap_or(-1.0))
}

/// Writes the frames to a file whose ending chooses the format: `.mp4`, `.gif`, `.png` (one frame, or a numbered set
/// `name-0001.png` ...) or `.y4m`, as far as this build has them. `fps / fps_denominator` frames a second; a denominator of 0
/// is 1. Files appear only when they are complete.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_video_write(
    video: Option<&KinographVideo>,
    path: *const c_char,
    fps: u32,
    fps_denominator: u32,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let frames = &given(video, "video")?.frames;
        // SAFETY: a text of the caller.
        let path = unsafe { text(path, "path") }?;
        let frames = frames.as_ref().ok_or_else(|| Failure::argument("this video kept no frames"))?;
        let rate = FrameRate::new(fps, fps_denominator.max(1))?;
        media::write(path.as_ref(), frames, rate, &WriteOptions::default())?;
        Ok(())
    })
}

/// Frees a video with its frames; null is fine.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_video_free(video: Option<Box<KinographVideo>>) {
    free(video);
}
