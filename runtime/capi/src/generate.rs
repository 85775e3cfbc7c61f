//! Jobs from prompts to frames.

use std::mem::MaybeUninit;
use std::sync::Arc;

use kinograph::media::Frames;
use kinograph::{Generated, Request};

use crate::callbacks::{KinographCallbacks, Listener};
use crate::failure::{Failure, KinographError, guard};
use crate::model::KinographModel;
use crate::pointers::{MOST_ENTRIES, array, give, given, slot, slots};
use crate::request::KinographRequest;
use crate::status::KinographStatus;
use crate::tensor::KinographTensor;
use crate::video::KinographVideo;

/// Makes a video, or an image when it has one frame, in this thread. `callbacks` may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_model_generate(
    model: Option<&KinographModel>,
    request: Option<&KinographRequest>,
    callbacks: *const KinographCallbacks,
    video: Option<&mut MaybeUninit<*mut KinographVideo>>,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let slot = slot(video, "video")?;
        let (model, request) = (given(model, "model")?, given(request, "request")?);
        // SAFETY: callbacks of the caller, or null.
        let listener = unsafe { Listener::new(callbacks) }?;
        let mut data = Vec::new();
        let mut made = run(model, request, &listener, |frame| data.extend_from_slice(frame))?;
        let (width, height) = size(model, request);
        let count = data.len() / (3 * width * height).max(1);
        made.frames = Some(Frames::new(data, count, height, width)?);
        give(slot, made);
        Ok(())
    })
}

/// Makes a video whose frames go to the frame callback alone: no more than a tile of them is in memory. `video` has latents and
/// timings, and no frames.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_model_stream(
    model: Option<&KinographModel>,
    request: Option<&KinographRequest>,
    callbacks: *const KinographCallbacks,
    video: Option<&mut MaybeUninit<*mut KinographVideo>>,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let slot = slot(video, "video")?;
        let (model, request) = (given(model, "model")?, given(request, "request")?);
        // SAFETY: callbacks of the caller, or null.
        let listener = unsafe { Listener::new(callbacks) }?;
        give(slot, run(model, request, &listener, |_| ())?);
        Ok(())
    })
}

/// Makes several videos as one job: `requests` and `videos` have `count` entries. The requests may differ in prompt, negative
/// prompt, seed and noise; checkpoint, previews and control are the first one's. The frame callback hears nothing. Where it
/// fails, all of `videos` are null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_model_generate_batch(
    model: Option<&KinographModel>,
    requests: *const *const KinographRequest,
    count: usize,
    callbacks: *const KinographCallbacks,
    videos: *mut *mut KinographVideo,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        // SAFETY: room of the caller.
        let slots = unsafe { slots(videos, count, "videos") }?;
        let model = given(model, "model")?;
        // SAFETY: an array of the caller, and its objects.
        let requests = unsafe { all(requests, count) }?;
        // SAFETY: callbacks of the caller, or null.
        let listener = unsafe { Listener::new(callbacks) }?;
        let made = model.model.generate_batch(&requests, |p| listener.progress(&p));
        for (slot, video) in slots.iter_mut().zip(listener.outcome(made)?) {
            give(slot, whole(video));
        }
        Ok(())
    })
}

/// Samples without decoding: the latents that `kinograph_model_generate` would decode.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_model_sample(
    model: Option<&KinographModel>,
    request: Option<&KinographRequest>,
    callbacks: *const KinographCallbacks,
    latents: Option<&mut MaybeUninit<*mut KinographTensor>>,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let slot = slot(latents, "latents")?;
        let (model, request) = (given(model, "model")?, given(request, "request")?);
        // SAFETY: callbacks of the caller, or null.
        let listener = unsafe { Listener::new(callbacks) }?;
        let made = model.model.sample(&request.request, |p| listener.progress(&p));
        give(slot, KinographTensor(Arc::new(listener.outcome(made)?)));
        Ok(())
    })
}

/// Runs a request; each frame goes to the callback and to `keep`.
fn run(
    model: &KinographModel,
    request: &KinographRequest,
    listener: &Listener,
    mut keep: impl FnMut(&[u8]),
) -> Result<KinographVideo, Failure> {
    let size = size(model, request);
    let take = |frame: &[u8]| {
        keep(frame);
        listener.frame(frame, size)
    };
    let made = model.model.generate_to(&request.request, take, |p| listener.progress(&p));
    let made = listener.outcome(made)?;
    Ok(KinographVideo { frames: None, latents: Some(Arc::new(made.latents)), timings: made.timings })
}

/// Width and height of the frames of a request.
fn size(model: &KinographModel, request: &KinographRequest) -> (usize, usize) {
    let video = &model.model.manifest().video;
    request.size.unwrap_or((video.width, video.height))
}

fn whole(made: Generated) -> KinographVideo {
    let Generated { frames, latents, timings, .. } = made;
    KinographVideo { frames: Some(frames), latents: Some(Arc::new(latents)), timings }
}

/// The requests of a batch.
///
/// # Safety
/// Null, or an array of so many pointers, each null or of a request that nobody changes.
unsafe fn all(requests: *const *const KinographRequest, count: usize) -> Result<Vec<Request>, Failure> {
    // SAFETY: as promised by the caller.
    let requests = unsafe { array(requests, count, MOST_ENTRIES, "requests") }?;
    let one = |(position, pointer): (usize, &*const KinographRequest)| {
        // SAFETY: null, or a request of the caller.
        let request = unsafe { pointer.as_ref() };
        Ok(given(request, &format!("requests[{position}]"))?.request.clone())
    };
    requests.iter().enumerate().map(one).collect()
}
