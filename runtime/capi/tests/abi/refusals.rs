//! What a caller may get wrong and that can be seen: each is an error with a status of its own.

use std::ffi::{CStr, c_char};
use std::ptr::{null, null_mut};

use kinograph_capi::KinographStatus as S;
use kinograph_capi::*;

use crate::support::{
    ErrorSlot, Failed, NOT_UTF8, Slot, TextSetter, call, callbacks, device, flipbook, make, options, refusal,
    request, runtime, tensor_f32,
};

fn open(id: *const c_char, options: *const KinographDeviceOptions) -> Result<Box<KinographDevice>, Failed> {
    let runtime = runtime();
    // SAFETY: null, or alive.
    make(|out, error| unsafe { kinograph_runtime_open(Some(&runtime), id, options, out, error) })
}

#[test]
fn devices_are_listed_and_others_refused() {
    let runtime = runtime();
    let devices = make(|out, error| kinograph_runtime_devices(Some(&runtime), out, error)).unwrap();
    drop(runtime);
    let devices = Some(&*devices);
    // SAFETY: texts of the list, which is alive.
    let text = |pointer| unsafe { CStr::from_ptr(pointer) };
    let count = kinograph_device_list_count(devices);
    let cpu = (0..count).find(|&i| text(kinograph_device_list_id(devices, i)) == c"cpu").unwrap();
    assert!(!text(kinograph_device_list_name(devices, cpu)).is_empty());
    let facts: Vec<_> = (0..kinograph_device_list_fact_count(devices, cpu))
        .map(|fact| {
            let key = text(kinograph_device_list_fact_key(devices, cpu, fact));
            (key, text(kinograph_device_list_fact_value(devices, cpu, fact)))
        })
        .collect();
    assert!(facts.iter().any(|(key, value)| *key == c"simd" && !value.is_empty()), "{facts:?}");
    assert!(kinograph_device_list_id(devices, count).is_null());
    assert!(kinograph_device_list_fact_key(devices, cpu, facts.len()).is_null());
    assert!(kinograph_device_list_id(None, 0).is_null());
    assert_eq!(kinograph_device_list_count(None), 0);

    let (status, message) = refusal(open(c"gpu:7".as_ptr(), null()));
    assert_eq!(status, S::UnknownDevice);
    assert!(
        message.contains("there is no device `gpu:7`; there are: ") && message.contains("cpu"),
        "{message}"
    );
    assert_eq!(refusal(open(NOT_UTF8.as_ptr(), null())).0, S::Utf8);
    assert_eq!(refusal(open(null(), null())).0, S::Null);

    let with = |name: *const c_char, value: *const c_char| {
        let entries = [KinographOption { name, value }];
        let options = KinographDeviceOptions { options: entries.as_ptr(), option_count: 1, ..options() };
        open(c"cpu".as_ptr(), &raw const options)
    };
    with(c"simd".as_ptr(), c"plain".as_ptr()).unwrap();
    assert_eq!(refusal(with(c"colour".as_ptr(), c"red".as_ptr())).0, S::DeviceOpen);
    assert_eq!(refusal(with(c"simd".as_ptr(), c"abacus".as_ptr())).0, S::DeviceOpen);
    assert_eq!(refusal(with(NOT_UTF8.as_ptr(), c"".as_ptr())).0, S::Utf8);
    assert_eq!(refusal(with(c"simd".as_ptr(), null())).0, S::Null);
    for bad in [
        KinographDeviceOptions { struct_size: 0, ..options() },
        KinographDeviceOptions { struct_size: 1 << 20, ..options() },
        KinographDeviceOptions { options: std::ptr::dangling(), option_count: usize::MAX, ..options() },
    ] {
        assert_eq!(refusal(open(c"cpu".as_ptr(), &raw const bad)).0, S::Argument);
    }
    let none = KinographDeviceOptions { option_count: 1, ..options() };
    assert_eq!(refusal(open(c"cpu".as_ptr(), &raw const none)).0, S::Null);
}

