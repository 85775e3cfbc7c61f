//! Devices made of others, and devices that are chosen.

use std::ffi::{CStr, CString, c_char};
use std::path::Path;
use std::ptr::null;

use kinograph_capi::KinographStatus as S;
use kinograph_capi::*;

use crate::support::{
    Failed, NOT_UTF8, device, frames, generate, make, options, refusal, request, runtime, values,
};

fn with_numerics(device: &KinographDevice, numerics: &CStr) -> Result<Box<KinographDevice>, Failed> {
    // SAFETY: the text is alive.
    make(|out, error| unsafe { kinograph_device_with_numerics(Some(device), numerics.as_ptr(), out, error) })
}

fn with_fallback(
    device: &KinographDevice,
    fallback: &KinographDevice,
) -> Result<Box<KinographDevice>, Failed> {
    make(|out, error| kinograph_device_with_fallback(Some(device), Some(fallback), out, error))
}

fn with_component(
    device: &KinographDevice,
    component: &CStr,
    own: &KinographDevice,
) -> Result<Box<KinographDevice>, Failed> {
    // SAFETY: the text is alive.
    make(|out, error| unsafe {
        kinograph_device_with_component(Some(device), component.as_ptr(), Some(own), out, error)
    })
}

fn load(device: &KinographDevice) -> Result<Box<KinographModel>, Failed> {
    make(|out, error| kinograph_model_load_flipbook(Some(device), out, error))
}

/// Latents and frames of a job, which are all that its arithmetic can change. The device is freed before it runs.
fn video(device: Box<KinographDevice>) -> (Vec<f32>, Vec<u8>) {
    let model = load(&device).unwrap();
    drop(device);
    let video = generate(&model, &request(c"a red circle moves left", 7, 4), null()).unwrap();
    let latents = make(|out, error| kinograph_video_latents(Some(&video), out, error)).unwrap();
    (values(&latents).1, frames(&video).3)
}

fn id(device: &KinographDevice) -> &str {
    // SAFETY: a text of the device, which is alive.
    unsafe { CStr::from_ptr(kinograph_device_id(Some(device))) }.to_str().unwrap()
}

#[test]
fn numerics_decide_the_bits() {
    let native = video(device(2));
    let exact = with_numerics(&device(2), c"reproducible").unwrap();
    assert_eq!(id(&exact), "cpu");
    let exact = video(exact);
    assert!(exact.0 != native.0 && exact.1 != native.1, "reproducible numerics change nothing");
    let again = with_numerics(&device(1), c"reproducible-r16").unwrap();
    assert!(video(again) == exact, "other bits the second time");
    let coarse = video(with_numerics(&device(2), c"reproducible-r8").unwrap());
    assert!(coarse.1 != exact.1 && coarse.1 != native.1, "r8 is r16 or native");
    assert!(video(with_numerics(&device(2), c"native").unwrap()) == native, "native is not as it was");
}

#[test]
fn components_run_where_they_are_placed() {
    let (native, exact) = (device(2), with_numerics(&device(2), c"reproducible-r8").unwrap());
    let placed = |names: &[&CStr]| {
        let mut all = with_component(&native, c"backbone", &native).unwrap();
        for name in names {
            all = with_component(&all, name, &exact).unwrap();
        }
        assert_eq!(id(&all), "cpu");
        video(all)
    };
    let (plain, decoder, text) = (placed(&[]), placed(&[c"decoder"]), placed(&[c"text"]));
    assert!(decoder.0 == plain.0 && decoder.1 != plain.1, "not the decoder alone");
    assert!(text.0 != plain.0, "not the text encoders");
    let one = placed(&[c"text-t5"]);
    assert!(one.0 != plain.0 && one.0 != text.0, "not one text encoder alone");
    let all = placed(&[c"text", c"backbone", c"decoder"]);
    let numerics = with_component(&native, c"decoder", &native).unwrap();
    let numerics = video(with_numerics(&numerics, c"reproducible-r8").unwrap());
    assert!(all == numerics, "numerics are not those of each component's device");
    assert!(numerics == video(exact), "placing changes the bits");
}

