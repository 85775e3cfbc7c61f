//! The sample backend in C, as a host meets it.

mod common;

use std::process::Command;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use common::{Built, has, has_cc, plugins, sample, skip};
use kinograph_backend::{
    Backend, BufferRef, CompileError, Control, Device, DeviceOptions, Executable, HostTensor, MemoryWeights,
    Refusal, RunError, Support,
};
use kinograph_conformance::{RunFailure, Suite, run};
use kinograph_graph::{DType, Graph, GraphBuilder, TensorDesc, ops};
use kinograph_plugin_host::{Digest, PluginErrorKind, PluginHost};

const OPS: [&str; 12] = [
    "Add",
    "Sub",
    "Mul",
    "Relu",
    "Sigmoid",
    "Swish",
    "exact.Flush",
    "exact.Add",
    "exact.Sub",
    "exact.Mul",
    "Softmax",
    "MatMul",
];

#[test]
fn every_case_of_its_ops_is_within_its_bound() {
    if !has_cc("every_case_of_its_ops_is_within_its_bound") {
        return;
    }
    let device = sample("conformance").open();
    let (mut passed, mut refused) = (0, 0);
    for case in Suite::builtin().unwrap().cases() {
        let own = OPS.contains(&case.op.name);
        let takes = own && case.operands.iter().flatten().all(|operand| operand.desc.dtype == DType::F32);
        match run(&*device, case) {
            Ok(verdict) if takes => {
                assert!(verdict.passed(), "{verdict}");
                passed += 1;
            }
            Err(RunFailure::Refused(refusal)) if !takes => {
                let expected = if own { "only f32 is computed" } else { "no kernel for this op" };
                assert_eq!(refusal, Refusal::Other(expected.into()), "{case}");
                refused += 1;
            }
            other => panic!("{case}: {other:?}"),
        }
    }
    assert!(passed > 50 && refused > 100, "{passed} passed, {refused} refused");
}

/// y = swish(x * w) of so many rows, as often as asked for.
fn graph(rows: usize, width: usize, times: usize) -> Arc<Graph> {
    let find = |name| ops::find(name).unwrap();
    let mut builder = GraphBuilder::new("products");
    let mut x = builder.input("x", TensorDesc::new(DType::F32, [rows, width])).unwrap();
    let w = builder.weight("w", TensorDesc::new(DType::F32, [width, width])).unwrap();
    for i in 0..times {
        x = builder.node(find("MatMul"), &[Some(x), Some(w)], [], &format!("product {i}")).unwrap()[0];
        x = builder.node(find("Swish"), &[Some(x)], [], &format!("gate {i}")).unwrap()[0];
    }
    Arc::new(builder.finish([("y", x)]).unwrap())
}

fn compiled(device: &dyn Device, rows: usize, width: usize, times: usize) -> Arc<dyn Executable> {
    let mut weights = MemoryWeights::new();
    let values: Vec<f32> = (0..width * width).map(|i| (i % 7) as f32 / 8.0 - 0.375).collect();
    weights.insert_f32("w", [width, width], &values);
    device.compile(graph(rows, width, times), Arc::new(weights)).unwrap()
}

fn input(device: &dyn Device, rows: usize, width: usize, seed: usize) -> BufferRef {
    let values = (0..rows * width).map(|i| ((i + seed) % 11) as f32 / 4.0 - 1.25).collect();
    device.upload(HostTensor::f32([rows, width], values).unwrap()).unwrap()
}

#[test]
fn a_run_is_cancelled_from_another_thread() {
    if !has_cc("a_run_is_cancelled_from_another_thread") {
        return;
    }
    let device = sample("cancel").open();
    // Some 10^13 operations: nobody waits for its end.
    let executable = compiled(&*device, 1024, 1024, 5000);
    let x = input(&*device, 1024, 1024, 0);
    let control = Control::new();
    let handle = control.clone();
    let run = std::thread::spawn(move || executable.run(&[x], &handle).err());
    std::thread::sleep(Duration::from_millis(50));
    control.cancel();
    assert_eq!(run.join().unwrap(), Some(RunError::Cancelled));
    let small = compiled(&*device, 2, 3, 1);
    assert!(small.run(&[input(&*device, 2, 3, 0)], &Control::new()).is_ok(), "the device goes on");
    let cancelled = small.run(&[input(&*device, 2, 3, 0)], &control);
    assert_eq!(cancelled.err(), Some(RunError::Cancelled));
}

