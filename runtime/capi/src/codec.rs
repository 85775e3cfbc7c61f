//! The autoencoder alone.

use std::mem::MaybeUninit;
use std::sync::Arc;

use kinograph::media::{FrameRate, FrameSource, Frames, MediaError};
use kinograph::tiling::Tiles;
use kinograph::{CodecOptions, HostTensor};

use crate::callbacks::{KinographCallbacks, Listener};
use crate::control::KinographControl;
use crate::failure::{Failure, KinographError, guard};
use crate::model::KinographModel;
use crate::pointers::{Versioned, bytes, give, given, read, slot};
use crate::status::KinographStatus;
use crate::tensor::KinographTensor;
use crate::video::{KinographFrames, KinographVideo};

/// How the autoencoder is to work. All zeros but the size mean: as the package says.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographCodecOptions {
    /// The size of this struct.
    pub struct_size: usize,
    /// Tiles along time, in frames of what is read: of video for the encoder, of the latent for the decoder. 0: the package's.
    pub tile_size: usize,
    /// How much of a tile the next shares: at most half.
    pub tile_overlap: usize,
    /// Tiles along rows and columns, in latent positions. 0: the whole frame.
    pub spatial_size: usize,
    /// How much of a tile the next shares: at most half.
    pub spatial_overlap: usize,
    /// Decoding keeps so many columns of each frame, from the left. 0: all.
    pub width: usize,
    /// Decoding keeps so many rows of each frame, from the top. 0: all.
    pub height: usize,
    /// Decoding keeps so many frames. 0: all.
    pub frames: usize,
    /// The most bytes that the job may need, weights included. 0: no limit.
    pub memory_limit: u64,
    /// A handle by which another thread may cancel the job; may be null.
    pub control: *const KinographControl,
}

// SAFETY: `repr(C)`, the size first, and zeros are nothing chosen.
unsafe impl Versioned for KinographCodecOptions {}

/// Encodes frames to latents, `f32` of [1, channels, frames, rows, columns]. Set `frames->struct_size`; `options` and
/// `callbacks` may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_model_encode(
    model: Option<&KinographModel>,
    frames: *const KinographFrames,
    options: *const KinographCodecOptions,
    callbacks: *const KinographCallbacks,
    latents: Option<&mut MaybeUninit<*mut KinographTensor>>,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let slot = slot(latents, "latents")?;
        let model = &given(model, "model")?.model;
        // SAFETY: a struct of the caller with its bytes, or null.
        let mut source = unsafe { Source::new(frames) }?;
        // SAFETY: a struct of the caller, or null.
        let (options, _) = unsafe { codec_options(options) }?;
        // SAFETY: callbacks of the caller, or null.
        let listener = unsafe { Listener::new(callbacks) }?;
        let made = model.encode(&mut source, &options, |p| listener.progress(&p));
        give(slot, KinographTensor(Arc::new(listener.outcome(made)?.latents)));
        Ok(())
    })
}

/// Decodes latents, `f32` of [1, channels, frames, rows, columns], to frames. `options` and `callbacks` may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_model_decode(
    model: Option<&KinographModel>,
    latents: Option<&KinographTensor>,
    options: *const KinographCodecOptions,
    callbacks: *const KinographCallbacks,
    video: Option<&mut MaybeUninit<*mut KinographVideo>>,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let slot = slot(video, "video")?;
        let (model, latents) = (&given(model, "model")?.model, &given(latents, "latents")?.0);
        // SAFETY: a struct of the caller, or null.
        let (options, size) = unsafe { codec_options(options) }?;
        // SAFETY: callbacks of the caller, or null.
        let listener = unsafe { Listener::new(callbacks) }?;
        let compression = model.manifest().latent.compression;
        let size = size.unwrap_or_else(|| whole_size(latents, compression));
        let mut data = Vec::new();
        let take = |frame: &[u8]| {
            data.extend_from_slice(frame);
            listener.frame(frame, size)
        };
        listener.outcome(model.decode(latents, &options, take, |p| listener.progress(&p)))?;
        let count = data.len() / (3 * size.0 * size.1).max(1);
        let frames = Some(Frames::new(data, count, size.1, size.0)?);
        give(slot, KinographVideo { frames, latents: None, timings: Vec::new() });
        Ok(())
    })
}

/// Width and height of what latents stand for; the decoder refuses those of another rank.
fn whole_size(latents: &HostTensor, (_, rows, columns): (usize, usize, usize)) -> (usize, usize) {
    match latents.desc().shape[..] {
        [.., h, w] => (w.saturating_mul(columns), h.saturating_mul(rows)),
        _ => (0, 0),
    }
}

/// The options as the runtime takes them, and the size to keep, where chosen.
///
/// # Safety
/// Null, or a struct whose size and control are as it says.
unsafe fn codec_options(
    options: *const KinographCodecOptions,
) -> Result<(CodecOptions, Option<(usize, usize)>), Failure> {
    let mut made = CodecOptions::new();
    // SAFETY: as promised by the caller.
    let Some(given) = unsafe { read(options, "options") }? else { return Ok((made, None)) };
    if given.tile_size > 0 {
        made = made.tiles(Tiles::new(given.tile_size, given.tile_overlap)?);
    }
    if given.spatial_size > 0 {
        made = made.spatial_tiles(Tiles::new(given.spatial_size, given.spatial_overlap)?);
    }
    if given.memory_limit > 0 {
        made = made.memory_limit(given.memory_limit);
    }
    if given.frames > 0 {
        made = made.frames(given.frames);
    }
    // SAFETY: a control of the caller, or null.
    if let Some(control) = unsafe { given.control.as_ref() } {
        made = made.control(control.0.clone());
    }
    match (given.width, given.height) {
        (0, 0) => Ok((made, None)),
        (0, _) | (_, 0) => Err(Failure::argument("`width` and `height` are chosen together")),
        size => Ok((made.size(size.0, size.1), Some(size))),
    }
}

/// Frames of the caller, one after another.
struct Source<'a> {
    width: usize,
    height: usize,
    count: usize,
    left: std::slice::ChunksExact<'a, u8>,
}

impl Source<'_> {
    /// # Safety
    /// Null, or frames whose size and bytes are as they say, for as long as the source lives.
    unsafe fn new(frames: *const KinographFrames) -> Result<Self, Failure> {
        // SAFETY: as promised by the caller.
        let KinographFrames { count, width, height, data, size, .. } =
            given(unsafe { read(frames, "frames") }?, "frames")?;
        let frame = width.checked_mul(height).and_then(|n| n.checked_mul(3)).unwrap_or(usize::MAX);
        if frame == 0 || frame.checked_mul(count) != Some(size) {
            let message = format!("{count} frames of {width}x{height} do not have {size} bytes");
            return Err(Failure::argument(message));
        }
        // SAFETY: as promised by the caller.
        let data = unsafe { bytes(data, size, "frames.data") }?;
        Ok(Self { width, height, count, left: data.chunks_exact(frame) })
    }
}

impl FrameSource for Source<'_> {
    fn width(&self) -> usize {
        self.width
    }

    fn height(&self) -> usize {
        self.height
    }

    fn rate(&self) -> Option<FrameRate> {
        None
    }

    fn frames(&self) -> Option<usize> {
        Some(self.count)
    }

    fn next_frame(&mut self, rgb: &mut Vec<u8>) -> Result<bool, MediaError> {
        let Some(frame) = self.left.next() else { return Ok(false) };
        rgb.clear();
        rgb.extend_from_slice(frame);
        Ok(true)
    }
}