#[test]
fn a_directory_to_keep_things_in_is_optional() {
    let with = |struct_size: usize, cache: *const c_char| {
        let options = KinographDeviceOptions { struct_size, cache, ..options() };
        open(c"cpu".as_ptr(), &raw const options)
    };
    let (whole, old) =
        (size_of::<KinographDeviceOptions>(), std::mem::offset_of!(KinographDeviceOptions, cache));
    let folder = tempfile::tempdir().unwrap();
    let path = std::ffi::CString::new(folder.path().to_str().unwrap()).unwrap();
    for cache in [null(), path.as_ptr()] {
        with(whole, cache).unwrap();
    }
    assert_eq!(refusal(with(whole, NOT_UTF8.as_ptr())).0, S::Utf8);
    let (status, message) = refusal(with(whole, c"".as_ptr()));
    assert_eq!((status, message.as_str()), (S::Argument, "`options.cache` is empty"));
    // Of a struct of an older header nothing behind it is looked at.
    with(old, NOT_UTF8.as_ptr()).unwrap();
}

#[test]
fn packages_that_are_missing_or_wrong_are_refused() {
    let device = device(1);
    let load = |path: *const c_char| {
        // SAFETY: null, or alive.
        refusal(make(|out, error| unsafe { kinograph_model_load(Some(&device), path, out, error) }))
    };
    let (status, message) = load(c"no/such/model".as_ptr());
    assert_eq!((status, message.contains("no/such/model")), (S::Package, true), "{message}");
    assert_eq!(load(NOT_UTF8.as_ptr()).0, S::Utf8);
    let manifest = c"format = 1";
    let mut file = KinographFile { name: c"model.toml".as_ptr(), data: manifest.as_ptr().cast(), size: 10 };
    let load = |file: &KinographFile, count| {
        // SAFETY: the file is alive.
        refusal(make(|out, error| unsafe {
            kinograph_model_load_memory(Some(&device), file, count, out, error)
        }))
        .0
    };
    assert_eq!(load(&file, 1), S::Package);
    assert_eq!(load(&file, 0), S::Package);
    assert_eq!(load(&file, 1 << 20), S::Argument);
    file.data = null();
    assert_eq!(load(&file, 1), S::Null);
}

#[test]
fn requests_that_cannot_be_are_refused() {
    let model = flipbook(1);
    let refused = |change: &dyn Fn(&mut KinographRequest)| {
        let mut request = request(c"x", 0, 1);
        change(&mut request);
        // SAFETY: no callbacks.
        let made = make(|out, error| unsafe {
            kinograph_model_generate(Some(&model), Some(&request), null(), out, error)
        });
        refusal(made).0
    };
    let set = |result: Result<(), Failed>| result.unwrap();
    let wrong = tensor_f32(&[3, 1], &[0.0; 3]);
    assert_eq!(refused(&|r| set(call(|e| kinograph_request_frames(Some(r), 0, e)))), S::Request);
    assert_eq!(refused(&|r| set(call(|e| kinograph_request_frames(Some(r), usize::MAX, e)))), S::Request);
    assert_eq!(refused(&|r| set(call(|e| kinograph_request_size(Some(r), 65, 64, e)))), S::Request);
    assert_eq!(refused(&|r| set(call(|e| kinograph_request_size(Some(r), usize::MAX, 0, e)))), S::Request);
    assert_eq!(refused(&|r| set(call(|e| kinograph_request_fps(Some(r), 0, e)))), S::Request);
    assert_eq!(refused(&|r| set(call(|e| kinograph_request_steps(Some(r), usize::MAX, e)))), S::Request);
    assert_eq!(refused(&|r| set(call(|e| kinograph_request_latents(Some(r), Some(&wrong), e)))), S::Request);

    let mut request = request(c"x", 0, 1);
    let tiles = call(|e| kinograph_request_tiles(Some(&mut request), 2, 2, e));
    assert_eq!(refusal(tiles).0, S::Argument);
    let tiles = call(|e| kinograph_request_spatial_tiles(Some(&mut request), 0, 0, e));
    assert_eq!(refusal(tiles).0, S::Argument);
    for (setter, wrong) in [
        (kinograph_request_solver as TextSetter, Some(c"eule")),
        (kinograph_request_schedule, Some(c"linear:2")),
        (kinograph_request_guidance, Some(c"much")),
        (kinograph_request_negative, None),
        (kinograph_request_prompt, None),
    ] {
        // SAFETY: null, or alive.
        let mut status =
            |text: *const c_char| unsafe { refusal(call(|e| setter(Some(&mut request), text, e))).0 };
        assert_eq!((status(null()), status(NOT_UTF8.as_ptr())), (S::Null, S::Utf8));
        if let Some(wrong) = wrong {
            assert_eq!(status(wrong.as_ptr()), S::Argument, "{wrong:?}");
        }
    }
}