#[test]
fn eight_threads_share_an_executable() {
    if !has_cc("eight_threads_share_an_executable") {
        return;
    }
    let device = sample("threads").open();
    let executable = compiled(&*device, 5, 16, 3);
    let run = |seed: usize| {
        let outputs = executable.run(&[input(&*device, 5, 16, seed)], &Control::new()).unwrap();
        device.download(&outputs[0]).unwrap()
    };
    let alone: Vec<HostTensor> = (0..8).map(run).collect();
    assert_ne!(alone[0], alone[1]);
    std::thread::scope(|scope| {
        for (seed, expected) in alone.iter().enumerate() {
            scope.spawn(move || (0..25).for_each(|_| assert_eq!(run(seed), *expected)));
        }
    });
}

#[test]
fn inputs_weights_and_options_are_checked() {
    if !has_cc("inputs_weights_and_options_are_checked") {
        return;
    }
    let (built, other) = (sample("checks"), sample("checks-other"));
    let backend = built.load();
    assert_eq!((backend.name(), backend.version()), ("sample", "1.0"));
    assert_eq!(backend.path(), built.file.canonicalize().unwrap());
    let open = |id: &str, extra: &[(&str, &str)]| {
        let extra = extra.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        backend.open(id, &DeviceOptions { threads: None, extra, ..Default::default() })
    };
    let error = |id: &str, extra: &[(&str, &str)]| open(id, extra).err().unwrap().to_string();
    assert_eq!(error("sample:1", &[]), "there is no device `sample:1`; there are: sample:0");
    assert_eq!(error("sample:0", &[("speed", "9")]), "the sample device has no option `speed`");
    assert!(error("sample:0", &[("a\0b", "9")]).contains("has a NUL in it"));

    let device = open("sample:0", &[]).unwrap();
    let executable = compiled(&*device, 2, 3, 1);
    let foreign = other.open();
    let wrong = executable.run(&[input(&*foreign, 2, 3, 0)], &Control::new()).err().unwrap().to_string();
    assert_eq!(wrong, "an input lies on another device");
    let wrong = device.download(&input(&*foreign, 2, 3, 0)).err().unwrap().to_string();
    assert_eq!(wrong, "the buffer is of another device");
    let wrong = executable.run(&[input(&*device, 3, 3, 0)], &Control::new()).err();
    assert!(matches!(wrong, Some(RunError::Input { .. })), "{wrong:?}");
    let missing = device.compile(graph(2, 3, 1), Arc::new(MemoryWeights::new())).err();
    assert_eq!(missing, Some(CompileError::MissingWeight("w".into())));

    let planned = device.plan(&graph(2, 3, 1), &|_| Some(DType::F32)).unwrap();
    assert_eq!(planned, executable.memory());
    // Two values and an output of 24 bytes; weights are read in place.
    assert_eq!((planned.run, planned.weights_in_place, planned.weights_copied), (72, 36, 0));
    let half = device.plan(&graph(2, 3, 1), &|_| Some(DType::F16)).unwrap();
    assert_eq!((half.weights_in_place, half.weights_copied), (0, 36));
}

#[test]
fn a_node_that_is_refused_is_named() {
    if !has_cc("a_node_that_is_refused_is_named") {
        return;
    }
    let device = sample("refusal").open();
    let mut builder = GraphBuilder::new("g");
    let x = builder.input("x", TensorDesc::new(DType::F32, [2])).unwrap();
    let y = builder.node(ops::find("Erf").unwrap(), &[Some(x)], [], "the node").unwrap()[0];
    let graph = Arc::new(builder.finish([("y", y)]).unwrap());
    let refusal = Refusal::Other("no kernel for this op".into());
    assert_eq!(device.support(&graph, &graph.nodes()[0]), Support::No(refusal.clone()));
    let (node, op, on) = ("the node".into(), "Erf".into(), "sample:0".into());
    let expected = CompileError::Unsupported { node, op, device: on, refusal };
    assert_eq!(device.compile(graph.clone(), Arc::new(MemoryWeights::new())).err(), Some(expected.clone()));
    assert_eq!(device.plan(&graph, &|_| None), Err(expected));
}

/// What plugins say at the level of errors.
struct Errors(Mutex<Vec<String>>);

