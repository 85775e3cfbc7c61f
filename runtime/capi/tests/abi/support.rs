//! Calls with places for their results, checked for what every call promises.

use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};

use kinograph_capi::*;

pub(crate) type ErrorSlot<'a> = Option<&'a mut MaybeUninit<*mut KinographError>>;
pub(crate) type Slot<'a, T> = Option<&'a mut MaybeUninit<*mut T>>;
/// What a call answered that failed.
pub(crate) type Failed = (KinographStatus, String);

/// A call that makes nothing.
#[track_caller]
pub(crate) fn call(call: impl FnOnce(ErrorSlot<'_>) -> KinographStatus) -> Result<(), Failed> {
    // Something that must be overwritten, as C would have it there.
    let mut error = MaybeUninit::new(std::ptr::dangling_mut::<KinographError>());
    let status = call(Some(&mut error));
    // SAFETY: it was initialised above.
    let error = unsafe { error.assume_init() };
    if status == KinographStatus::Ok {
        assert!(error.is_null(), "a success with an error");
        return Ok(());
    }
    assert!(!error.is_null() && error != std::ptr::dangling_mut(), "{status:?} without an error");
    // SAFETY: a call that fails gives an error object to its caller.
    let error = unsafe { Box::from_raw(error) };
    assert_eq!(kinograph_error_status(Some(&error)), status);
    // SAFETY: a text of the error, which is alive.
    let message =
        unsafe { CStr::from_ptr(kinograph_error_message(Some(&error))) }.to_str().unwrap().to_owned();
    assert!(!message.is_empty(), "{status:?} without words");
    kinograph_error_free(Some(error));
    Err((status, message))
}

/// A call that makes an object. The box frees it as the header's function does.
#[track_caller]
pub(crate) fn make<T>(
    work: impl FnOnce(Slot<'_, T>, ErrorSlot<'_>) -> KinographStatus,
) -> Result<Box<T>, Failed> {
    let mut made = MaybeUninit::new(std::ptr::dangling_mut::<T>());
    let done = call(|error| work(Some(&mut made), error));
    // SAFETY: it was initialised above.
    let made = unsafe { made.assume_init() };
    match done {
        Ok(()) => {
            assert!(!made.is_null(), "a success without an object");
            // SAFETY: the object was made for the caller.
            Ok(unsafe { Box::from_raw(made) })
        }
        Err(failed) => {
            assert!(made.is_null(), "a failure with an object: {failed:?}");
            Err(failed)
        }
    }
}

/// What a call fails with.
#[track_caller]
pub(crate) fn refusal<T>(result: Result<T, Failed>) -> Failed {
    match result {
        Ok(_) => panic!("it must be refused"),
        Err(failed) => failed,
    }
}

pub(crate) const NOT_UTF8: &CStr = c"ab\xff";

pub(crate) fn runtime() -> Box<KinographRuntime> {
    make(|out, error| kinograph_runtime_new(out, error)).unwrap()
}

pub(crate) fn options() -> KinographDeviceOptions {
    KinographDeviceOptions {
        struct_size: size_of::<KinographDeviceOptions>(),
        threads: 1,
        options: null(),
        option_count: 0,
        cache: null(),
    }
}

pub(crate) fn device(threads: usize) -> Box<KinographDevice> {
    let options = KinographDeviceOptions { threads, ..options() };
    // SAFETY: texts and structs are alive.
    make(|out, error| unsafe {
        kinograph_runtime_open(Some(&runtime()), c"cpu".as_ptr(), &raw const options, out, error)
    })
    .unwrap()
}

pub(crate) fn flipbook(threads: usize) -> Box<KinographModel> {
    let device = device(threads);
    make(|out, error| kinograph_model_load_flipbook(Some(&device), out, error)).unwrap()
}

/// A request that is done quickly.
pub(crate) fn request(prompt: &CStr, seed: u64, frames: usize) -> Box<KinographRequest> {
    // SAFETY: the text is alive.
    let mut request =
        make(|out, error| unsafe { kinograph_request_new(prompt.as_ptr(), out, error) }).unwrap();
    call(|error| kinograph_request_seed(Some(&mut request), seed, error)).unwrap();
    call(|error| kinograph_request_frames(Some(&mut request), frames, error)).unwrap();
    call(|error| kinograph_request_steps(Some(&mut request), 2, error)).unwrap();
    request
}

/// A setter of the request that takes a text.
pub(crate) type TextSetter =
    unsafe extern "C" fn(Option<&mut KinographRequest>, *const c_char, ErrorSlot<'_>) -> KinographStatus;

pub(crate) fn set_text(request: &mut KinographRequest, setter: TextSetter, text: &CStr) {
    // SAFETY: the text is alive.
    call(|error| unsafe { setter(Some(request), text.as_ptr(), error) }).unwrap();
}

pub(crate) fn generate(
    model: &KinographModel,
    request: &KinographRequest,
    callbacks: *const KinographCallbacks,
) -> Result<Box<KinographVideo>, Failed> {
    // SAFETY: callbacks are null or alive.
    make(|out, error| unsafe { kinograph_model_generate(Some(model), Some(request), callbacks, out, error) })
}

/// Frames, width, height and bytes of a video.
pub(crate) fn frames(video: &KinographVideo) -> (usize, usize, usize, Vec<u8>) {
    let mut frames = KinographFrames {
        struct_size: size_of::<KinographFrames>(),
        count: 99,
        width: 99,
        height: 99,
        data: null(),
        size: 99,
    };
    // SAFETY: the struct is alive.
    call(|error| unsafe { kinograph_video_frames(Some(video), &raw mut frames, error) }).unwrap();
    let data = match frames.data.is_null() {
        true => Vec::new(),
        // SAFETY: bytes of the video, which is alive.
        false => unsafe { std::slice::from_raw_parts(frames.data, frames.size) }.to_vec(),
    };
    (frames.count, frames.width, frames.height, data)
}

pub(crate) fn tensor_f32(shape: &[usize], values: &[f32]) -> Box<KinographTensor> {
    let dtype = KinographDtype::F32 as i32;
    // SAFETY: shape and values are alive, and as long as is said.
    make(|out, error| unsafe {
        let (shape, rank) = (shape.as_ptr(), shape.len());
        kinograph_tensor_new(dtype, shape, rank, values.as_ptr().cast(), size_of_val(values), out, error)
    })
    .unwrap()
}

/// Shape and elements of a tensor of f32.
pub(crate) fn values(tensor: &KinographTensor) -> (Vec<usize>, Vec<f32>) {
    let mut view = KinographTensorView {
        struct_size: size_of::<KinographTensorView>(),
        dtype: -1,
        rank: 0,
        shape: null(),
        data: null(),
        size: 0,
    };
    // SAFETY: the struct is alive; its pointers are of the tensor, which is alive.
    unsafe {
        call(|error| kinograph_tensor_view(Some(tensor), &raw mut view, error)).unwrap();
        assert_eq!(view.dtype, KinographDtype::F32 as i32);
        let shape = std::slice::from_raw_parts(view.shape, view.rank as usize).to_vec();
        (shape, std::slice::from_raw_parts(view.data.cast::<f32>(), view.size / 4).to_vec())
    }
}

pub(crate) fn callbacks() -> KinographCallbacks {
    KinographCallbacks {
        struct_size: size_of::<KinographCallbacks>(),
        user: null_mut(),
        progress: None,
        frame: None,
        preview: None,
    }
}
