//! The sample plugin in Rust: built by cargo, loaded, and held against the same backend linked in.

mod common;

use std::sync::Arc;
use std::time::Duration;

use kinograph_backend::{
    Backend, CompileError, Control, Device, DeviceOptions, Executable, HostTensor, MemoryWeights, RunError,
};
use kinograph_conformance::{Suite, run_for_bytes};
use kinograph_cpu::CpuBackend;
use kinograph_graph::{DType, Graph, GraphBuilder, TensorDesc, ops};

fn open(backend: &dyn Backend, id: &str) -> Arc<dyn Device> {
    backend.open(id, &DeviceOptions { threads: Some(2), ..DeviceOptions::default() }).unwrap()
}

fn failing_graph(op: &str) -> Arc<Graph> {
    let mut builder = GraphBuilder::new("g");
    let table = builder.input("table", TensorDesc::new(DType::F32, [2, 3])).unwrap();
    let at = builder.input("at", TensorDesc::new(DType::I64, [1])).unwrap();
    let rows = builder.node(ops::find(op).unwrap(), &[Some(table), Some(at)], [], "the node").unwrap()[0];
    Arc::new(builder.finish([("rows", rows)]).unwrap())
}

/// A product that takes long.
fn long(device: &dyn Device) -> Arc<dyn Executable> {
    let mut builder = GraphBuilder::new("long");
    let mut x = builder.input("x", TensorDesc::new(DType::F32, [2048, 2048])).unwrap();
    for i in 0..5000 {
        x = builder.node(ops::find("MatMul").unwrap(), &[Some(x), Some(x)], [], &i.to_string()).unwrap()[0];
    }
    let graph = Arc::new(builder.finish([("y", x)]).unwrap());
    device.compile(graph, Arc::new(MemoryWeights::new())).unwrap()
}

/// One test, as each load of the plugin needs its build.
#[test]
fn the_plugin_is_the_backend_that_it_wraps() {
    let (_folder, backend) = common::load("kinograph-sample-rust");
    assert_eq!((backend.name(), backend.version()), ("sample-rust", env!("CARGO_PKG_VERSION")));
    let (info, direct) = (&backend.devices().unwrap()[0], &CpuBackend.devices().unwrap()[0]);
    assert_eq!((&*info.id, &info.name, &info.facts), ("sample-rust", &direct.name, &direct.facts));
    let (plugin, cpu) = (open(&backend, "sample-rust"), open(&CpuBackend, "cpu"));

    let suite = Suite::builtin().unwrap();
    for case in suite.cases() {
        match (run_for_bytes(&*plugin, case), run_for_bytes(&*cpu, case)) {
            (Ok(own), Ok(due)) => assert_eq!(own, due, "{case}"),
            (own, due) => panic!("{case}: {own:?}, linked in {due:?}"),
        }
    }

    // What a backend says goes through: options, data, memory, cancellation.
    let extra = [("simd".to_owned(), "mmx".to_owned())].into();
    let options = DeviceOptions { threads: None, extra, ..Default::default() };
    let message = |backend: &dyn Backend, id| backend.open(id, &options).err().unwrap().to_string();
    assert!(message(&backend, "sample-rust").contains(&message(&CpuBackend, "cpu")));
    let run = |device: &dyn Device| {
        let executable = device.compile(failing_graph("Gather"), Arc::new(MemoryWeights::new())).unwrap();
        let table = device.upload(HostTensor::f32([2, 3], vec![0.0; 6]).unwrap()).unwrap();
        let at = HostTensor::new([1], kinograph_backend::HostData::I64(vec![7])).unwrap();
        let error = executable.run(&[table, device.upload(at).unwrap()], &Control::new()).err().unwrap();
        (error, executable.memory())
    };
    assert!(matches!(run(&*cpu).0, RunError::Data { .. }));
    assert_eq!(run(&*plugin), run(&*cpu));
    let planned = |device: &dyn Device| device.plan(&failing_graph("Gather"), &|_| None).unwrap();
    assert_eq!(planned(&*plugin), planned(&*cpu));

    let executable = long(&*plugin);
    let x = plugin.upload(HostTensor::f32([2048, 2048], vec![0.0; 2048 * 2048]).unwrap()).unwrap();
    let control = Control::new();
    let handle = control.clone();
    let thread = std::thread::spawn(move || executable.run(&[x], &handle).err());
    std::thread::sleep(Duration::from_millis(50));
    control.cancel();
    assert_eq!(thread.join().unwrap(), Some(RunError::Cancelled));

    let missing = |device: &dyn Device| {
        let mut builder = GraphBuilder::new("g");
        let w = builder.weight("w", TensorDesc::new(DType::F32, [2])).unwrap();
        let y = builder.node(ops::find("Add").unwrap(), &[Some(w), Some(w)], [], "y").unwrap()[0];
        let graph = Arc::new(builder.finish([("y", y)]).unwrap());
        device.compile(graph, Arc::new(MemoryWeights::new())).err()
    };
    assert_eq!(missing(&*plugin), Some(CompileError::MissingWeight("w".into())));
}
