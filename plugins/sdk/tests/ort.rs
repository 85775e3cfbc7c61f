//! The plugin of ONNX Runtime, held against the same backend linked in.

mod common;

use kinograph_backend::{Backend, DeviceOptions};
use kinograph_conformance::{Suite, run_for_bytes};
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
}
