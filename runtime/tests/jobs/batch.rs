//! Several videos as one job, and what a listener hears.

use std::ops::ControlFlow;

use kinograph::{Model, Progress, Request, Stage};

use crate::common::{MANIFEST, load, tiny, with};

fn progress_of(model: &Model, request: &Request) -> Vec<Progress> {
    let mut heard = Vec::new();
    model
        .generate(request, |p| {
            heard.push(p);
            ControlFlow::Continue(())
        })
        .unwrap_or_else(|e| panic!("{e}"));
    heard
}

#[test]
fn a_batch_gives_what_each_request_gives_alone() {
    let model = load(tiny()).unwrap();
    let requests = [
        Request::new("a cat").seed(1),
        Request::new("a dog").seed(1),
        Request::new("a dog").seed(2).negative("fog"),
    ];
    let made = model.generate_batch(&requests, |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(made.len(), 3);
    for (request, made) in requests.iter().zip(&made) {
        let alone = model.generate(request, |_| ControlFlow::Continue(())).unwrap();
        // A product of few rows may be summed in another order than one of more: a few roundings in values of about 1.
        let pairs = alone.latents.as_f32().unwrap().iter().zip(made.latents.as_f32().unwrap());
        let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 16.0 * f32::EPSILON, "{request:?}: {worst}");
        let bytes = alone.frames.data().iter().zip(made.frames.data());
        assert!(bytes.map(|(a, b)| a.abs_diff(*b)).max() <= Some(1), "{request:?}");
    }
}

#[test]
fn a_batch_shares_its_settings() {
    let model = load(tiny()).unwrap();
    let base = || Request::new("a cat");
    let generate = |requests: &[Request]| {
        model.generate_batch(requests, |_| ControlFlow::Continue(())).unwrap_err().to_string()
    };
    assert!(generate(&[]).contains("at least one"));
    for (setting, other) in [
        ("frames", base().frames(2)),
        ("steps", base().steps(3)),
        ("guidance", base().guidance("1.0".parse().unwrap())),
        ("solver", base().solver("rk4".parse().unwrap())),
    ] {
        let error = generate(&[base(), base(), other]);
        assert!(error.contains(setting) && error.contains("request 2"), "{setting}: {error}");
    }
}

#[test]
fn frames_stream_out_in_order_and_are_the_same() {
    let model = load(tiny()).unwrap();
    let request = Request::new("a cat").frames(8).tiles(kinograph::tiling::Tiles::new(2, 1).unwrap());
    let whole = model.generate(&request, |_| ControlFlow::Continue(())).unwrap();
    let (mut frames, mut tiles_done, mut early) = (Vec::new(), 0, 0);
    let cell = std::cell::Cell::new(0);
    model
        .generate_to(
            &request,
            |frame| {
                frames.push(frame.to_vec());
                early += usize::from(cell.get() < 3);
                Ok(())
            },
            |p| {
                if p.stage == Stage::Decode {
                    tiles_done = p.step;
                    cell.set(p.step);
                    assert_eq!(p.of, 3);
                }
                ControlFlow::Continue(())
            },
        )
        .unwrap();
    assert_eq!(tiles_done, 3);
    assert!(early > 4, "frames come before the last tile is done");
    assert_eq!(frames.concat(), whole.frames.data());
}

#[test]
fn previews_and_estimates_are_told() {
    let preview = "[preview]\nweight = [[0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]]\nbias = [0, 0, 0]\n";
    let model = load(with("model.toml", format!("{MANIFEST}{preview}"))).unwrap();
    let heard = progress_of(&model, &Request::new("a cat").frames(4).steps(5).preview_every(2));
    let previews: Vec<_> = heard.iter().filter(|p| p.preview.is_some()).map(|p| (p.stage, p.step)).collect();
    assert_eq!(previews, [(Stage::Sample, 2), (Stage::Sample, 4)]);
    let picture = heard.iter().find_map(|p| p.preview.clone()).unwrap();
    assert_eq!((picture.len(), picture.height(), picture.width()), (2, 2, 2));
    // Nothing is known before the first step; at the end nothing is left.
    assert!(heard.iter().take_while(|p| p.stage == Stage::Text).all(|p| p.remaining.is_none()));
    assert!(heard.iter().filter(|p| p.stage == Stage::Sample && p.step > 0).all(|p| p.remaining.is_some()));
    assert_eq!(heard.last().and_then(|p| p.remaining).map(|r| r.as_nanos()), Some(0));
    assert!(progress_of(&load(tiny()).unwrap(), &Request::new("x")).iter().all(|p| p.preview.is_none()));
}

#[test]
fn an_adaptive_solver_tells_thousandths() {
    let model = load(tiny()).unwrap();
    let heard = progress_of(&model, &Request::new("a cat").solver("dopri5".parse().unwrap()));
    let steps: Vec<_> = heard.iter().filter(|p| p.stage == Stage::Sample).collect();
    assert!(steps.iter().all(|p| p.of == 1000 && p.step <= 1000));
    assert!(steps.windows(2).all(|w| w[0].step <= w[1].step) && steps.last().unwrap().step == 1000);
}
