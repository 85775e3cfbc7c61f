//! Jobs through the C interface: the bytes of the Rust interface, callbacks, cancelling, threads.

use std::ffi::c_void;
use std::ops::ControlFlow;
use std::ptr::{null, null_mut};
use std::thread;

use kinograph::media::MediaError;
use kinograph::{CodecOptions, DeviceOptions, Model, Package, Request, Runtime};
use kinograph_capi::*;

use crate::support::{
    call, callbacks, flipbook, frames, generate, make, refusal, request, set_text, tensor_f32, values,
};

const PROMPT: &str = "a red circle moves left";
const C_PROMPT: &std::ffi::CStr = c"a red circle moves left";

/// The same model by the Rust interface.
fn rust_model() -> Model {
    let device = Runtime::new().open("cpu", &DeviceOptions { threads: Some(2), ..Default::default() });
    Model::load(Package::built_in(kinograph_flipbook::FILES).unwrap(), device.unwrap()).unwrap()
}

/// What the callbacks of a job heard.
#[derive(Default)]
struct Heard {
    progress: Vec<(i32, usize, usize)>,
    frames: Vec<(usize, usize, usize)>,
    data: Vec<u8>,
    previews: Vec<(usize, usize, usize)>,
    /// Ends the job at this call of that callback.
    end_at_progress: Option<usize>,
    end_at_frame: Option<usize>,
}

impl Heard {
    fn callbacks(&mut self) -> KinographCallbacks {
        let user = std::ptr::from_mut(self).cast();
        KinographCallbacks {
            user,
            progress: Some(on_progress),
            frame: Some(on_frame),
            preview: Some(on_preview),
            ..callbacks()
        }
    }
}

/// # Safety
/// `user` is a `Heard` that nobody else uses during the call.
unsafe extern "C" fn on_progress(user: *mut c_void, progress: *const KinographProgress) -> i32 {
    // SAFETY: as promised by the caller.
    let (heard, progress) = unsafe { (&mut *user.cast::<Heard>(), &*progress) };
    assert_eq!(progress.struct_size, size_of::<KinographProgress>());
    assert!(progress.elapsed >= 0.0);
    heard.progress.push((progress.stage, progress.step, progress.of));
    i32::from(heard.end_at_progress == Some(heard.progress.len()))
}

/// # Safety
/// As for `on_progress`.
unsafe extern "C" fn on_frame(user: *mut c_void, frame: *const KinographFrame) -> i32 {
    // SAFETY: as promised by the caller; the frame's bytes live until this returns.
    let (heard, frame, data) = unsafe {
        let frame = &*frame;
        (&mut *user.cast::<Heard>(), frame, std::slice::from_raw_parts(frame.data, frame.size))
    };
    heard.frames.push((frame.index, frame.width, frame.height));
    heard.data.extend_from_slice(data);
    i32::from(heard.end_at_frame == Some(heard.frames.len()))
}

/// # Safety
/// As for `on_progress`.
unsafe extern "C" fn on_preview(user: *mut c_void, preview: *const KinographFrames) -> i32 {
    // SAFETY: as promised by the caller.
    let (heard, preview) = unsafe { (&mut *user.cast::<Heard>(), &*preview) };
    assert_eq!(preview.size, 3 * preview.count * preview.width * preview.height);
    heard.previews.push((preview.count, preview.width, preview.height));
    0
}

