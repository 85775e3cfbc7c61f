//! Narrow instances of the graphs of Movie Gen on this device.

use std::sync::Arc;

use kinograph_backend::{Backend, Device, DeviceOptions};
use kinograph_cpu::CpuBackend;

mod narrow;

/// Each of some hundred layers rounds by a few units of 6e-8, and the residual sums keep the size of what flows: the errors,
/// of random sign, add up to a few times 1e-6 of the largest element.
const TOLERANCE: f64 = 1e-5;

fn device() -> Arc<dyn Device> {
    CpuBackend.open("cpu", &DeviceOptions { threads: Some(2), ..DeviceOptions::default() }).unwrap()
}

#[test]
fn backbone() {
    narrow::backbone(&*device(), TOLERANCE);
}

#[test]
fn autoencoder() {
    narrow::autoencoder(&*device(), TOLERANCE);
}

#[test]
fn text_encoders() {
    narrow::text_encoders(&*device(), TOLERANCE);
}
