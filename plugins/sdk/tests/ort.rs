//! The plugin of ONNX Runtime, held against the same backend linked in.

mod common;

use std::sync::Arc;

use kinograph_backend::{Backend, Control, Device, DeviceOptions, HostTensor, MemoryWeights};
use kinograph_conformance::{Suite, run_for_bytes};
use kinograph_graph::{DType, GraphBuilder, TensorDesc, exact, ops, passes};
use kinograph_ort::OrtBackend;

/// Every so many cases: the backend's own tests run them all.
const EVERY: usize = 20;

#[test]
fn the_plugin_of_onnx_runtime_is_the_backend() {
    let options = DeviceOptions { threads: Some(1), ..DeviceOptions::default() };
    let direct = match OrtBackend::new().open("ort:cpu", &options) {
        Ok(device) => device,
        Err(error) if std::env::var_os("KINOGRAPH_REQUIRE_ALL").is_some() => panic!("{error}"),
        Err(error) => return println!("skipped: ort:cpu: {error}"),
    };
    let (_folder, backend) = common::load("kinograph-plugin-ort");
    assert_eq!(backend.name(), "ort");
    let plugin = backend.open("ort:cpu", &options).unwrap();
    assert_eq!(backend.devices().unwrap()[0].facts, OrtBackend::new().devices().unwrap()[0].facts);
    let suite = Suite::builtin().unwrap();
    for case in suite.cases().iter().step_by(EVERY) {
        let (own, due) = (run_for_bytes(&*plugin, case), run_for_bytes(&*direct, case));
        assert_eq!(own.is_ok(), due.is_ok(), "{case}: {own:?}, linked in {due:?}");
        assert_eq!(own.ok(), due.ok(), "{case}");
    }
    assert_eq!(separately(&*plugin), separately(&*direct));
}

/// A function of reproducible numerics in ordinary ops, which round as its definition says only where each is computed by itself.
fn separately(device: &dyn Device) -> Vec<u32> {
    let values: Vec<f32> = (0..500).map(|i| (i as f32 - 250.0) / 40.0).collect();
    let mut b = GraphBuilder::new("separately");
    let x = b.input("x", TensorDesc::new(DType::F32, [values.len()])).unwrap();
    let y = b.node(ops::find("exact.Gelu").unwrap(), &[Some(x)], [], "gelu").unwrap()[0];
    let graph = passes::expand(&b.finish([("y", y)]).unwrap(), |_, _| false).unwrap();
    let executable = device.compile_separately(Arc::new(graph), Arc::new(MemoryWeights::new())).unwrap();
    let x = device.upload(HostTensor::f32([values.len()], values.clone()).unwrap()).unwrap();
    let out = device.download(&executable.run(&[x], &Control::new()).unwrap()[0]).unwrap();
    let found: Vec<u32> = out.as_f32().unwrap().iter().map(|v| v.to_bits()).collect();
    let due: Vec<u32> = values.iter().map(|&v| exact::gelu(exact::flush(v)).to_bits()).collect();
    assert_eq!(found, due);
    found
}