#[test]
fn the_bytes_are_those_of_the_rust_interface() {
    let asked = Request::new(PROMPT).seed(7).frames(9).steps(2).preview_every(1);
    let expected = rust_model().generate(&asked, |_| ControlFlow::Continue(())).unwrap();

    let model = flipbook(2);
    let mut request = request(C_PROMPT, 7, 9);
    call(|error| kinograph_request_preview_every(Some(&mut request), 1, error)).unwrap();
    let mut heard = Heard::default();
    let callbacks = heard.callbacks();
    let video = generate(&model, &request, &raw const callbacks).unwrap();
    let (count, width, height, data) = frames(&video);
    assert_eq!((count, width, height), (9, 64, 64));
    assert!(data == expected.frames.data(), "other bytes than by the Rust interface");
    assert!(heard.data == data, "the frames that were told are others");
    assert_eq!(heard.frames, (0..9).map(|i| (i, 64, 64)).collect::<Vec<_>>());
    let (text, sample) = (KinographStage::Text as i32, KinographStage::Sample as i32);
    let decode = KinographStage::Decode as i32;
    let stages = [(text, 0, 3), (text, 1, 3), (text, 2, 3), (text, 3, 3)];
    assert_eq!(heard.progress[..4], stages);
    assert_eq!(heard.progress[4..7], [(sample, 0, 2), (sample, 1, 2), (sample, 2, 2)]);
    assert_eq!(heard.progress[7..], [(decode, 0, 1), (decode, 1, 1)]);
    assert_eq!(heard.previews, [(2, 8, 8), (2, 8, 8)]);

    let latents = make(|out, error| kinograph_video_latents(Some(&video), out, error)).unwrap();
    let (shape, latents) = values(&latents);
    assert_eq!(shape, [1, 16, 2, 8, 8]);
    assert_eq!(latents, expected.latents.as_f32().unwrap());
    for stage in [text, sample, decode] {
        assert!(kinograph_video_seconds(Some(&video), stage) >= 0.0, "stage {stage}");
    }
    assert!(kinograph_video_seconds(Some(&video), KinographStage::Encode as i32) < 0.0);
    assert!(kinograph_video_seconds(Some(&video), 77) < 0.0);
}

#[test]
fn streams_samples_and_batches_are_the_same_video() {
    let model = flipbook(2);
    let request = request(C_PROMPT, 3, 4);
    let (.., expected) = frames(&generate(&model, &request, null()).unwrap());

    let mut heard = Heard::default();
    let callbacks = heard.callbacks();
    // SAFETY: callbacks are alive.
    let streamed = make(|out, error| unsafe {
        kinograph_model_stream(Some(&model), Some(&request), &raw const callbacks, out, error)
    });
    let streamed = streamed.unwrap();
    assert!(heard.data == expected);
    assert_eq!(frames(&streamed), (0, 0, 0, Vec::new()));

    // SAFETY: null is no callbacks.
    let sampled = make(|out, error| unsafe {
        kinograph_model_sample(Some(&model), Some(&request), null(), out, error)
    });
    let sampled = sampled.unwrap();
    let latents = make(|out, error| kinograph_video_latents(Some(&streamed), out, error)).unwrap();
    assert_eq!(values(&sampled), values(&latents));

    // From latents to the same frames, as the request cut them.
    let options = KinographCodecOptions { frames: 4, ..codec_options() };
    // SAFETY: the struct is alive.
    let decoded = make(|out, error| unsafe {
        let options = &raw const options;
        kinograph_model_decode(Some(&model), Some(&sampled), options, null(), out, error)
    });
    let decoded = decoded.unwrap();
    assert!(frames(&decoded) == (4, 64, 64, expected.clone()));
    refusal(make(|out, error| kinograph_video_latents(Some(&decoded), out, error)));

    let mut other = make(|out, error| kinograph_request_clone(Some(&request), out, error)).unwrap();
    set_text(&mut other, kinograph_request_prompt, c"a blue star");
    let requests: [*const KinographRequest; 2] = [&raw const *request, &raw const *other];
    let mut videos = [null_mut::<KinographVideo>(); 2];
    // SAFETY: requests are alive, and there is room for as many videos.
    call(|error| unsafe {
        let (requests, videos) = (requests.as_ptr(), videos.as_mut_ptr());
        kinograph_model_generate_batch(Some(&model), requests, 2, null(), videos, error)
    })
    .unwrap();
    // SAFETY: a batch that succeeds gives its videos to the caller.
    let [first, second] = videos.map(|video| unsafe { Box::from_raw(video) });
    assert_eq!(frames(&first).0, 4);
    assert!(frames(&first).3 != frames(&second).3);
}