/// Every object and place for one that must be there, left out of every call.
#[test]
fn null_is_refused_everywhere() {
    let (runtime, device, model) = (runtime(), device(1), flipbook(1));
    let mut asked = request(c"x", 0, 1);
    let tensor = tensor_f32(&[1], &[0.0]);
    fn object<T>(work: impl FnOnce(Slot<'_, T>, ErrorSlot<'_>) -> S) {
        assert_eq!(refusal(make(work)).0, S::Null);
    }
    let nothing = |work: &mut dyn FnMut(ErrorSlot<'_>) -> S| {
        let (status, message) = refusal(call(work));
        assert_eq!(status, S::Null, "{message}");
        assert!(message.ends_with("is null"), "{message}");
    };
    let no_callbacks: *const KinographCallbacks = null();
    let (text, path) = (c"x".as_ptr(), c"x.png".as_ptr());

    // Places for what is made.
    nothing(&mut |e| kinograph_runtime_new(None, e));
    nothing(&mut |e| kinograph_control_new(None, e));
    nothing(&mut |e| kinograph_runtime_devices(Some(&runtime), None, e));
    nothing(&mut |e| kinograph_model_load_flipbook(Some(&device), None, e));
    nothing(&mut |e| kinograph_request_clone(Some(&asked), None, e));
    nothing(&mut |e| kinograph_model_plan(Some(&model), Some(&asked), None, e));
    // SAFETY: all else is alive.
    unsafe {
        nothing(&mut |e| kinograph_runtime_open(Some(&runtime), c"cpu".as_ptr(), null(), None, e));
        nothing(&mut |e| kinograph_model_load(Some(&device), text, None, e));
        nothing(&mut |e| kinograph_model_load_memory(Some(&device), null(), 0, None, e));
        nothing(&mut |e| kinograph_request_new(text, None, e));
        nothing(&mut |e| kinograph_model_generate(Some(&model), Some(&asked), no_callbacks, None, e));
        nothing(&mut |e| kinograph_model_stream(Some(&model), Some(&asked), no_callbacks, None, e));
        nothing(&mut |e| kinograph_model_sample(Some(&model), Some(&asked), no_callbacks, None, e));
        nothing(&mut |e| {
            let requests = [&raw const *asked];
            kinograph_model_generate_batch(Some(&model), requests.as_ptr(), 1, no_callbacks, null_mut(), e)
        });
        nothing(&mut |e| kinograph_model_encode(Some(&model), null(), null(), no_callbacks, None, e));
        nothing(&mut |e| kinograph_model_decode(Some(&model), Some(&tensor), null(), no_callbacks, None, e));
        nothing(&mut |e| kinograph_device_compile(Some(&device), text, null(), None, e));
        nothing(&mut |e| kinograph_tensor_new(0, null(), 0, text.cast(), 4, None, e));
        nothing(&mut |e| kinograph_latents_read(text, None, e));
        nothing(&mut |e| kinograph_writer_new(path, 1, 1, 1, 1, None, e));
        nothing(&mut |e| kinograph_tensor_view(Some(&tensor), null_mut(), e));
        nothing(&mut |e| kinograph_model_info(Some(&model), null_mut(), e));
    }

    // Objects and texts.
    object(|out, e| kinograph_runtime_devices(None, out, e));
    object(|out, e| kinograph_model_load_flipbook(None, out, e));
    object(|out, e| kinograph_request_clone(None, out, e));
    object(|out, e| kinograph_model_plan(None, Some(&asked), out, e));
    object(|out, e| kinograph_model_plan(Some(&model), None, out, e));
    object(|out, e| kinograph_video_latents(None, out, e));
    // SAFETY: all else is alive.
    unsafe {
        object(|out, e| kinograph_runtime_open(None, c"cpu".as_ptr(), null(), out, e));
        object(|out, e| kinograph_model_load(None, text, out, e));
        object(|out, e| kinograph_model_load(Some(&device), null(), out, e));
        object(|out, e| kinograph_model_load_memory(None, null(), 0, out, e));
        object(|out, e| kinograph_model_load_memory(Some(&device), null(), 1, out, e));
        object(|out, e| kinograph_request_new(null(), out, e));
        object(|out, e| kinograph_model_generate(None, Some(&asked), no_callbacks, out, e));
        object(|out, e| kinograph_model_generate(Some(&model), None, no_callbacks, out, e));
        object(|out, e| kinograph_model_stream(None, Some(&asked), no_callbacks, out, e));
        object(|out, e| kinograph_model_stream(Some(&model), None, no_callbacks, out, e));
        object(|out, e| kinograph_model_sample(None, Some(&asked), no_callbacks, out, e));
        object(|out, e| kinograph_model_sample(Some(&model), None, no_callbacks, out, e));
        object(|out, e| kinograph_model_encode(None, null(), null(), no_callbacks, out, e));
        object(|out, e| kinograph_model_encode(Some(&model), null(), null(), no_callbacks, out, e));
        object(|out, e| kinograph_model_decode(None, Some(&tensor), null(), no_callbacks, out, e));
        object(|out, e| kinograph_model_decode(Some(&model), None, null(), no_callbacks, out, e));
        object(|out, e| kinograph_device_compile(None, text, null(), out, e));
        object(|out, e| kinograph_device_compile(Some(&device), null(), null(), out, e));
        object(|out, e| kinograph_tensor_new(0, null(), 1, text.cast(), 4, out, e));
        object(|out, e| kinograph_latents_read(null(), out, e));
        object(|out, e| kinograph_writer_new(null(), 1, 1, 1, 1, out, e));
        nothing(&mut |e| kinograph_latents_write(null(), Some(&tensor), e));
        nothing(&mut |e| kinograph_latents_write(text, None, e));
        nothing(&mut |e| kinograph_tensor_view(None, null_mut(), e));
        nothing(&mut |e| kinograph_model_info(None, null_mut(), e));
        nothing(&mut |e| kinograph_plan_info(None, null_mut(), e));
        nothing(&mut |e| kinograph_plan_stage(None, 0, null_mut(), e));
        nothing(&mut |e| kinograph_video_frames(None, null_mut(), e));
        nothing(&mut |e| kinograph_video_write(None, path, 1, 1, e));
        nothing(&mut |e| kinograph_writer_frame(None, null(), 0, e));
        nothing(&mut |e| kinograph_executable_memory(None, null_mut(), e));
        nothing(&mut |e| kinograph_executable_run(None, null(), 0, None, null_mut(), 0, e));
        let mut video = null_mut::<KinographVideo>();
        for (model, requests) in [(None, [&raw const *asked]), (Some(&*model), [null()])] {
            nothing(&mut |e| {
                let (requests, videos) = (requests.as_ptr(), &raw mut video);
                kinograph_model_generate_batch(model, requests, 1, no_callbacks, videos, e)
            });
            assert!(video.is_null());
        }
    }
    nothing(&mut |e| kinograph_writer_finish(None, e));
    nulls_of_requests(&mut asked, &nothing);
    frees_take_null();
}