static ERRORS: Errors = Errors(Mutex::new(Vec::new()));

impl log::Log for Errors {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.target() == "kinograph::plugin" && record.level() == log::Level::Error {
            self.0.lock().unwrap().push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// What a plugin complained about.
fn complaints(built: &Built) -> Vec<String> {
    let name = built.file.file_name().unwrap().to_str().unwrap();
    ERRORS.0.lock().unwrap().iter().filter(|line| line.starts_with(name)).cloned().collect()
}

fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&ERRORS).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
    });
}

/// The plugin counts its objects, and complains at its end about those that were not freed.
#[test]
fn a_hundred_loads_leave_nothing_behind() {
    if !has_cc("a_hundred_loads_leave_nothing_behind") {
        return;
    }
    listen();
    let built = sample("hundred");
    for i in 0..100 {
        let device = built.open();
        let executable = compiled(&*device, 2, 3, 2);
        let x = input(&*device, 2, 3, i);
        executable.run(&[x], &Control::new()).unwrap();
        assert_ne!(built.is_mapped(), Some(false));
        drop((executable, device));
        assert_ne!(built.is_mapped(), Some(true), "load {i}");
    }
    assert_eq!(complaints(&built), [""; 0]);
}

#[test]
fn the_library_stays_until_its_last_object_is_gone() {
    if !has_cc("the_library_stays_until_its_last_object_is_gone") {
        return;
    }
    listen();
    let built = sample("last");
    let device = built.open();
    let executable = compiled(&*device, 2, 3, 1);
    let x = input(&*device, 2, 3, 0);
    let y = executable.run(std::slice::from_ref(&x), &Control::new()).unwrap();
    drop((device, x, executable));
    assert_ne!(built.is_mapped(), Some(false), "an output is left");
    drop(y);
    assert_ne!(built.is_mapped(), Some(true));
    assert_eq!(complaints(&built), [""; 0]);
}

#[test]
fn only_files_on_the_list_are_loaded() {
    if !has_cc("only_files_on_the_list_are_loaded") {
        return;
    }
    let built = sample("allowed");
    let digest = Digest::of(&std::fs::read(&built.file).unwrap());
    let mut host = PluginHost::new();
    let backends = host.load(&built.directories().allow_only([digest]));
    assert_eq!((backends.len(), host.refused()), (1, &[][..]));
    assert_ne!(built.is_mapped(), Some(true), "it is the copy that runs");
    assert_eq!(backends[0].path(), built.file.canonicalize().unwrap());

    let mut host = PluginHost::new();
    let none = built.directories().allow_only([Digest::of(b"another")]);
    assert!(host.load(&none).is_empty());
    assert_eq!(host.refused()[0].kind, PluginErrorKind::NotAllowed { digest: digest.to_string() });
    assert!(host.refused()[0].to_string().starts_with(&built.shown()));
    assert!(host.load(&built.directories()).is_empty(), "what was refused is not tried again");
    assert_eq!(host.refused().len(), 1);
}

/// The same file as a host in C uses it, under the tools that watch memory.
#[test]
fn memory_checkers_find_nothing() {
    if !has_cc("memory_checkers_find_nothing") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let compile = |name: &str, flags: &[&str]| {
        let file = folder.path().join(name);
        let output = Command::new("cc")
            .args(["-std=c99", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-pedantic"])
            .args(flags)
            .arg("-I")
            .arg(plugins().join("abi/include"))
            .arg(plugins().join("host/tests/c_host.c"))
            .arg(plugins().join("sample-c/sample.c"))
            .arg("-o")
            .arg(&file)
            .args(["-lm", "-lpthread"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(file) } else { Err(said) }
    };
    let check = |command: &mut Command| {
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {said}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "all as it should be\n");
    };
    let plain = compile("plain", &[]).unwrap();
    check(&mut Command::new(&plain));
    if has("valgrind") {
        let flags = ["--quiet", "--leak-check=full", "--errors-for-leak-kinds=all", "--error-exitcode=9"];
        check(Command::new("valgrind").args(flags).arg(&plain));
    } else {
        skip("memory_checkers_find_nothing", "valgrind is not installed");
    }
    let sanitized = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
    match compile("sanitized", &sanitized) {
        Ok(file) => check(&mut Command::new(file)),
        Err(_) => skip("memory_checkers_find_nothing", "cc has no address sanitizer"),
    }
}