fn codec_options() -> KinographCodecOptions {
    KinographCodecOptions {
        struct_size: size_of::<KinographCodecOptions>(),
        tile_size: 0,
        tile_overlap: 0,
        spatial_size: 0,
        spatial_overlap: 0,
        width: 0,
        height: 0,
        frames: 0,
        memory_limit: 0,
        control: null(),
    }
}

#[test]
fn encoding_is_that_of_the_rust_interface() {
    /// Frames of the test, as the Rust interface reads them.
    struct Clip(Vec<u8>, usize);
    impl kinograph::media::FrameSource for Clip {
        fn width(&self) -> usize {
            32
        }
        fn height(&self) -> usize {
            16
        }
        fn rate(&self) -> Option<kinograph::media::FrameRate> {
            None
        }
        fn frames(&self) -> Option<usize> {
            Some(9)
        }
        fn next_frame(&mut self, rgb: &mut Vec<u8>) -> Result<bool, MediaError> {
            rgb.clear();
            rgb.extend(self.0.chunks(32 * 16 * 3).nth(self.1).unwrap_or_default());
            self.1 += 1;
            Ok(!rgb.is_empty())
        }
    }
    let data: Vec<u8> = (0..9 * 32 * 16 * 3).map(|i| (i * 31 % 251) as u8).collect();
    let expected = rust_model()
        .encode(&mut Clip(data.clone(), 0), &CodecOptions::new(), |_| ControlFlow::Continue(()))
        .unwrap();

    let model = flipbook(2);
    let mut clip = KinographFrames {
        struct_size: size_of::<KinographFrames>(),
        count: 9,
        width: 32,
        height: 16,
        data: data.as_ptr(),
        size: data.len(),
    };
    let options = codec_options();
    let encode = |clip: &KinographFrames| {
        // SAFETY: structs and bytes are alive.
        make(|out, error| unsafe {
            let (clip, options) = (std::ptr::from_ref(clip), &raw const options);
            kinograph_model_encode(Some(&model), clip, options, null(), out, error)
        })
    };
    let latents = encode(&clip).unwrap();
    let (shape, latents) = values(&latents);
    assert_eq!(shape, expected.latents.desc().shape);
    assert_eq!(latents, expected.latents.as_f32().unwrap());

    clip.size -= 1;
    assert_eq!(refusal(encode(&clip)).0, KinographStatus::Argument);
    clip.width = usize::MAX;
    assert_eq!(refusal(encode(&clip)).0, KinographStatus::Argument);
}

