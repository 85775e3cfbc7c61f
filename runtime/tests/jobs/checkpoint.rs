//! A job that is stopped and goes on gives what it would have given.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use kinograph::{CheckpointError, Error, Generated, Model, Numerics, Package, Precision, Request, Stage};

use crate::common::{cpu, load, tiny};

fn request(solver: &str, path: &Path) -> Request {
    let solver = solver.parse().unwrap();
    Request::new("a cat").seed(3).steps(6).solver(solver).checkpoint(path, Duration::ZERO)
}

/// Runs until the progress says so.
fn run_until(
    model: &Model,
    request: &Request,
    end: impl Fn(Stage, usize) -> bool,
) -> Result<Generated, Error> {
    model.generate(request, |p| match end(p.stage, p.step) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    })
}

#[test]
fn every_solver_goes_on_after_every_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job.safetensors");
    let model = load(tiny()).unwrap();
    for solver in ["euler", "midpoint", "heun", "rk4", "dopri5"] {
        let plain = Request::new("a cat").seed(3).steps(6).solver(solver.parse().unwrap());
        let whole = run_until(&model, &plain, |_, _| false).unwrap();
        let mut stops = vec![];
        model
            .generate(&plain, |p| {
                if p.stage == Stage::Sample {
                    stops.push(p.step);
                }
                ControlFlow::Continue(())
            })
            .unwrap();
        assert!(stops.len() > 3, "{solver}: {stops:?}");
        for stop in stops {
            let ended = run_until(&model, &request(solver, &path), |stage, step| {
                stage == Stage::Sample && step >= stop
            });
            assert!(matches!(ended, Err(Error::Cancelled)), "{solver} {stop}: {ended:?}");
            // The state of the last finished step is on disk; another model object goes on from it.
            let again = run_until(&load(tiny()).unwrap(), &request(solver, &path), |stage, step| {
                assert!(stage != Stage::Sample || step >= stop, "{solver} begins anew at {step} of {stop}");
                false
            });
            let again = again.unwrap_or_else(|e| panic!("{solver} {stop}: {e}"));
            assert!(again.latents == whole.latents && again.frames == whole.frames, "{solver} {stop}");
            std::fs::remove_file(&path).unwrap();
        }
    }
}

fn refusal(path: &Path, request: &Request) -> CheckpointError {
    let ended = load(tiny()).unwrap().generate(request, |_| ControlFlow::Continue(()));
    match ended {
        Err(Error::Checkpoint(error)) => error,
        other => panic!("{}: {other:?}", path.display()),
    }
}

#[test]
fn files_of_other_jobs_and_damaged_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job.safetensors");
    let model = load(tiny()).unwrap();
    let ended = run_until(&model, &request("heun", &path), |stage, step| stage == Stage::Sample && step == 2);
    assert!(matches!(ended, Err(Error::Cancelled)));
    let bytes = std::fs::read(&path).unwrap();
    for (setting, other) in [
        ("items", request("heun", &path).seed(4)),
        ("items", request("heun", &path).negative("dark")),
        ("solver", request("midpoint", &path)),
        ("times", request("heun", &path).steps(7)),
        ("size", request("heun", &path).size(32, 16)),
        ("guidance", request("heun", &path).guidance("3.0".parse().unwrap())),
    ] {
        let error = refusal(&path, &other).to_string();
        assert!(error.contains(&format!("another {setting}")), "{setting}: {error}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "the file of the other job stays");
    }
    for length in [0, 7, 8, 40, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let error = refusal(&path, &request("heun", &path)).to_string();
        assert!(error.contains("job.safetensors") && error.contains("remove it"), "{error}");
    }
    // Values that no run would leave.
    let mut nan = bytes.clone();
    let end = nan.len();
    nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&path, &nan).unwrap();
    assert!(refusal(&path, &request("heun", &path)).to_string().contains("not finite"));
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert!(text.contains("[2,"), "the position stands in the header");
    let moved: Vec<u8> =
        bytes.iter().enumerate().map(|(i, &b)| if text_at(&bytes, i) { b'3' } else { b }).collect();
    std::fs::write(&path, &moved).unwrap();
    let ended = model.generate(&request("heun", &path), |_| ControlFlow::Continue(()));
    let error = ended.unwrap_err().to_string();
    assert!(error.contains("position"), "{error}");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(matches!(refusal(&path, &request("heun", &path)), CheckpointError::Content { .. }));
}

#[test]
fn arithmetics_are_not_mixed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job.safetensors");
    let exact = Numerics::Reproducible(Precision::R16).on(cpu()).unwrap();
    let model = |device| Model::load(Package::built_in(kinograph_flipbook::FILES).unwrap(), device).unwrap();
    let [native, exact] = [cpu(), exact].map(model);
    let request = Request::new("a red circle").frames(1).steps(2).checkpoint(&path, Duration::ZERO);
    for (first, second) in [(&native, &exact), (&exact, &native)] {
        let ended = run_until(first, &request, |stage, step| stage == Stage::Sample && step == 1);
        assert!(matches!(ended, Err(Error::Cancelled)));
        let error = run_until(second, &request, |_, _| false).unwrap_err().to_string();
        assert!(error.contains("another numerics"), "{error}");
        std::fs::remove_file(&path).unwrap();
    }
}

/// Whether the byte at `i` is the number of steps in the position.
fn text_at(bytes: &[u8], i: usize) -> bool {
    i > 2 && bytes[i] == b'2' && &bytes[i - 1..i] == b"[" && bytes[i + 1] == b','
}
