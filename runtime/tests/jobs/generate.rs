//! Jobs on the tiny package: what a request means, and what comes out.

use std::ops::ControlFlow;
use std::thread;

use crate::common::{cpu, load, tiny};
use kinograph::{Control, Error, Generated, HostTensor, Model, Package, Request, Stage};

fn make(model: &Model, request: &Request) -> Generated {
    model.generate(request, |_| ControlFlow::Continue(())).unwrap_or_else(|e| panic!("{e}"))
}

fn bytes(generated: &Generated) -> Vec<u8> {
    generated.frames.data().to_vec()
}

#[test]
fn sizes_and_frames_are_as_asked() {
    let model = load(tiny()).unwrap();
    for (frames, latent_frames) in [(1, 1), (2, 1), (3, 2), (8, 4)] {
        let made = make(&model, &Request::new("x").frames(frames).size(32, 16));
        assert_eq!((made.frames.len(), made.frames.width(), made.frames.height()), (frames, 32, 16));
        assert_eq!(made.latents.desc().shape, [1, 3, latent_frames, 2, 4]);
    }
    let default = make(&model, &Request::new("x"));
    assert_eq!((default.frames.len(), default.frames.width()), (3, 16));
}

#[test]
fn seed_prompt_and_settings_decide_alone() {
    let model = load(tiny()).unwrap();
    let base = || Request::new("a cat").seed(1);
    let first = bytes(&make(&model, &base()));
    assert!(first == bytes(&make(&model, &base())), "the same request twice");
    assert!(first == bytes(&make(&load(tiny()).unwrap(), &base())), "another model object");
    for (what, other) in [
        ("seed", base().seed(2)),
        ("prompt", Request::new("a dog").seed(1)),
        ("negative", base().negative("blur")),
        ("fps", base().fps(16)),
        ("steps", base().steps(5)),
        ("schedule", base().schedule("linear-quadratic".parse().unwrap())),
        ("guidance", base().guidance("4.0".parse().unwrap())),
    ] {
        assert!(first != bytes(&make(&model, &other)), "{what} has no effect");
    }
}

/// The sampler and guidance by hand: the tiny backbone is x' = m - x with m the mixed mean of the text,
/// guided linearly, so Euler has a closed form.
#[test]
fn latents_follow_the_formula() {
    let model = load(tiny()).unwrap();
    let noise = HostTensor::f32([3, 1, 2, 2], (0..12).map(|i| i as f32 / 4.0).collect()).unwrap();
    let request = Request::new("ab").frames(2).latents(noise.clone()).steps(4);
    let made = make(&model, &request);
    // At guidance g the velocity is m_neg + g (m_text - m_neg) - x; step 1/4 multiplies the distance to it by 3/4.
    let left = 0.75f32.powi(4);
    let drawn: Vec<f32> = made
        .latents
        .as_f32()
        .unwrap()
        .iter()
        .zip(noise.as_f32().unwrap())
        .map(|(x, n)| (x - left * n) / (1.0 - left))
        .collect();
    for channel in drawn.chunks(4) {
        assert!(channel.iter().all(|v| (v - channel[0]).abs() < 1e-4), "one target a channel: {drawn:?}");
    }
    let unguided =
        make(&model, &Request::new("ab").frames(2).latents(noise).guidance("1.0".parse().unwrap()));
    assert_ne!(bytes(&made), bytes(&unguided));
}

#[test]
fn progress_tells_every_step_in_order() {
    let model = load(tiny()).unwrap();
    let mut seen = Vec::new();
    let request = Request::new("x").steps(3);
    model
        .generate(&request, |p| {
            seen.push((p.stage, p.step, p.of));
            ControlFlow::Continue(())
        })
        .unwrap();
    let expected = [
        (Stage::Text, 0, 1),
        (Stage::Text, 1, 1),
        (Stage::Sample, 0, 3),
        (Stage::Sample, 1, 3),
        (Stage::Sample, 2, 3),
        (Stage::Sample, 3, 3),
        (Stage::Decode, 0, 1),
        (Stage::Decode, 1, 1),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn cancelling_at_any_moment_ends_the_job_and_keeps_the_model() {
    let model = load(tiny()).unwrap();
    for moment in 0..8 {
        let mut calls = 0;
        let ended = model.generate(&Request::new("x").steps(3), |_| {
            calls += 1;
            if calls > moment { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(matches!(ended, Err(Error::Cancelled)), "moment {moment}");
    }
    let control = Control::new();
    control.cancel();
    let ended = model.generate(&Request::new("x").control(control), |_| ControlFlow::Continue(()));
    assert!(matches!(ended, Err(Error::Cancelled)));
    make(&model, &Request::new("x"));
}

#[test]
fn threads_may_share_a_model() {
    let model = load(tiny()).unwrap();
    let expected = bytes(&make(&model, &Request::new("x").frames(8)));
    thread::scope(|scope| {
        let jobs: Vec<_> =
            (0..4).map(|_| scope.spawn(|| bytes(&make(&model, &Request::new("x").frames(8))))).collect();
        for job in jobs {
            assert_eq!(job.join().unwrap(), expected);
        }
    });
}

#[test]
fn requests_that_do_not_fit_are_refused_with_what_would() {
    let model = load(tiny()).unwrap();
    let refusal = |request: Request| {
        model.generate(&request, |_| ControlFlow::Continue(())).expect_err("it must be refused").to_string()
    };
    assert_eq!(refusal(Request::new("x").frames(9)), "9 frames: this model makes 1 to 8");
    assert_eq!(refusal(Request::new("x").frames(0)), "0 frames: this model makes 1 to 8");
    assert_eq!(refusal(Request::new("x").size(20, 16)), "20x16: width and height must be multiples of 8");
    assert_eq!(refusal(Request::new("x").size(64, 16)), "64x16: this model makes up to 32x32");
    assert_eq!(refusal(Request::new("x").fps(30)), "30 frames per second: this model knows 8, 16");
    assert!(refusal(Request::new("x").steps(0)).contains("steps"));
    let wrong = HostTensor::f32([3, 1], vec![0.0; 3]).unwrap();
    assert_eq!(
        refusal(Request::new("x").latents(wrong)),
        "the given latents are [3, 1], but this request needs [3, 2, 2, 2] (channels, frames, height, width)"
    );
    assert!(refusal(Request::new("x".repeat(2 << 20))).contains("prompt"));
    make(&model, &Request::new(""));
    make(&model, &Request::new("\0 \u{feff} 🎞 \"quoted"));
}

#[test]
fn a_directory_is_a_package_too() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in tiny() {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let on_disk = Model::load(Package::open(folder.path()).unwrap(), cpu()).unwrap();
    let in_memory = load(tiny()).unwrap();
    let request = Request::new("x");
    assert_eq!(bytes(&make(&on_disk, &request)), bytes(&make(&in_memory, &request)));
}