#[test]
fn callbacks_and_other_threads_cancel() {
    let model = flipbook(2);
    let mut request = request(C_PROMPT, 1, 9);
    for heard in [
        Heard { end_at_progress: Some(1), ..Heard::default() },
        Heard { end_at_progress: Some(6), ..Heard::default() },
        Heard { end_at_frame: Some(1), ..Heard::default() },
        Heard { end_at_frame: Some(8), ..Heard::default() },
    ] {
        let mut heard = heard;
        let callbacks = heard.callbacks();
        let (status, message) = refusal(generate(&model, &request, &raw const callbacks));
        assert_eq!((status, message.as_str()), (KinographStatus::Cancelled, "cancelled"));
        assert_eq!(heard.end_at_progress.unwrap_or(heard.progress.len()), heard.progress.len());
        assert_eq!(heard.end_at_frame.unwrap_or(0), heard.frames.len());
    }

    // A job too long to end by itself, and a thread that ends it once it has begun.
    let control = make(|out, error| kinograph_control_new(out, error)).unwrap();
    call(|error| kinograph_request_steps(Some(&mut request), 100_000, error)).unwrap();
    set_text(&mut request, kinograph_request_schedule, c"linear");
    call(|error| kinograph_request_control(Some(&mut request), Some(&control), error)).unwrap();
    let (begun, begins) = std::sync::mpsc::channel::<()>();
    /// # Safety
    /// `user` is a sender.
    unsafe extern "C" fn tell(user: *mut c_void, progress: *const KinographProgress) -> i32 {
        // SAFETY: as promised by the caller.
        let (begun, progress) = unsafe { (&*user.cast::<std::sync::mpsc::Sender<()>>(), &*progress) };
        if progress.stage == KinographStage::Sample as i32 {
            let _ = begun.send(());
        }
        0
    }
    let user = (&raw const begun).cast_mut().cast();
    let callbacks = KinographCallbacks { user, progress: Some(tell), ..callbacks() };
    assert_eq!(kinograph_control_is_cancelled(Some(&control)), 0);
    let stop = &control;
    thread::scope(|scope| {
        scope.spawn(move || {
            begins.recv().unwrap();
            kinograph_control_cancel(Some(stop));
        });
        let ended = refusal(generate(&model, &request, &raw const callbacks));
        // Whatever ended it, the other thread must not wait for ever.
        let _ = begun.send(());
        assert_eq!(ended.0, KinographStatus::Cancelled, "{}", ended.1);
    });
    assert_eq!(kinograph_control_is_cancelled(Some(&control)), 1);
    kinograph_control_cancel(None);
    assert_eq!(kinograph_control_is_cancelled(None), 0);
}

#[test]
fn eight_threads_share_one_model() {
    let model = flipbook(2);
    let request = request(C_PROMPT, 5, 4);
    let (.., expected) = frames(&generate(&model, &request, null()).unwrap());
    thread::scope(|scope| {
        let jobs: Vec<_> =
            (0..8).map(|_| scope.spawn(|| frames(&generate(&model, &request, null()).unwrap()).3)).collect();
        for job in jobs {
            assert!(job.join().unwrap() == expected, "another thread gave other bytes");
        }
    });
}

#[test]
fn every_setting_has_its_effect() {
    let model = flipbook(2);
    let bytes = |request: &KinographRequest| frames(&generate(&model, request, null()).unwrap()).3;
    let base = bytes(&request(C_PROMPT, 1, 4));
    let noise = tensor_f32(&[16, 1, 8, 8], &[0.25; 16 * 64]);
    type Change<'a> = Box<dyn Fn(&mut KinographRequest) + 'a>;
    let changes: Vec<(&str, Change<'_>)> = vec![
        ("negative", Box::new(|r| set_text(r, kinograph_request_negative, c"a blue star"))),
        ("seed", Box::new(|r| call(|e| kinograph_request_seed(Some(r), 2, e)).unwrap())),
        ("frames", Box::new(|r| call(|e| kinograph_request_frames(Some(r), 5, e)).unwrap())),
        ("size", Box::new(|r| call(|e| kinograph_request_size(Some(r), 96, 64, e)).unwrap())),
        ("fps", Box::new(|r| call(|e| kinograph_request_fps(Some(r), 8, e)).unwrap())),
        ("steps", Box::new(|r| call(|e| kinograph_request_steps(Some(r), 3, e)).unwrap())),
        ("solver", Box::new(|r| set_text(r, kinograph_request_solver, c"midpoint"))),
        ("schedule", Box::new(|r| set_text(r, kinograph_request_schedule, c"shifted:3"))),
        ("guidance", Box::new(|r| set_text(r, kinograph_request_guidance, c"7.5@0.1-0.8"))),
        ("latents", Box::new(|r| call(|e| kinograph_request_latents(Some(r), Some(&noise), e)).unwrap())),
        ("tiles", Box::new(|r| call(|e| kinograph_request_spatial_tiles(Some(r), 4, 1, e)).unwrap())),
    ];
    for (what, change) in changes {
        let mut request = request(C_PROMPT, 1, 4);
        change(&mut request);
        assert!(bytes(&request) != base, "{what} has no effect");
    }
    // With more frames than a tile, tiles along time tell.
    let mut tiled = request(C_PROMPT, 1, 48);
    let whole = bytes(&tiled);
    call(|error| kinograph_request_tiles(Some(&mut tiled), 2, 1, error)).unwrap();
    assert!(bytes(&tiled) != whole, "tiles have no effect");
}

