//! Nothing is left behind. One test, as the counter is the process's.

#[path = "abi/support.rs"]
#[allow(dead_code)]
mod support;

use std::ptr::null;

use kinograph_capi::*;
use peak_alloc::PeakAlloc;
use support::{call, frames, generate, make, refusal};

#[global_allocator]
static COUNTER: PeakAlloc = PeakAlloc;

/// All that a host does from its start to its end. One thread, as others end in their own time.
fn host() {
    let runtime = make(|out, error| kinograph_runtime_new(out, error)).unwrap();
    let devices = make(|out, error| kinograph_runtime_devices(Some(&runtime), out, error)).unwrap();
    kinograph_device_list_free(Some(devices));
    kinograph_runtime_free(Some(runtime));
    let device = support::device(1);
    // SAFETY: the text is alive.
    let placed = make(|out, error| unsafe {
        let component = c"decoder".as_ptr();
        kinograph_device_with_component(Some(&device), component, Some(&device), out, error)
    });
    let placed = placed.unwrap();
    kinograph_device_free(Some(device));
    let model = make(|out, error| kinograph_model_load_flipbook(Some(&placed), out, error)).unwrap();
    kinograph_device_free(Some(placed));
    let control = make(|out, error| kinograph_control_new(out, error)).unwrap();
    let mut request = support::request(c"a blue star", 1, 1);
    call(|error| kinograph_request_control(Some(&mut request), Some(&control), error)).unwrap();
    call(|error| kinograph_request_steps(Some(&mut request), 1, error)).unwrap();
    let plan = make(|out, error| kinograph_model_plan(Some(&model), Some(&request), out, error)).unwrap();
    kinograph_plan_free(Some(plan));
    let video = generate(&model, &request, null()).unwrap();
    assert_eq!(frames(&video).0, 1);
    let latents = make(|out, error| kinograph_video_latents(Some(&video), out, error)).unwrap();
    kinograph_video_free(Some(video));
    kinograph_tensor_free(Some(latents));
    kinograph_control_cancel(Some(&control));
    let cancelled = refusal(generate(&model, &request, null()));
    assert_eq!(cancelled.0, KinographStatus::Cancelled);
    kinograph_request_free(Some(request));
    kinograph_control_free(Some(control));
    kinograph_model_free(Some(model));
}

#[test]
fn a_hundred_hosts_take_no_more_than_one() {
    // What the standard library and the kernels keep for each thread comes with the first.
    host();
    host();
    let before = COUNTER.current_usage();
    for _ in 0..100 {
        host();
    }
    assert_eq!(COUNTER.current_usage(), before, "bytes in use after a hundred hosts");
}