type Nothing<'a> = dyn Fn(&mut dyn FnMut(ErrorSlot<'_>) -> S) + 'a;

fn nulls_of_requests(asked: &mut KinographRequest, nothing: &Nothing<'_>) {
    let text = c"x".as_ptr();
    nothing(&mut |e| kinograph_request_seed(None, 1, e));
    nothing(&mut |e| kinograph_request_frames(None, 1, e));
    nothing(&mut |e| kinograph_request_size(None, 1, 1, e));
    nothing(&mut |e| kinograph_request_fps(None, 1, e));
    nothing(&mut |e| kinograph_request_steps(None, 1, e));
    nothing(&mut |e| kinograph_request_tiles(None, 1, 0, e));
    nothing(&mut |e| kinograph_request_spatial_tiles(None, 1, 0, e));
    nothing(&mut |e| kinograph_request_memory_limit(None, 1, e));
    nothing(&mut |e| kinograph_request_preview_every(None, 1, e));
    nothing(&mut |e| kinograph_request_latents(None, None, e));
    nothing(&mut |e| kinograph_request_latents(Some(asked), None, e));
    nothing(&mut |e| kinograph_request_control(None, None, e));
    nothing(&mut |e| kinograph_request_control(Some(asked), None, e));
    // SAFETY: texts are null or alive.
    unsafe {
        nothing(&mut |e| kinograph_request_prompt(None, text, e));
        nothing(&mut |e| kinograph_request_negative(None, text, e));
        nothing(&mut |e| kinograph_request_solver(None, text, e));
        nothing(&mut |e| kinograph_request_schedule(None, text, e));
        nothing(&mut |e| kinograph_request_guidance(None, text, e));
        nothing(&mut |e| kinograph_request_checkpoint(None, text, 1.0, e));
        nothing(&mut |e| kinograph_request_checkpoint(Some(asked), null(), 1.0, e));
    }
}

