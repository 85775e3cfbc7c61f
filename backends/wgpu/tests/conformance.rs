//! Every op case, and random ones, on each adapter.

use std::collections::HashSet;
use std::sync::Arc;

use kinograph_backend::{Backend, Device, DeviceOptions};
use kinograph_conformance::{Expectations, Suite, qualify, random_case};
use kinograph_wgpu::WgpuBackend;

/// Cases beyond the suite's: as many seeds.
const RANDOM: u64 = 100;

/// An adapter under these options; none is a skip, or a failure where every device is required.
fn open(id: &str, options: &[(&str, &str)]) -> Option<Arc<dyn Device>> {
    let extra = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    match WgpuBackend.open(id, &DeviceOptions { threads: None, extra, ..Default::default() }) {
        Ok(device) => Some(device),
        Err(error) if std::env::var_os("KINOGRAPH_REQUIRE_ALL").is_some() => panic!("{error}"),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

fn every_case(id: &str, options: &[(&str, &str)], random: u64, ops: &[&str]) {
    let Some(device) = open(id, options) else { return };
    println!("{:?}", device.info());
    let suite = Suite::builtin().unwrap();
    let mut cases = suite.cases().to_vec();
    cases.extend((0..random).filter_map(random_case));
    cases.retain(|case| ops.is_empty() || ops.contains(&case.op.name));
    let expectations = Expectations::default();
    let found = qualify(&*device, &cases, &expectations);
    println!("{} of {} cases passed; refused: {:#?}", found.passed, cases.len(), found.refused);
    assert!(found.wrong.is_empty(), "{} are wrong:\n{}", found.wrong.len(), found.wrong.join("\n"));
    assert!(found.passed > cases.len() * 9 / 10, "a device that refuses much shows little");
}

#[test]
fn every_case_is_within_its_bound() {
    // With words behind every buffer that no kernel may touch.
    every_case("wgpu:0", &[("guards", "true")], RANDOM, &[]);
}

/// What is declared as f16 is computed without f16 in kernels too, as on adapters that have none.
#[test]
fn tiles_are_shared_without_subgroups_too() {
    every_case(
        "wgpu:0",
        &[("subgroups", "false"), ("lanes", "64"), ("storage", "f32")],
        0,
        &["Linear", "MatMul", "Conv", "Attention"],
    );
}

/// The ops of reproducible numerics that sum products.
const THAT_SUM: [&str; 4] = ["exact.Linear", "exact.MatMul", "exact.Conv", "exact.Attention"];

/// The ops of reproducible numerics give the same bits however tiles are shared and whole numbers are multiplied.
#[test]
fn reproducible_ops_give_the_same_bits_in_another_variant() {
    every_case("wgpu:0", &[("subgroups", "false"), ("lanes", "64"), ("dots", "true")], 0, &THAT_SUM);
}

/// Products by cooperative matrices, of reproducible numerics and of halves, on an adapter that has them; lavapipe has since Mesa 26.0.
#[test]
fn products_are_right_by_cooperative_matrices() {
    let extra = [("matrices".to_owned(), "true".to_owned())].into();
    let ops = [&THAT_SUM[..], &["Linear", "MatMul"]].concat();
    match WgpuBackend.open("wgpu:0", &DeviceOptions { extra, ..Default::default() }) {
        Ok(_) => every_case("wgpu:0", &[("matrices", "true"), ("guards", "true")], 0, &ops),
        Err(error) => println!("skipped: {error}"),
    }
}

/// Both ways of keeping a compiler from rounding two results at once give the same bits, the oracle's.
#[test]
fn reproducible_ops_give_the_same_bits_where_operations_are_decorated() {
    let suite = Suite::builtin().unwrap();
    let exact: HashSet<&str> =
        suite.cases().iter().map(|case| case.op.name).filter(|op| op.starts_with("exact.")).collect();
    every_case("wgpu:0", &[("no_contraction", "true")], 0, &exact.into_iter().collect::<Vec<_>>());
}

/// OpenGL has no subgroups and fewer bindings.
#[test]
fn opengl_computes_too() {
    every_case("wgpu:gl", &[], 0, &["Linear", "RMSNormalization", "Softmax", "Attention"]);
}
