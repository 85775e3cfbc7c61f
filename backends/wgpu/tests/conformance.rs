//! Every op case, and random ones, on each adapter.

use std::collections::HashSet;
use std::process::Command;

use kinograph_backend::{Backend, DeviceOptions};
use kinograph_conformance::{Case, Expectations, Suite, qualify, random_case};
use kinograph_graph::DType;
use kinograph_wgpu::WgpuBackend;

mod common;

use common::open;

/// Cases beyond the suite's: as many seeds.
const RANDOM: u64 = 100;

fn every_case(id: &str, options: &[(&str, &str)], random: u64, ops: &[&str]) {
    cases_that(id, options, random, |case| ops.is_empty() || ops.contains(&case.op.name));
}

fn cases_that(id: &str, options: &[(&str, &str)], random: u64, which: impl Fn(&Case) -> bool) {
    let Some(device) = open(id, options) else { return };
    println!("{:?}", device.info());
    let suite = Suite::builtin().unwrap();
    let mut cases = suite.cases().to_vec();
    cases.extend((0..random).filter_map(random_case));
    cases.retain(which);
    let expectations = Expectations::default();
    let found = qualify(&*device, &cases, &expectations);
    println!("{} of {} cases passed; refused: {:#?}", found.passed, cases.len(), found.refused);
    assert!(found.wrong.is_empty(), "{} are wrong:\n{}", found.wrong.len(), found.wrong.join("\n"));
    assert!(found.passed > cases.len() * 9 / 10, "a device that refuses much shows little");
}

/// Runs a test of this program in a process that the validation layers of Vulkan watch, which must have nothing to say. In that process, runs
/// what is given.
fn watched(name: &str, test: impl Fn()) {
    const WATCHED: &str = "KINOGRAPH_WATCHED";
    if std::env::var_os(WATCHED).is_some() {
        return test();
    }
    let folder = tempfile::tempdir().unwrap();
    let [settings, log] = ["vk_layer_settings.txt", "log"].map(|name| folder.path().join(name));
    // Information too, as the layers begin with some about themselves: so there is always a word from them where they are.
    let lines = [
        "debug_action = VK_DBG_LAYER_ACTION_LOG_MSG".to_owned(),
        "report_flags = error,warn,perf,info".to_owned(),
        format!("log_filename = {}", log.display()),
    ];
    std::fs::write(&settings, lines.map(|line| format!("khronos_validation.{line}\n")).concat()).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture"]).env("WGPU_VALIDATION", "1").env(WATCHED, "1");
    let out = command.env("VK_LAYER_SETTINGS_PATH", &settings).output().unwrap();
    let shown = String::from_utf8_lossy(&out.stdout);
    let passed = out.status.success() && shown.contains("1 passed");
    assert!(passed, "{shown}{}", String::from_utf8_lossy(&out.stderr));
    shown.lines().filter(|line| line.starts_with("skipped: ")).for_each(|line| println!("{line}"));
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    if !said.contains("Validation Layer Active") && !said.contains("Current Validation Enabled") {
        assert!(
            std::env::var_os("KINOGRAPH_REQUIRE_ALL").is_none(),
            "install vulkan-validationlayers: {said}"
        );
        return println!("skipped: the validation layers are not installed, all else of `{name}` passed");
    }
    let messages = said
        .split("Validation ")
        .filter(|m| ["Error", "Warning", "Performance"].iter().any(|k| m.starts_with(k)));
    // How naga writes matrices in functions, of which newer layers complain and which wgpu passes over too
    // (https://github.com/gfx-rs/wgpu/issues/7696).
    let known = |m: &&str| m.contains("VUID-StandaloneSpirv-None-10684") && m.contains("ColMajor decoration");
    let offences: Vec<_> = messages.filter(|m| !known(m)).collect();
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

/// With words behind every buffer that no kernel may touch.
#[test]
fn every_case_is_within_its_bound() {
    watched("every_case_is_within_its_bound", || every_case("wgpu:0", &[("guards", "true")], RANDOM, &[]));
}

/// What is declared as f16 is kept in words, as on adapters without f16 in kernels.
#[test]
fn f16_needs_no_f16_in_kernels() {
    cases_that("wgpu:0", &[("guards", "true"), ("storage", "f32")], 0, |case| {
        case.operands.iter().flatten().any(|operand| operand.desc.dtype == DType::F16)
            || case.name.ends_with("f16")
    });
}

#[test]
fn tiles_are_shared_without_subgroups_too() {
    every_case(
        "wgpu:0",
        &[("subgroups", "false"), ("lanes", "64")],
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
        Ok(_) => watched("products_are_right_by_cooperative_matrices", || {
            every_case("wgpu:0", &[("matrices", "true"), ("guards", "true")], 0, &ops);
        }),
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

/// OpenGL has no subgroups, no f16 and fewer bindings.
#[test]
fn opengl_computes_too() {
    every_case("wgpu:gl", &[("guards", "true")], RANDOM, &[]);
}