/// What a fallback does for a device that does not take everything is tested with a plugin.
#[test]
fn a_fallback_that_is_not_needed_changes_nothing() {
    let (one, two) = (device(1), device(2));
    let both = with_fallback(&one, &two).unwrap();
    assert_eq!(id(&both), "cpu");
    let exact = with_numerics(&both, c"reproducible").unwrap();
    assert!(video(both) == video(device(2)));
    assert!(video(exact) == video(with_numerics(&one, c"reproducible").unwrap()));
}

#[test]
fn devices_that_do_not_fit_together_are_refused() {
    let native = device(1);
    let exact = with_numerics(&native, c"reproducible").unwrap();
    let several = with_component(&native, c"decoder", &exact).unwrap();
    let argument = |made: Result<Box<KinographDevice>, Failed>, words: &str| {
        let (status, message) = refusal(made);
        assert_eq!((status, message.contains(words)), (S::Argument, true), "{message}");
    };
    argument(with_numerics(&native, c"r16"), "there are native, reproducible and reproducible-r8");
    argument(with_numerics(&exact, c"reproducible-r8"), "already");
    argument(with_numerics(&several, c"reproducible"), "already");
    argument(with_fallback(&exact, &native), "numerics");
    argument(with_fallback(&native, &exact), "numerics");
    argument(with_fallback(&several, &native), "numerics");
    argument(with_fallback(&native, &several), "`fallback` has devices for single components");
    argument(with_component(&native, c"text", &several), "`own` has devices for single components");

    let upsampler = with_component(&native, c"upsampler", &native).unwrap();
    let (status, message) = refusal(load(&upsampler));
    assert_eq!(status, S::Graph);
    assert!(message.contains("upsampler") && message.contains("backbone"), "{message}");
}

#[test]
fn what_devices_are_made_of_is_checked() {
    let cpu = device(1);
    fn status(made: Result<Box<KinographDevice>, Failed>) -> S {
        refusal(made).0
    }
    let cpu = Some(&*cpu);
    let text = c"decoder".as_ptr();
    assert_eq!(status(make(|out, e| kinograph_device_with_fallback(None, cpu, out, e))), S::Null);
    assert_eq!(status(make(|out, e| kinograph_device_with_fallback(cpu, None, out, e))), S::Null);
    assert_eq!(kinograph_device_with_fallback(cpu, cpu, None, None), S::Null);
    // SAFETY: texts are null or alive.
    unsafe {
        let numerics = |device, name| make(|out, e| kinograph_device_with_numerics(device, name, out, e));
        assert_eq!(status(numerics(None, c"native".as_ptr())), S::Null);
        assert_eq!(status(numerics(cpu, null())), S::Null);
        assert_eq!(status(numerics(cpu, NOT_UTF8.as_ptr())), S::Utf8);
        assert_eq!(kinograph_device_with_numerics(cpu, c"native".as_ptr(), None, None), S::Null);
        let component =
            |device, name, own| make(|out, e| kinograph_device_with_component(device, name, own, out, e));
        assert_eq!(status(component(None, text, cpu)), S::Null);
        assert_eq!(status(component(cpu, null(), cpu)), S::Null);
        assert_eq!(status(component(cpu, NOT_UTF8.as_ptr(), cpu)), S::Utf8);
        assert_eq!(status(component(cpu, text, None)), S::Null);
        assert_eq!(kinograph_device_with_component(cpu, text, cpu, None, None), S::Null);
    }
    assert!(kinograph_device_id(None).is_null());
}

fn package() -> KinographPackage {
    KinographPackage {
        struct_size: size_of::<KinographPackage>(),
        path: null(),
        files: null(),
        file_count: 0,
    }
}

fn choose(
    policy: *const c_char,
    package: *const KinographPackage,
    options: *const KinographDeviceOptions,
) -> Result<Box<KinographDevice>, Failed> {
    let runtime = runtime();
    // SAFETY: null, or alive.
    make(|out, error| unsafe {
        kinograph_runtime_choose(Some(&runtime), policy, package, options, out, error)
    })
}

/// An option that the cpu has and others refuse, so that there is little to choose from.
const PLAIN: KinographOption = KinographOption { name: c"simd".as_ptr(), value: c"plain".as_ptr() };

