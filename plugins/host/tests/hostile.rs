//! Plugins that are broken in one way each: every one is refused, with its file and a reason.

mod common;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::{Built, build, has_cc, plugins};
use kinograph_backend::{Backend, Control, DeviceError, DeviceOptions, HostTensor, MemoryWeights, RunError};
use kinograph_graph::{DType, GraphBuilder, TensorDesc, ops};
use kinograph_plugin_host::{Patience, PluginBackend, PluginDirectories, PluginErrorKind, PluginHost};

fn hostile(name: &str, flags: &[&str]) -> Built {
    // Its functions are not all used by every kind.
    let flags = [&["-O0", "-Wno-unused-function", "-Wno-switch"], flags].concat();
    build(&plugins().join("host/tests/hostile.c"), name, &flags)
}

fn kind(kind: &str) -> Built {
    hostile(&kind.to_lowercase(), &[&format!("-DKIND={kind}")])
}

/// Loads what must be refused, and gives the reason.
#[track_caller]
fn refusal_by(mut host: PluginHost, built: &Built) -> PluginErrorKind {
    let backends = host.load(&built.directories());
    assert!(backends.is_empty(), "{} was loaded", built.shown());
    assert_eq!(host.refused().len(), 1);
    let refused = &host.refused()[0];
    assert_eq!(refused.path.display().to_string(), built.shown());
    assert!(refused.to_string().starts_with(&built.shown()), "{refused}");
    refused.kind.clone()
}

#[track_caller]
fn refusal(built: &Built) -> PluginErrorKind {
    let reason = refusal_by(PluginHost::new(), built);
    assert_ne!(built.is_mapped(), Some(true), "{reason}: what is refused is unloaded");
    reason
}

#[test]
fn each_defect_is_refused_with_its_reason() {
    if !has_cc("each_defect_is_refused_with_its_reason") {
        return;
    }
    let cases = [
        ("DECLINES", "does not work with this host; its log may say why"),
        ("NULL_NAME", "its name is NULL"),
        ("LONG_NAME", "its name is longer than 32 bytes, or does not end in NUL"),
        ("UNTERMINATED_NAME", "its name is longer than 32 bytes, or does not end in NUL"),
        ("PATH_NAME", "its name `../sample` is not made of a to z"),
        ("NOT_UTF8_NAME", "its name `s\u{fffd}` is not made of a to z"),
        ("NULL_VERSION", "its version is NULL"),
        ("MANY_DEVICES", "`device_count`: 18446744073709551615 devices, but 64 are the most"),
        ("SAME_IDS", "`device_info`: two devices are called `sample:0`"),
        ("NULL_ID", "the id of device 0 is NULL"),
        ("LONG_ID", "the id of device 0 is longer than 127 bytes"),
        ("FOREIGN_ID", "the id `cpu` must be `sample`, or `sample:` and more"),
        ("UNTERMINATED_LABEL", "the name of `sample:0` is longer than 4095 bytes, or does not end in NUL"),
        ("MANY_FACTS", "of `sample:0` 4294967295 facts, but 64 are the most"),
        ("NULL_FACTS", "of `sample:0` the facts are NULL or not aligned"),
        ("NULL_FACT", "of `sample:0` the value of fact 0 is NULL"),
        ("UNTERMINATED_MESSAGE", "`support` of the plugin failed: xxxxxxxx"),
        ("UNKNOWN_DTYPE", "in `upload`: the buffer has the unknown type 77, due is f32[3, 5]"),
        ("OTHER_DTYPE", "in `upload`: the buffer is i32[3, 5], due is f32[3, 5]"),
        ("HUGE_RANK", "in `upload`: the buffer has rank 1000000, due is f32[3, 5]"),
        ("OTHER_SHAPE", "in `upload`: the buffer is f32[4, 5], due is f32[3, 5]"),
        ("OTHER_BYTES", "in `upload`: the buffer has 1152921504606846976 bytes, due is f32[3, 5]"),
        ("OVERRUN", "in `download`: it wrote beyond the memory that it was given"),
        ("CORRUPTS", "f32[3, 5] did not come back as it was sent"),
        ("NO_TRUTH", "in `download`: 2 is no truth value"),
        ("SAME_BUFFER", "in `upload`: it handed out an object that is in use"),
        ("WRONG_SUM", "Add: element 0 is "),
        ("NAN_GATE", "Swish: element 0 is NaN, but "),
        ("UNCOMPILED", "node `node` (Softmax): sample:0 does not take it: changed its mind"),
        ("HUGE_MEMORY", "in `executable_memory`: it needs 18446744073709551615 bytes, which no machine has"),
        ("FEW_OUTPUTS", "in `job_outputs`: it gave 0 outputs, and the graph has 1"),
        ("MANY_OUTPUTS", "in `job_outputs`: it gave 1000000 outputs, and the graph has 1"),
        (
            "DOUBLE_OUTPUT",
            "several outputs: the plugin breaks its interface in `job_outputs`: it handed out an object",
        ),
        ("INPUT_AS_OUTPUT", "in `job_outputs`: it handed out an object that is in use"),
        ("CANCELLED_UNASKED", "in `job_wait`: it says that the job was cancelled, and nobody did"),
    ];
    for (name, expected) in cases {
        let reason = refusal(&kind(name)).to_string();
        assert!(reason.contains(expected), "{name}: {reason}");
    }
}