#[test]
fn plans_limits_and_checkpoints_hold() {
    let model = flipbook(2);
    let mut asked = request(C_PROMPT, 1, 32);
    let plan = make(|out, error| kinograph_model_plan(Some(&model), Some(&asked), out, error)).unwrap();
    let expected = rust_model().plan(&Request::new(PROMPT).seed(1).frames(32).steps(2)).unwrap();
    // SAFETY: zeros are valid, and the size is set.
    let mut info: KinographPlanInfo = unsafe { std::mem::zeroed() };
    info.struct_size = size_of::<KinographPlanInfo>();
    // SAFETY: the struct is alive.
    call(|error| unsafe { kinograph_plan_info(Some(&plan), &raw mut info, error) }).unwrap();
    assert_eq!((info.frames, info.width, info.height), expected.video);
    assert_eq!((info.peak, info.latent), (expected.peak, expected.latent));
    assert_eq!((info.parameters, Some(info.flops)), (expected.parameters(), expected.flops()));
    assert_eq!(kinograph_plan_stage_count(Some(&plan)), expected.stages.len());
    for (i, of) in expected.stages.iter().enumerate() {
        // SAFETY: zeros are valid, and the size is set.
        let mut stage: KinographStagePlan = unsafe { std::mem::zeroed() };
        stage.struct_size = size_of::<KinographStagePlan>();
        // SAFETY: the struct is alive, and its text is of the plan, which is alive.
        let component = unsafe {
            call(|error| kinograph_plan_stage(Some(&plan), i, &raw mut stage, error)).unwrap();
            std::ffi::CStr::from_ptr(stage.component).to_str().unwrap()
        };
        assert_eq!(component, of.component);
        assert_eq!((stage.run, stage.flops, stage.tiles), (of.memory.run, of.flops, of.tiles));
    }

    call(|error| kinograph_request_memory_limit(Some(&mut asked), 1 << 20, error)).unwrap();
    assert_eq!(refusal(generate(&model, &asked, null())).0, KinographStatus::MemoryLimit);

    let folder = tempfile::tempdir().unwrap();
    let path = std::ffi::CString::new(folder.path().join("job").to_str().unwrap()).unwrap();
    let keep = |request: &mut KinographRequest, every: f64| {
        // SAFETY: the text is alive.
        call(|error| unsafe { kinograph_request_checkpoint(Some(request), path.as_ptr(), every, error) })
    };
    let mut kept = request(C_PROMPT, 1, 1);
    assert_eq!(refusal(keep(&mut kept, f64::NAN)).0, KinographStatus::Argument);
    assert_eq!(refusal(keep(&mut kept, -1.0)).0, KinographStatus::Argument);
    keep(&mut kept, 0.0).unwrap();
    let first = frames(&generate(&model, &kept, null()).unwrap());
    assert!(folder.path().join("job").is_file());
    assert!(frames(&generate(&model, &kept, null()).unwrap()) == first);
    let mut other = request(C_PROMPT, 2, 1);
    keep(&mut other, 0.0).unwrap();
    assert_eq!(refusal(generate(&model, &other, null())).0, KinographStatus::Checkpoint);
}