/// Chooses with one option of the devices, and keeps things in a directory.
fn choose_with(
    policy: &CStr,
    package: &KinographPackage,
    option: KinographOption,
    cache: &CStr,
) -> Result<Box<KinographDevice>, Failed> {
    let entries = [option];
    let options = KinographDeviceOptions {
        options: entries.as_ptr(),
        option_count: entries.len(),
        cache: cache.as_ptr(),
        ..options()
    };
    choose(policy.as_ptr(), package, &raw const options)
}

#[test]
fn every_policy_chooses_a_device() {
    let kept = tempfile::tempdir().unwrap();
    let cache = CString::new(kept.path().join("cache").to_str().unwrap()).unwrap();
    let times = kept.path().join("cache/probe.json");
    for policy in [c"auto", c"least-memory", c"fastest"] {
        assert!(!times.exists(), "only what measures keeps times");
        let device = choose_with(policy, &package(), PLAIN, &cache).unwrap();
        assert_eq!(id(&device), "cpu", "{policy:?}");
    }
    assert!(std::fs::read_to_string(times).unwrap().contains("cpu"));

    let red = KinographOption { name: c"colour".as_ptr(), value: c"red".as_ptr() };
    let (status, message) = refusal(choose_with(c"auto", &package(), red, &cache));
    assert_eq!(status, S::Compile);
    assert!(message.contains("no device takes the whole model") && message.contains("cpu: "), "{message}");
}

#[test]
fn a_device_is_chosen_for_any_package() {
    let kept = tempfile::tempdir().unwrap();
    let cache = CString::new(kept.path().to_str().unwrap()).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/models/flipbook");
    let folder = CString::new(folder.to_str().unwrap()).unwrap();
    let names: Vec<_> =
        kinograph_flipbook::FILES.iter().map(|(name, _)| CString::new(*name).unwrap()).collect();
    let files: Vec<KinographFile> = (kinograph_flipbook::FILES.iter().zip(&names))
        .map(|((_, data), name)| KinographFile { name: name.as_ptr(), data: data.as_ptr(), size: data.len() })
        .collect();
    let in_memory = KinographPackage { files: files.as_ptr(), file_count: files.len(), ..package() };
    for package in [package(), KinographPackage { path: folder.as_ptr(), ..package() }, in_memory] {
        let device = choose_with(c"auto", &package, PLAIN, &cache).unwrap();
        load(&device).unwrap();
    }

    let status = |package: KinographPackage| refusal(choose(c"auto".as_ptr(), &raw const package, null())).0;
    assert_eq!(status(KinographPackage { path: folder.as_ptr(), ..in_memory }), S::Argument);
    assert_eq!(status(KinographPackage { path: c"no/such/model".as_ptr(), ..package() }), S::Package);
    assert_eq!(status(KinographPackage { path: NOT_UTF8.as_ptr(), ..package() }), S::Utf8);
    assert_eq!(status(KinographPackage { file_count: 1, ..package() }), S::Null);
    assert_eq!(status(KinographPackage { struct_size: 3, ..package() }), S::Argument);
}

#[test]
fn what_chooses_is_checked() {
    let package = package();
    let status = |policy: *const c_char| refusal(choose(policy, &raw const package, null())).0;
    assert_eq!(status(null()), S::Null);
    assert_eq!(status(NOT_UTF8.as_ptr()), S::Utf8);
    let (code, message) = refusal(choose(c"cpu".as_ptr(), &raw const package, null()));
    assert_eq!(code, S::Argument);
    assert_eq!(message, "`cpu` is no policy; there are auto, fastest, least-memory");
    assert_eq!(refusal(choose(c"auto".as_ptr(), null(), null())).0, S::Null);
    let small = KinographDeviceOptions { struct_size: 3, ..options() };
    let (code, message) = refusal(choose(c"auto".as_ptr(), &raw const package, &raw const small));
    assert_eq!(code, S::Argument);
    assert_eq!(message, "set `options.struct_size` to the size of the struct");
    // SAFETY: texts and structs are alive.
    unsafe {
        let (auto, package) = (c"auto".as_ptr(), &raw const package);
        let made = make(|out, e| kinograph_runtime_choose(None, auto, package, null(), out, e));
        assert_eq!(refusal(made).0, S::Null);
        let runtime = runtime();
        let status = kinograph_runtime_choose(Some(&runtime), auto, package, null(), None, None);
        assert_eq!(status, S::Null);
    }
}