/// Its `destroy` cannot be called, and something of it may run: neither its code nor what it was given may go.
#[test]
fn what_cannot_be_ended_stays_loaded() {
    if !has_cc("what_cannot_be_ended_stays_loaded") {
        return;
    }
    let cases = [
        ("MISALIGNED", "its table is not aligned"),
        ("WRONG_MAJOR", "was built for version 2.1 of the plugin interface, and this host has 1.1"),
        ("SMALL_TABLE", "its table of functions says that it has 16 bytes"),
        ("HUGE_TABLE", "its table of functions says that it has 4294967295 bytes"),
    ];
    for (name, expected) in cases {
        let built = kind(name);
        let reason = refusal_by(PluginHost::new(), &built).to_string();
        assert!(reason.contains(expected), "{name}: {reason}");
        assert_ne!(built.is_mapped(), Some(false), "{name}");
    }
}

/// The functions in the order of the table.
const FUNCTIONS: [&str; 20] = [
    "destroy",
    "device_count",
    "device_info",
    "device_open",
    "device_close",
    "device_trim",
    "support",
    "plan",
    "compile",
    "executable_memory",
    "executable_free",
    "upload",
    "download",
    "buffer_info",
    "buffer_free",
    "run",
    "job_wait",
    "job_outputs",
    "job_cancel",
    "job_free",
];

#[test]
fn each_function_but_two_must_be_there() {
    if !has_cc("each_function_but_two_must_be_there") {
        return;
    }
    for (index, function) in FUNCTIONS.into_iter().enumerate() {
        let built =
            hostile(&format!("null-{function}"), &["-DKIND=NULL_FUNCTION", &format!("-DINDEX={index}")]);
        if ["device_trim", "plan"].contains(&function) {
            built.load();
        } else {
            assert_eq!(refusal(&built), PluginErrorKind::MissingFunction(function));
        }
    }
}

fn stubbed(function: &str, status: &str) -> Built {
    let index = FUNCTIONS.iter().position(|name| *name == function).unwrap();
    let flags = ["-DKIND=STUBBED", &format!("-DINDEX={index}"), &format!("-DSTATUS={status}")];
    hostile(&format!("stub-{function}"), &flags)
}

#[test]
fn each_call_that_fails_is_told() {
    if !has_cc("each_call_that_fails_is_told") {
        return;
    }
    // 77 is a status that nobody knows.
    for (i, function) in FUNCTIONS.into_iter().enumerate() {
        if ["destroy", "device_close", "device_trim", "job_cancel"].contains(&function)
            || function.ends_with("free")
        {
            continue;
        }
        let status = ["KINOGRAPH_PLUGIN_INTERNAL", "KINOGRAPH_PLUGIN_LOST", "77"][i % 3];
        let reason = refusal(&stubbed(function, status)).to_string();
        assert!(reason.contains("told to fail"), "{function}: {reason}");
        assert!(status != "KINOGRAPH_PLUGIN_INTERNAL" || reason.contains(function), "{function}: {reason}");
    }
}

#[test]
fn calls_that_succeed_and_do_nothing_are_told() {
    if !has_cc("calls_that_succeed_and_do_nothing_are_told") {
        return;
    }
    let cases = [
        ("device_info", "the id of device 0 is NULL"),
        ("device_open", "in `device_open`: it succeeded and gave NULL"),
        ("support", "no kernel for this op"),
        ("compile", "in `compile`: it succeeded and gave NULL"),
        ("upload", "in `upload`: it succeeded and gave NULL"),
        ("download", "f32[3, 5] did not come back as it was sent"),
        ("buffer_info", "the buffer has the unknown type 0"),
        ("run", "in `run`: it succeeded and gave NULL"),
        ("job_outputs", "in `job_outputs`: it gave 0 outputs"),
    ];
    for (function, expected) in cases {
        let reason = refusal(&stubbed(function, "KINOGRAPH_PLUGIN_OK")).to_string();
        assert!(reason.contains(expected), "{function}: {reason}");
    }
    let reason = refusal(&stubbed("upload", "KINOGRAPH_PLUGIN_PENDING")).to_string();
    assert!(reason.contains("in `upload`: nothing is pending here"), "{reason}");
}

