//! Whole jobs: from the prompt to frames.

use std::collections::HashMap;
use std::ops::ControlFlow;

use kinograph::guidance::Guidance;
use kinograph::{CodecOptions, HostTensor, Model, Numerics, Precision, Request};

use crate::common::cpu;
use crate::reference::{Reference, all, close, everywhere};

fn request(reference: &Reference) -> Request {
    let scale = reference.call["guidance_scale"].as_f64().unwrap() as f32;
    Request::new(reference.text("prompt"))
        .negative(reference.text("negative_prompt"))
        .size(reference.number("width"), reference.number("height"))
        .frames(reference.number("num_frames"))
        .steps(reference.number("num_inference_steps"))
        .guidance(Guidance::constant(scale).unwrap())
        .text_tokens(reference.number("max_sequence_length"))
        .latents(reference.tensor("latents_init").clone())
}

/// Frames as diffusers gives them, in 0 to 1, rounded to bytes.
fn frames(reference: &Reference) -> Vec<f32> {
    reference.tensor("frames").as_f32().unwrap().iter().map(|v| v * 255.0).collect()
}

#[test]
fn generate_makes_the_same_video() {
    for (device, mut reference) in everywhere() {
        reference.name = format!("{}: {}", device.info().id, reference.name);
        let model = Model::load(reference.package(), device).unwrap();
        let made = model.generate(&request(&reference), |_| ControlFlow::Continue(())).unwrap();
        let last = format!("step{:02}.latents", reference.number("num_inference_steps") - 1);
        close(
            &format!("{}: latents", reference.name),
            made.latents.as_f32().unwrap(),
            reference.tensor(&last),
        );
        let expected = frames(&reference);
        assert_eq!(made.frames.data().len(), expected.len());
        let far = made.frames.data().iter().zip(&expected).map(|(a, b)| (f32::from(*a) - b).abs());
        let farthest = far.fold(0.0, f32::max);
        assert!(farthest <= 0.6, "{}: a byte is off by {farthest}", reference.name);
    }
}

/// Latents and frames with reproducible numerics: near those of diffusers, and the same bits on every device.
#[test]
fn reproducible_numerics_give_the_same_bits() {
    let mut first: HashMap<String, (String, HostTensor, Vec<u8>)> = HashMap::new();
    // In ordinary ops, as the libraries get them, a step takes seconds.
    let short = |(_, reference): &(_, Reference)| reference.number("num_inference_steps") <= 2;
    for (device, reference) in everywhere().into_iter().filter(short) {
        let id = device.info().id.clone();
        let device = Numerics::Reproducible(Precision::R16).on(device).unwrap();
        let model = Model::load(reference.package(), device).unwrap();
        let made = model.generate(&request(&reference), |_| ControlFlow::Continue(())).unwrap();
        let (latents, frames) = (made.latents, made.frames.data().to_vec());
        match first.get(&reference.name) {
            None => _ = first.insert(reference.name.clone(), (id, latents, frames)),
            Some((other, due, due_frames)) => {
                assert!(latents == *due && frames == *due_frames, "{}: {id} and {other}", reference.name);
                println!("{}: {id} and {other}: the same bits", reference.name);
            }
        }
    }
    assert!(!first.is_empty());
}

#[test]
fn a_checkpoint_goes_on_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    for (i, reference) in all().into_iter().enumerate() {
        let model = Model::load(reference.package(), cpu()).unwrap();
        let whole = model.sample(&request(&reference), |_| ControlFlow::Continue(())).unwrap();
        let path = folder.path().join(format!("{i}.safetensors"));
        let request = request(&reference).checkpoint(&path, std::time::Duration::ZERO);
        let stop = |p: kinograph::Progress| match p.stage {
            kinograph::Stage::Sample if p.step == 1 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        };
        assert!(model.sample(&request, stop).is_err());
        let rest = model.sample(&request, |_| ControlFlow::Continue(())).unwrap();
        assert!(whole == rest, "{}", reference.name);
    }
}

#[test]
fn tiles_in_space_are_near_the_whole() {
    let reference = all().into_iter().find(|r| r.tensor("vae.in").desc().shape[2] > 1).unwrap();
    let model = Model::load(reference.package(), cpu()).unwrap();
    let latents = model.sample(&request(&reference), |_| ControlFlow::Continue(())).unwrap();
    let decode = |options: &CodecOptions| {
        let mut bytes = Vec::new();
        let take = |frame: &[u8]| {
            bytes.extend_from_slice(frame);
            Ok(())
        };
        model.decode(&latents, options, take, |_| ControlFlow::Continue(())).unwrap();
        bytes
    };
    let whole = decode(&CodecOptions::new());
    let tiled = decode(&CodecOptions::new().spatial_tiles("6:2".parse().unwrap()));
    assert_eq!(whole.len(), tiled.len());
    let sum: u64 = whole.iter().zip(&tiled).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    let mean = sum as f64 / whole.len() as f64;
    // Norms are of single positions, so what differs is what convolutions and the attention see across the edges.
    assert!(mean > 0.0 && mean < 24.0, "{mean}");
}
