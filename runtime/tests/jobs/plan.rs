//! Plans: what a job needs, and how it stays within a limit.

use std::ops::ControlFlow;

use kinograph::Package;
use kinograph::{Error, Plan, Request, RequestError, Stage, plan};

use crate::common::{cpu, flipbook, load, tiny, with};

fn stage(plan: &Plan, stage: Stage) -> &kinograph::StagePlan {
    plan.stages.iter().find(|s| s.stage == stage).unwrap()
}

#[test]
fn a_plan_counts_what_the_job_does() {
    let model = flipbook();
    let request = Request::new("x").frames(48).steps(10).solver("heun".parse().unwrap());
    let plan = model.plan(&request).unwrap();
    let (sample, decode) = (stage(&plan, Stage::Sample), stage(&plan, Stage::Decode));
    // 6 latent frames of 8x8, patches of 2x2; Heun takes two velocities a step, guidance two branches each.
    assert_eq!((plan.latent, sample.tokens), ([16, 6, 8, 8], Some(6 * 16)));
    assert_eq!((sample.forwards, decode.tiles, decode.forwards), (Some(10 * 2 * 2), 2, Some(2)));
    let graph = model.components().find(|c| c.name() == "backbone").unwrap().inspect().unwrap();
    assert_eq!(sample.parameters, graph.parameters());
    assert_eq!(sample.weight_bytes, 2 * graph.parameters(), "f16");
    let unguided = model.plan(&request.guidance("1.0".parse().unwrap())).unwrap();
    assert_eq!(stage(&unguided, Stage::Sample).forwards, Some(10 * 2));
    let adaptive = model.plan(&Request::new("x").solver("dopri5".parse().unwrap())).unwrap();
    assert_eq!((stage(&adaptive, Stage::Sample).forwards, adaptive.flops()), (None, None));
}

#[test]
fn a_plan_needs_no_weights() {
    let with_weights = load(tiny()).unwrap().plan(&Request::new("x")).unwrap();
    let mut files = with("model.toml", {
        let text = String::from_utf8(tiny()["model.toml"].to_vec()).unwrap();
        text.replace(
            "weights = [\"weights.safetensors\"]",
            "weights = [\"gone.safetensors\"]\ndtype = \"f32\"",
        )
    });
    files.remove("weights.safetensors");
    let package = Package::in_memory(files.clone()).unwrap();
    let planned = plan(&package, cpu(), &Request::new("x")).unwrap();
    assert_eq!(planned, with_weights);
    assert!(load(files).is_err(), "but it does not load");
    // A damaged file is not a missing one.
    let damaged = with("weights.safetensors", vec![1, 2, 3]);
    assert!(plan(&Package::in_memory(damaged).unwrap(), cpu(), &Request::new("x")).is_err());
}

/// Every limit is either kept to, with the tactics that it needs, or refused before any work.
#[test]
fn limits_are_kept_or_refused() {
    let model = flipbook();
    let request = || Request::new("a red circle moves left").frames(9).size(96, 96).steps(2);
    let free = model.plan(&request()).unwrap();
    assert_eq!(free.tactics, kinograph::Tactics::default());
    let make = |request: &Request| model.generate(request, |_| ControlFlow::Continue(())).unwrap();
    let plain = make(&request());
    let (mut limit, mut seen) = (free.peak, Vec::new());
    loop {
        match model.plan(&request().memory_limit(limit)) {
            Ok(plan) => {
                assert!(plan.peak <= limit);
                if !seen.contains(&plan.tactics) {
                    let made = make(&request().memory_limit(limit));
                    let same = made.frames == plain.frames;
                    assert_eq!(same, plan.tactics.spatial.is_none(), "{:?}", plan.tactics);
                    seen.push(plan.tactics);
                }
                limit = plan.peak - 1;
            }
            Err(Error::Request(RequestError::MemoryLimit { needed, limit: told, .. })) => {
                assert!(told == limit && needed > limit);
                break;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(seen.len() >= 3, "none, releasing, and tiles at least: {seen:?}");
    let refused = model.generate(&request().memory_limit(1000), |_| panic!("no work begins"));
    assert!(refused.unwrap_err().to_string().contains("MiB"));
}