#[test]
fn what_is_no_plugin_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let name = format!("text{}", std::env::consts::DLL_SUFFIX);
    std::fs::write(folder.path().join(&name), "not a library").unwrap();
    let mut host = PluginHost::new();
    let directories = PluginDirectories::new([folder.path(), Path::new("/nowhere/at/all")]);
    assert!(host.load(&directories).is_empty());
    let reasons: Vec<String> = host.refused().iter().map(ToString::to_string).collect();
    assert!(reasons[0].contains("/nowhere/at/all: cannot be searched for plugins: "), "{reasons:?}");
    assert!(reasons[1].contains(&format!("{name}: does not load: ")), "{reasons:?}");
    // The loader's own words name the file or what it lacks.
    #[cfg(target_os = "linux")]
    assert!(reasons[1].matches(&name).count() > 1, "{reasons:?}");
    if has_cc("what_is_no_plugin_is_refused") {
        assert_eq!(refusal(&hostile("no-entry", &["-DNO_ENTRY"])), PluginErrorKind::NoEntry);
    }
}

#[test]
fn what_is_odd_but_allowed_is_loaded() {
    if !has_cc("what_is_odd_but_allowed_is_loaded") {
        return;
    }
    let devices = |built: &Built| built.load().devices().unwrap();
    assert_eq!(devices(&kind("NONE"))[0].facts[0], ("language".into(), "C".into()));
    assert_eq!(devices(&kind("NEWER"))[0].id, "sample:0", "a newer minor version");
    assert_eq!(devices(&kind("NOT_UTF8_LABEL"))[0].name, "caf\u{fffd}\u{fffd}[2J", "made printable");
    assert_eq!(devices(&stubbed("device_count", "KINOGRAPH_PLUGIN_OK")), [], "no device is an answer");
}

#[test]
fn one_of_two_with_a_name_is_refused() {
    if !has_cc("one_of_two_with_a_name_is_refused") {
        return;
    }
    let (first, second) = (kind("NONE"), hostile("again", &[]));
    std::fs::copy(&second.file, first.folder.path().join(second.file.file_name().unwrap())).unwrap();
    let mut host = PluginHost::new();
    let backends: Vec<PluginBackend> = host.load(&first.directories());
    assert_eq!(backends.len(), 1);
    assert_eq!(backends[0].path().file_name(), second.file.file_name(), "the first by name");
    assert_eq!(host.refused()[0].kind, PluginErrorKind::NameTaken("sample".into()));
}

fn impatient() -> PluginHost {
    PluginHost::with_patience(Patience::default().load(Duration::from_secs(2)).cancel(Duration::from_secs(2)))
}

#[test]
fn a_job_that_never_ends_is_given_up() {
    if !has_cc("a_job_that_never_ends_is_given_up") {
        return;
    }
    let reason = refusal_by(impatient(), &kind("NEVER_ENDS")).to_string();
    assert!(
        reason.contains("it took too long: Add: the device was lost: a job did not stop within 2s"),
        "{reason}"
    );
}

#[test]
fn a_call_that_never_returns_is_given_up() {
    if !has_cc("a_call_that_never_returns_is_given_up") {
        return;
    }
    let built = kind("NEVER_RETURNS");
    assert_eq!(refusal_by(impatient(), &built), PluginErrorKind::TimedOut);
    assert_ne!(built.is_mapped(), Some(false), "its code still runs");
}

#[test]
fn a_plugin_with_an_abandoned_job_is_lost() {
    if !has_cc("a_plugin_with_an_abandoned_job_is_lost") {
        return;
    }
    let built = kind("NEVER_ENDS_LATER");
    let mut host = PluginHost::with_patience(Patience::default().cancel(Duration::from_millis(100)));
    let backend = host.load(&built.directories()).remove(0);
    let device = backend.open("sample:0", &DeviceOptions::default()).unwrap();
    let mut builder = GraphBuilder::new("g");
    let x = builder.input("x", TensorDesc::new(DType::F32, [2])).unwrap();
    let y = builder.node(ops::find("Relu").unwrap(), &[Some(x)], [], "node").unwrap()[0];
    let graph = Arc::new(builder.finish([("y", y)]).unwrap());
    let executable = device.compile(graph, Arc::new(MemoryWeights::new())).unwrap();
    let x = device.upload(HostTensor::f32([2], vec![1.0, 2.0]).unwrap()).unwrap();
    let control = Control::new();
    let run = {
        let (control, executable, x) = (control.clone(), executable.clone(), x.clone());
        std::thread::spawn(move || executable.run(&[x], &control).err())
    };
    std::thread::sleep(Duration::from_millis(50));
    control.cancel();
    let lost = DeviceError::Lost("a job did not stop within 100ms of being cancelled".into());
    assert_eq!(run.join().unwrap(), Some(RunError::Device(lost)));
    let after = executable.run(&[x], &Control::new()).err().unwrap().to_string();
    assert!(after.contains("has a job that never ended; start the program again"), "{after}");
    drop((executable, device, backend, host));
    assert_ne!(built.is_mapped(), Some(false), "the library stays, as the job may still run");
}
