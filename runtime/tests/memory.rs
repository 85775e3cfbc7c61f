//! Memory as it is, counted by the allocator, against the plan. One test, as the counter is the process's.

use std::ops::ControlFlow;

use kinograph::media::{FrameRate, FrameSource, MediaError};
use kinograph::tiling::Tiles;
use kinograph::{CodecOptions, DeviceOptions, HostTensor, Model, Package, Progress, Request, Runtime};
use peak_alloc::PeakAlloc;

#[global_allocator]
static COUNTER: PeakAlloc = PeakAlloc;

fn quiet(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// The most bytes that were in use beyond those in use before.
fn peak_of<R>(work: impl FnOnce() -> R) -> (R, f64) {
    let before = COUNTER.current_usage();
    COUNTER.reset_peak_usage();
    let result = work();
    (result, (COUNTER.peak_usage() - before) as f64)
}

/// A new model each time, so that nothing is kept from the job before.
fn model(threads: usize) -> Model {
    let options = DeviceOptions { threads: Some(threads), ..Default::default() };
    let device = Runtime::new().open("cpu", &options);
    Model::load(Package::built_in(kinograph_flipbook::FILES).unwrap(), device.unwrap()).unwrap()
}

/// Weights that are read in place lie in the program itself and are not the allocator's.
fn heap(plan: &kinograph::Plan, release: bool) -> f64 {
    let in_place = plan.stages.iter().map(|s| s.memory.weights_in_place);
    let largest = plan.stages.iter().max_by_key(|s| s.memory.total() + s.host);
    let mapped = match release {
        true => largest.map_or(0, |s| s.memory.weights_in_place),
        false => in_place.sum(),
    };
    (plan.peak - mapped) as f64
}

/// Frames of noise without end, so that nothing but the encoder can grow.
struct Noise {
    left: usize,
}

impl FrameSource for Noise {
    fn width(&self) -> usize {
        64
    }

    fn height(&self) -> usize {
        64
    }

    fn rate(&self) -> Option<FrameRate> {
        None
    }

    fn frames(&self) -> Option<usize> {
        None
    }

    fn next_frame(&mut self, rgb: &mut Vec<u8>) -> Result<bool, MediaError> {
        let more = self.left > 0;
        self.left = self.left.saturating_sub(1);
        rgb.clear();
        rgb.resize(64 * 64 * 3, (self.left * 37) as u8);
        Ok(more)
    }
}

#[test]
fn memory_is_what_the_plan_says_and_does_not_grow_with_the_clip() {
    plans_hold();
    codec_does_not_grow();
}

/// The plan is within a tenth of what is measured, without a limit and with each kind of tactics.
fn plans_hold() {
    let large = || Request::new("a red circle moves left").frames(32).size(96, 96).steps(2);
    let free = model(2).plan(&large()).unwrap();
    for (name, request) in [
        ("plain", large()),
        ("small", large().size(64, 64).frames(9)),
        ("batch of one without guidance", large().guidance("1".parse().unwrap())),
        ("released", large().memory_limit(free.peak - 1)),
        ("tiles", large().spatial_tiles(Tiles::new(8, 2).unwrap())),
    ] {
        let model = model(2);
        let plan = model.plan(&request).unwrap();
        let ((), measured) = peak_of(|| {
            model.generate_to(&request, |_| Ok(()), quiet).unwrap_or_else(|e| panic!("{name}: {e}"));
        });
        let planned = heap(&plan, plan.tactics.release);
        let off = measured / planned - 1.0;
        println!("{name}: planned {planned} measured {measured} ({:+.1} %)", 100.0 * off);
        assert!(off.abs() < 0.1, "{name}: planned {planned}, measured {measured}");
    }
}

fn codec_does_not_grow() {
    let mut peaks = Vec::new();
    for frames in [32, 128, 512] {
        // One thread: with more, it depends on their timing which of them come to need scratch memory.
        let model = model(1);
        let (made, encoding) =
            peak_of(|| model.encode(&mut Noise { left: frames }, &CodecOptions::new(), quiet).unwrap());
        assert_eq!((made.frames, made.latents.desc().shape[2]), (frames, frames / 8));
        let mut count = 0;
        let take = |_: &[u8]| {
            count += 1;
            Ok(())
        };
        let latents: &HostTensor = &made.latents;
        let (done, decoding) = peak_of(|| model.decode(latents, &CodecOptions::new(), take, quiet));
        done.unwrap();
        assert_eq!(count, frames);
        // The latent itself grows; it is a 24th of the frames as bytes.
        let latent = (latents.as_f32().unwrap().len() * 4) as f64;
        println!("{frames} frames: encode {encoding}, decode {decoding}, latent {latent}");
        peaks.push([encoding - 3.0 * latent, decoding - 3.0 * latent]);
    }
    for i in 0..2 {
        // One tile has no neighbour, whose overlap would wait to be blended; beyond that nothing grows.
        assert!(peaks[1][i] / peaks[0][i] < 1.05 && peaks[2][i] / peaks[1][i] < 1.01, "{peaks:?}");
    }
}
