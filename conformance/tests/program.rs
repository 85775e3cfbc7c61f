//! The command line, run inside of this process.

use clap::Parser;
use kinograph::{DeviceOptions, Numerics, Runtime};
use kinograph_conformance::program::{Command, Devices, run};
use kinograph_null::NullBackend;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// Runs a command; whether all devices conform, and what was printed.
fn program(device: &str, arguments: &[&str]) -> (bool, String) {
    let mut runtime = Runtime::new();
    runtime.register(Box::new(NullBackend));
    let devices = Devices {
        runtime: &runtime,
        ids: vec![device.into()],
        options: DeviceOptions::default(),
        numerics: Numerics::Native,
    };
    let command = Arguments::parse_from([&["kinograph"], arguments].concat()).command;
    let mut out = Vec::new();
    let right = run(&command, &devices, &mut out).unwrap_or_else(|e| panic!("{arguments:?}: {e}"));
    (right, String::from_utf8(out).unwrap())
}

const FEW: [&str; 4] = ["--filter", "op/Softmax/", "--random", "0"];

#[test]
fn test_tells_right_from_wrong() {
    let (right, text) = program("cpu", &[&["test"], &FEW[..]].concat());
    assert!(right && text.contains("0 failed: conforms"), "{text}");
    let (right, text) = program("null", &[&["test"], &FEW[..]].concat());
    assert!(!right && text.contains("does NOT conform") && text.contains("op/Softmax/last f32"), "{text}");
}

#[test]
fn json_is_a_list_of_reports() {
    let (_, text) = program("null", &[&["test", "--json"], &FEW[..]].concat());
    let reports: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(reports[0]["device"]["id"], "null");
    assert_eq!(reports[0]["cases"][0]["verdict"], "failed");
}

#[test]
fn a_failure_is_saved_and_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let save = folder.path().to_str().unwrap();
    program("null", &["test", "--filter", "op/Exp/prime f32", "--random", "0", "--save", save]);
    let file = folder.path().join("op_Exp_prime_f32.replay");
    let file = file.to_str().unwrap();
    let (right, text) = program("null", &["replay", file]);
    assert!(!right && text.contains("op/Exp/prime f32"), "{text}");
    let (right, text) = program("cpu", &["replay", file]);
    assert!(right, "{text}");
}

#[test]
fn reports_of_several_devices_become_one_matrix() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for device in ["cpu", "null"] {
        program(device, &[&["test", "--report", &at(device)], &FEW[..]].concat());
    }
    let (cpu, null) = (at("cpu/cpu.json"), at("null/null.json"));
    program("cpu", &["report", &cpu, &null, "-o", &at("both")]);
    let page = std::fs::read_to_string(at("both/index.html")).unwrap();
    assert!(page.contains("cpu.html") && page.contains("null.html"));
    assert!(std::fs::read_to_string(at("both/null.xml")).unwrap().contains("<failure"));
}

#[test]
fn support_runs_nothing_and_perf_measures() {
    let (_, text) = program("null", &["support", "--filter", "op/Softmax/"]);
    assert!(text.contains("Softmax") && text.contains("of"), "{text}");
    let (_, text) =
        program("cpu", &["perf", "--filter", "op/Softmax/last f32", "--seconds", "0.001", "--json"]);
    let rows: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(rows[0]["timing"]["runs"].as_u64().unwrap() >= 3, "{text}");
}

#[test]
fn a_device_that_is_not_there_and_a_filter_for_nothing_are_errors() {
    let runtime = Runtime::new();
    let error = |id: &str, arguments: &[&str]| {
        let devices = Devices {
            runtime: &runtime,
            ids: vec![id.into()],
            options: DeviceOptions::default(),
            numerics: Numerics::Native,
        };
        let command = Arguments::parse_from([&["kinograph"], arguments].concat()).command;
        run(&command, &devices, &mut Vec::new()).unwrap_err().to_string()
    };
    assert!(error("nowhere", &["test"]).contains("there is no device `nowhere`"));
    assert!(error("cpu", &["list", "--filter", "nothing of the kind"]).contains("no case"));
}
