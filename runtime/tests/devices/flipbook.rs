//! The bundled model on every device that is there.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;

use kinograph::{Control, Device, Error, Generated, Model, Package, Request, Stage};

use crate::common::{cpu, opened, others, psnr};

fn model(device: Arc<dyn Device>) -> Model {
    Model::load(Package::built_in(kinograph_flipbook::FILES).unwrap(), device).unwrap()
}

fn make(model: &Model, request: &Request) -> Generated {
    model.generate(request, |_| ControlFlow::Continue(())).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn frames_agree_with_those_of_the_cpu() {
    let request = Request::new("a yellow star moves up on a blue background").frames(16).steps(8).seed(5);
    let reference = make(&model(cpu()), &request);
    for device in others() {
        let id = device.info().id.clone();
        let made = make(&model(device), &request);
        let ratio = psnr(made.frames.data(), reference.frames.data());
        println!("{id}: {ratio:.1} dB");
        assert!(ratio > 60.0, "{id}: {ratio:.1} dB");
    }
}

/// In less memory. An error of one step of 255 everywhere would be 48 dB.
#[cfg(feature = "wgpu")]
#[test]
fn frames_agree_where_values_are_kept_in_f16() {
    let request = Request::new("a yellow star moves up on a blue background").frames(16).steps(8).seed(5);
    let reference = make(&model(cpu()), &request);
    let [halves, words] = ["f16", "f32"].map(|storage| opened(&["wgpu:0"], &[("storage", storage)]));
    for (halves, words) in halves.into_iter().zip(words) {
        let (halves, words) = (model(halves), model(words));
        let peaks = [&halves, &words].map(|model| model.plan(&request).unwrap().peak);
        let ratio = psnr(make(&halves, &request).frames.data(), reference.frames.data());
        println!("{ratio:.1} dB, planned {peaks:?} bytes");
        assert!(ratio > 55.0, "{ratio:.1} dB");
        assert!(peaks[0] * 4 < peaks[1] * 3, "{peaks:?}");
    }
}

#[test]
fn a_cancelled_job_leaves_the_model_as_it_was() {
    let request = || Request::new("a red circle").frames(1).steps(3).guidance("1".parse().unwrap()).seed(1);
    for device in others() {
        let (id, model) = (device.info().id.clone(), model(device));
        let before = make(&model, &request());
        let control = Control::new();
        let other = control.clone();
        let endless = Request::new("a red circle").frames(32).steps(200).control(control);
        let cancelled = thread::scope(|scope| {
            let (started, begins) = std::sync::mpsc::channel();
            let job = scope.spawn(|| {
                model.generate(&endless, move |p| {
                    if p.stage == Stage::Sample && p.step == 1 {
                        started.send(()).unwrap();
                    }
                    ControlFlow::Continue(())
                })
            });
            begins.recv().unwrap();
            other.cancel();
            job.join().unwrap()
        });
        assert!(matches!(cancelled, Err(Error::Cancelled)), "{id}: {cancelled:?}");
        assert!(make(&model, &request()).frames.data() == before.frames.data(), "{id}");
    }
}

#[test]
fn threads_share_a_model() {
    for device in others() {
        let (id, model) = (device.info().id.clone(), model(device));
        let request = |seed| Request::new("a red circle").frames(1).steps(2).seed(seed);
        let alone: Vec<_> = (0..8).map(|seed| make(&model, &request(seed)).frames).collect();
        let together: Vec<_> = thread::scope(|scope| {
            let jobs: Vec<_> = (0..8)
                .map(|s| {
                    let model = &model;
                    scope.spawn(move || make(model, &request(s)).frames)
                })
                .collect();
            jobs.into_iter().map(|job| job.join().unwrap()).collect()
        });
        for (seed, (a, b)) in alone.iter().zip(&together).enumerate() {
            assert!(a.data() == b.data(), "{id}: seed {seed}");
        }
    }
}
