//! Every case on the CPU device, at each SIMD level that this machine has, with one and two threads.

use std::sync::Arc;

use kinograph_backend::{Backend, Device, DeviceOptions};
use kinograph_conformance::{Case, Suite, random_case, run, run_for_bytes};
use kinograph_cpu::CpuBackend;

fn device(level: &str, threads: usize) -> Arc<dyn Device> {
    let extra = [("simd".to_owned(), level.to_owned())].into();
    CpuBackend.open("cpu", &DeviceOptions { threads: Some(threads), extra, ..Default::default() }).unwrap()
}

/// Runs cases with one thread against the reference, and with two and three for the same bytes.
fn check(cases: &[Case]) {
    let mut failures = Vec::new();
    for level in CpuBackend::simd_levels() {
        let one = device(level, 1);
        let more = [device(level, 2), device(level, 3)];
        for case in cases {
            match run(&*one, case) {
                Ok(verdict) if verdict.passed() => {
                    println!("{level}: {verdict}");
                }
                Ok(verdict) => failures.push(format!("{level}: {verdict}")),
                Err(error) => failures.push(format!("{level}: {case}: {error}")),
            }
            let bytes = run_for_bytes(&*one, case).ok();
            for other in &more {
                if run_for_bytes(&**other, case).ok() != bytes {
                    failures.push(format!("{level}: {case}: the bytes depend on the threads"));
                }
            }
        }
    }
    println!("{} cases", cases.len());
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_case_is_within_its_bound() {
    let suite = Suite::builtin().unwrap();
    check(suite.cases());
}

/// `KINOGRAPH_SEED` repeats one seed; without it, a fixed range is tried.
#[test]
fn random_cases_are_within_their_bounds() {
    let seeds = match std::env::var("KINOGRAPH_SEED").ok().and_then(|s| s.parse::<u64>().ok()) {
        Some(seed) => seed..seed + 1,
        None => 0..400,
    };
    let cases: Vec<Case> = seeds.filter_map(random_case).collect();
    assert!(!cases.is_empty());
    check(&cases);
}