#[test]
fn files_are_written() {
    let model = flipbook(2);
    let video = generate(&model, &request(C_PROMPT, 1, 3), null()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| std::ffi::CString::new(folder.path().join(name).to_str().unwrap()).unwrap();
    let write = |name: &str| {
        let path = path(name);
        // SAFETY: the text is alive.
        call(|error| unsafe { kinograph_video_write(Some(&video), path.as_ptr(), 16, 1, error) })
    };
    write("a.png").unwrap();
    write("a.gif").unwrap();
    assert!(folder.path().join("a-0003.png").is_file() && folder.path().join("a.gif").is_file());
    assert_eq!(refusal(write("a.tiff")).0, KinographStatus::Media);
    assert_eq!(refusal(write("none/a.gif")).0, KinographStatus::Media);

    // The same file by a writer, frame by frame.
    let (count, width, height, data) = frames(&video);
    let begin = |name: &str| {
        let path = path(name);
        // SAFETY: the text is alive.
        make(|out, error| unsafe { kinograph_writer_new(path.as_ptr(), width, height, 16, 0, out, error) })
    };
    let mut writer = begin("b.gif").unwrap();
    for frame in data.chunks(data.len() / count) {
        // SAFETY: the bytes are alive.
        call(|e| unsafe { kinograph_writer_frame(Some(&mut writer), frame.as_ptr(), frame.len(), e) })
            .unwrap();
    }
    assert!(!folder.path().join("b.gif").exists());
    call(|error| kinograph_writer_finish(Some(&mut writer), error)).unwrap();
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    assert!(read("a.gif") == read("b.gif"));
    let again = call(|error| kinograph_writer_finish(Some(&mut writer), error));
    assert_eq!(refusal(again).0, KinographStatus::Argument);
    let mut short = begin("c.gif").unwrap();
    // SAFETY: the byte is alive.
    let wrong = call(|e| unsafe { kinograph_writer_frame(Some(&mut short), data.as_ptr(), 1, e) });
    assert_eq!(refusal(wrong).0, KinographStatus::Media);
    drop(short);
    assert!(!folder.path().join("c.gif").exists());

    let latents = make(|out, error| kinograph_video_latents(Some(&video), out, error)).unwrap();
    let path = path("z.safetensors");
    // SAFETY: the text is alive.
    let read = unsafe {
        call(|error| kinograph_latents_write(path.as_ptr(), Some(&latents), error)).unwrap();
        make(|out, error| kinograph_latents_read(path.as_ptr(), out, error)).unwrap()
    };
    assert_eq!(values(&read), values(&latents));
}

#[test]
fn a_package_in_memory_is_the_same_model() {
    let device = crate::support::device(2);
    let names: Vec<_> =
        kinograph_flipbook::FILES.iter().map(|(name, _)| std::ffi::CString::new(*name).unwrap()).collect();
    let files: Vec<KinographFile> = (kinograph_flipbook::FILES.iter().zip(&names))
        .map(|((_, data), name)| KinographFile { name: name.as_ptr(), data: data.as_ptr(), size: data.len() })
        .collect();
    // SAFETY: files and names are alive.
    let model = make(|out, error| unsafe {
        kinograph_model_load_memory(Some(&device), files.as_ptr(), files.len(), out, error)
    });
    let model = model.unwrap();
    drop(device);
    // SAFETY: texts of the model, which is alive.
    unsafe {
        assert_eq!(std::ffi::CStr::from_ptr(kinograph_model_name(Some(&model))), c"flipbook");
        assert_eq!(std::ffi::CStr::from_ptr(kinograph_model_version(Some(&model))), c"0.1");
    }
    // SAFETY: zeros are valid, and the size is set.
    let mut info: KinographModelInfo = unsafe { std::mem::zeroed() };
    info.struct_size = size_of::<KinographModelInfo>();
    // SAFETY: the struct is alive.
    call(|error| unsafe { kinograph_model_info(Some(&model), &raw mut info, error) }).unwrap();
    assert_eq!((info.width, info.max_frames, info.fps, info.has_encoder), (64, 48, 16, 1));
    assert_eq!((info.compression, info.latent_channels, info.steps), ([8, 8, 8], 16, 25));
    let request = request(C_PROMPT, 4, 1);
    let here = frames(&generate(&model, &request, null()).unwrap());
    kinograph_model_release(Some(&model));
    assert!(here == frames(&generate(&flipbook(1), &request, null()).unwrap()));
}
