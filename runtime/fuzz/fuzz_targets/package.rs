//! Any bytes as a package, in the format of `files.rs`. It loads on the
//! null device, and generates if it does, without a panic.
#![no_main]

#[path = "../files.rs"]
mod files;

use std::ops::ControlFlow;

use files::files;
use kinograph::{Backend, DeviceOptions, Model, Package, Request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let device = kinograph_null::NullBackend.open("null", &DeviceOptions::default()).expect("the null device");
    let Ok(package) = Package::in_memory(files(data)) else { return };
    let video = &package.manifest().video;
    // What a package may ask for is bounded, but large: keep a run of the fuzzer short.
    let small = video.max_width <= 64 && video.max_height <= 64 && video.max_frames <= 16;
    let Ok(model) = Model::load(package, device) else { return };
    if small {
        let _ = model.generate(&Request::new("a \"b\"").steps(1), |_| ControlFlow::Continue(()));
    }
});
