//! No true device is flagged, whatever the data: fifty seeds of random ops, graphs and pipelines, on every device that this build
//! and this machine have.

use kinograph::Runtime;
use kinograph_backend::DeviceOptions;
use kinograph_conformance::{Catalogue, Expectations, Selection, Settings, Subject, random_items, test};

const SEEDS: u64 = 50;
/// Random cases of ops a seed.
const RANDOM: u64 = 40;
/// Graphs and pipelines a seed, in turn.
const OTHERS: usize = 6;

#[test]
fn fifty_seeds_flag_no_true_device() {
    let runtime = Runtime::new();
    let chosen = Selection {
        quick: true,
        filters: vec![
            "graph/".into(),
            "pipeline/sampling".into(),
            "pipeline/attention".into(),
            "pipeline/encode".into(),
        ],
        without: vec!["graph/decoder".into(), "graph/backbone of four".into()],
    };
    let others = Catalogue::builtin().unwrap().select(&chosen);
    let mut wrong = Vec::new();
    for info in runtime.devices() {
        let subject = Subject::new(runtime.open(&info.id, &DeviceOptions::default()).unwrap());
        let (mut count, mut worst) = (0, 0.0f64);
        // A graphics processor in software compiles kernels for each new shape of case: minutes for all seeds.
        let software = info.id.starts_with("wgpu") && info.fact("type") == Some("cpu");
        let seeds = if software { SEEDS / 10 } else { SEEDS };
        for seed in 0..seeds {
            let expectations = Expectations::of_device(&info.id).unwrap();
            let settings = Settings { seed: 1 + seed, expectations, ..Settings::default() };
            let turn = (0..OTHERS).map(|i| others[(seed as usize * OTHERS + i) % others.len()].clone());
            for item in random_items(10_000 + seed * RANDOM, RANDOM).into_iter().chain(turn) {
                let record = test(&subject, &item, &settings);
                count += 1;
                if record.outcome.is_pass() {
                    worst = worst.max(record.share);
                }
                if record.outcome.is_failure() {
                    wrong.push(format!("{}, seed {}: {record}", info.id, settings.seed));
                }
            }
        }
        println!("{}: {count} cases of {seeds} seeds, at most {worst:.3} of the bound", info.id);
    }
    assert!(wrong.is_empty(), "{} flagged:\n{}", wrong.len(), wrong.join("\n"));
}
