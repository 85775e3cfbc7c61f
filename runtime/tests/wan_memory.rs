//! The memory of decoding a clip in pieces does not grow with its length. A test binary of its own: the allocator counts
//! everything that runs in it.
#![allow(missing_docs)]
#![cfg(feature = "tokenizers")]

use std::ops::ControlFlow;
use std::path::Path;

use kinograph::{CodecOptions, DeviceOptions, HostTensor, Model, Package, Runtime};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Bytes that decoding so many latent frames needs at most beside the latents themselves, and the frames that it makes.
fn decode(model: &Model, frames: usize) -> (usize, usize) {
    let channels = model.manifest().latent.channels;
    let shape = [1, channels, frames, 8, 12];
    let noise = |i: usize| kinograph::noise::normal(7, 0, i as u64);
    let latents = HostTensor::f32(shape, (0..shape.iter().product()).map(noise).collect()).unwrap();
    let mut made = 0;
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let count = |_: &[u8]| {
        made += 1;
        Ok(())
    };
    model.decode(&latents, &CodecOptions::new(), count, |_| ControlFlow::Continue(())).unwrap();
    (ALLOCATOR.peak_usage() - before, made)
}

#[test]
fn decoding_in_pieces_needs_no_more_for_a_longer_clip() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wan/goldens/a");
    // Each thread has memory of its own for what it works on.
    let options = DeviceOptions { threads: Some(2), ..DeviceOptions::default() };
    let device = Runtime::new().open("cpu", &options).unwrap();
    let model = Model::load(Package::open(&directory).unwrap(), device).unwrap();
    // What is compiled and kept is not of one clip.
    decode(&model, 2);
    let (short, made) = decode(&model, 6);
    assert_eq!(made, 21);
    let (long, made) = decode(&model, 21);
    assert_eq!(made, 81);
    println!("21 frames: {short} bytes, 81 frames: {long} bytes");
    assert!(long as f64 <= 1.2 * short as f64, "{long} bytes for 81 frames, {short} for 21");
    // With what is carried there twice, and what convolutions read written out, it was 3.3 MB.
    assert!(long < 1_800_000, "{long} bytes");
}
