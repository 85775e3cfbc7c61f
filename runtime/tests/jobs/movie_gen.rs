//! The plan of Movie Gen at full size, which nobody has the weights of.

use std::path::Path;

use kinograph::{Package, Request, Stage, plan};

use crate::common::cpu;

fn near(found: f64, expected: f64, share: f64) {
    assert!((found / expected - 1.0).abs() <= share, "{found:e} is not {expected:e} within {share}");
}

fn package(name: &str) -> Package {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../graph/models/movie-gen");
    Package::open(&folder.join(name)).unwrap_or_else(|e| panic!("{e}"))
}

/// The numbers of the paper, as the design of this project derives them.
#[test]
fn thirty_billion_parameters_are_planned() {
    let request = Request::new("a fox").frames(256).size(768, 768);
    let plan = plan(&package("model.toml"), cpu(), &request).unwrap_or_else(|e| panic!("{e}"));
    let stage = |stage: Stage| plan.stages.iter().find(|s| s.stage == stage).unwrap();
    let (sample, decode) = (stage(Stage::Sample), stage(Stage::Decode));
    near(sample.parameters as f64, 29.3e9, 0.01);
    near(sample.weight_bytes as f64, 58.6e9, 0.01);
    near(sample.flops as f64, 1.02e16, 0.03);
    assert_eq!((sample.tokens, decode.tiles), (Some(73_728), 15));
    assert_eq!(sample.forwards, Some(100), "50 steps with guidance");
}

#[test]
fn smaller_ones_share_the_graphs() {
    for (name, parameters) in [("model-5b.toml", 5e9), ("model-1b.toml", 1e9)] {
        let plan = plan(&package(name), cpu(), &Request::new("a fox")).unwrap_or_else(|e| panic!("{e}"));
        let backbone = plan.stages.iter().find(|s| s.stage == Stage::Sample).unwrap();
        near(backbone.parameters as f64, parameters, 0.1);
    }
}

#[test]
fn a_limit_says_what_is_needed_before_anything_starts() {
    let request = Request::new("a fox").frames(256).size(768, 768).memory_limit(24 << 30);
    let error = plan(&package("model.toml"), cpu(), &request).unwrap_err().to_string();
    assert!(error.contains("24576.0 MiB") && error.contains("backbone"), "{error}");
}
