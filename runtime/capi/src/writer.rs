//! Files written frame by frame.

use std::ffi::c_char;
use std::mem::MaybeUninit;

use kinograph::media::{self, FrameRate, FrameSink, WriteOptions};

use crate::failure::{Failure, KinographError, free, guard};
use crate::pointers::{bytes, give, given, slot, text};
use crate::status::KinographStatus;

/// A file of frames that is being written, for frames as a callback gives them. One thread at a time.
pub struct KinographWriter(Option<Box<dyn FrameSink>>);

/// Begins a file for frames of that size; its ending chooses the format, see `kinograph_video_write`. Nothing appears under that
/// name before `kinograph_writer_finish`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_writer_new(
    path: *const c_char,
    width: usize,
    height: usize,
    fps: u32,
    fps_denominator: u32,
    writer: Option<&mut MaybeUninit<*mut KinographWriter>>,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let slot = slot(writer, "writer")?;
        // SAFETY: a text of the caller.
        let path = unsafe { text(path, "path") }?;
        let rate = FrameRate::new(fps, fps_denominator.max(1))?;
        let sink = media::create(path.as_ref(), width, height, rate, &WriteOptions::default())?;
        give(slot, KinographWriter(Some(sink)));
        Ok(())
    })
}

/// Adds a frame: red, green and blue of each pixel, rows from the top, without gaps. After a failure the writer may only be
/// freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_writer_frame(
    writer: Option<&mut KinographWriter>,
    data: *const u8,
    size: usize,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let writer = given(writer, "writer")?;
        // SAFETY: an array of the caller.
        let data = unsafe { bytes(data, size, "data") }?;
        let mut sink = writer.0.take().ok_or_else(finished)?;
        sink.frame(data)?;
        writer.0 = Some(sink);
        Ok(())
    })
}

/// Completes the file and gives it its name. The writer may then only be freed.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_writer_finish(
    writer: Option<&mut KinographWriter>,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        given(writer, "writer")?.0.take().ok_or_else(finished)?.finish()?;
        Ok(())
    })
}

fn finished() -> Failure {
    Failure::argument("the writer is finished, or failed before: take a new one")
}

/// Frees a writer; null is fine. One that was not finished leaves no file behind.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_writer_free(writer: Option<Box<KinographWriter>>) {
    free(writer);
}
