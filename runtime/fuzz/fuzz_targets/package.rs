//! Any bytes as a package: files follow each other, each after a line `=== name`. It loads on the
//! null device, and generates if it does, without a panic.
#![no_main]

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

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

/// Splits at the marker lines; what stands before the first is dropped.
fn files(data: &[u8]) -> BTreeMap<String, Arc<[u8]>> {
    let mut files = BTreeMap::new();
    let mut rest = data;
    while let Some(start) = find(rest, b"=== ") {
        rest = &rest[start + 4..];
        let end = find(rest, b"\n").unwrap_or(rest.len());
        let name = String::from_utf8_lossy(&rest[..end]).into_owned();
        rest = rest.get(end + 1..).unwrap_or(&[]);
        let next = find(rest, b"=== ").unwrap_or(rest.len());
        files.insert(name, rest[..next].into());
    }
    files
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}
