//! Narrow instances of the graphs of Movie Gen on an adapter, with values between kernels in f32 and in f16.

use std::sync::Arc;

use kinograph_backend::{Backend, Device, DeviceOptions};
use kinograph_wgpu::WgpuBackend;

#[path = "../../cpu/tests/narrow/mod.rs"]
mod narrow;

/// Each of some hundred layers rounds by a few units of 6e-8, and the residual sums keep the size of what flows: the errors,
/// of random sign, add up to a few times 1e-6 of the largest element.
const TOLERANCE: f64 = 1e-5;

/// Each of some hundred results is rounded to f16, by 2^-11 / sqrt(3) of it in the quadratic mean: ten times that when they are of random
/// sign and add up, 2.8e-3, and the furthest of a thousand elements is off by three to four times as much.
const TOLERANCE_OF_HALVES: f64 = 1e-2;

/// The first adapter; none is a skip, or a failure where every device is required.
fn each(check: fn(&dyn Device, f64)) {
    for (storage, tolerance) in [("f32", TOLERANCE), ("f16", TOLERANCE_OF_HALVES)] {
        let extra = [("storage".to_owned(), storage.to_owned())].into();
        let options = DeviceOptions { extra, ..Default::default() };
        let device: Arc<dyn Device> = match WgpuBackend.open("wgpu:0", &options) {
            Ok(device) => device,
            Err(error) if std::env::var_os("KINOGRAPH_REQUIRE_ALL").is_some() => panic!("{error}"),
            Err(error) => return println!("skipped: {error}"),
        };
        check(&*device, tolerance);
    }
}

#[test]
fn backbone() {
    each(narrow::backbone);
}

#[test]
fn autoencoder() {
    each(narrow::autoencoder);
}

#[test]
fn text_encoders() {
    each(narrow::text_encoders);
}