fn frees_take_null() {
    kinograph_error_free(None);
    kinograph_runtime_free(None);
    kinograph_device_list_free(None);
    kinograph_device_free(None);
    kinograph_device_trim(None);
    kinograph_model_free(None);
    kinograph_model_release(None);
    kinograph_request_free(None);
    kinograph_control_free(None);
    kinograph_video_free(None);
    kinograph_tensor_free(None);
    kinograph_plan_free(None);
    kinograph_executable_free(None);
    kinograph_writer_free(None);
}

#[test]
fn callbacks_of_another_version_are_told_apart() {
    let (model, asked) = (flipbook(1), request(c"x", 0, 1));
    let wrong = KinographCallbacks { struct_size: 3, ..callbacks() };
    // SAFETY: callbacks are alive.
    let refused = make(|out, error| unsafe {
        kinograph_model_generate(Some(&model), Some(&asked), &raw const wrong, out, error)
    });
    let (status, message) = refusal(refused);
    assert_eq!(status, S::Argument);
    assert_eq!(message, "set `callbacks.struct_size` to the size of the struct");
}

#[test]
fn versions_and_statuses_have_words() {
    assert_eq!(kinograph_abi_version(), KINOGRAPH_ABI_VERSION);
    // SAFETY: a text that lives as long as the program.
    let text = |pointer| unsafe { CStr::from_ptr(pointer) }.to_str().unwrap();
    assert_eq!(text(kinograph_version()), env!("CARGO_PKG_VERSION"));
    let words: std::collections::BTreeSet<_> =
        S::ALL.iter().map(|status| text(kinograph_status_text(*status as i32))).collect();
    assert_eq!(words.len(), S::ALL.len());
    assert_eq!(text(kinograph_status_text(12345)), "unknown status");
    assert_eq!(kinograph_error_status(None), S::Ok);
    assert_eq!(text(kinograph_error_message(None)), "");
}
