//! Narrow instances of the graphs of Movie Gen on an adapter, with values between kernels in f32 and in f16.

use kinograph_backend::Device;

mod common;
#[path = "../../cpu/tests/narrow/mod.rs"]
mod narrow;

use common::open;

/// Each of some hundred layers rounds by a few units of 6e-8, and the residual sums keep the size of what flows: the errors,
/// of random sign, add up to a few times 1e-6 of the largest element.
const TOLERANCE: f64 = 1e-5;

/// Each of some hundred results is rounded to f16, by 2^-11 / sqrt(3) of it in the quadratic mean: ten times that when they are of random
/// sign and add up, 2.8e-3, and the furthest of a thousand elements is off by three to four times as much.
const TOLERANCE_OF_HALVES: f64 = 1e-2;

fn each(check: fn(&dyn Device, f64)) {
    for (storage, tolerance) in [("f32", TOLERANCE), ("f16", TOLERANCE_OF_HALVES)] {
        let Some(device) = open("wgpu:0", &[("storage", storage)]) else { return };
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
