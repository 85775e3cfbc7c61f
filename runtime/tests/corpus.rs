//! The package fuzzer's corpus on every ordinary test run.

#[path = "../fuzz/files.rs"]
mod files;

use std::ops::ControlFlow;
use std::path::PathBuf;

use files::files;
use kinograph::{DeviceOptions, Model, Package, Request, Runtime};

#[test]
fn corpus_is_digested() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/package");
    let device = Runtime::new().open("cpu", &DeviceOptions::default()).unwrap();
    let mut made = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        let Ok(package) = Package::in_memory(files(&std::fs::read(&path).unwrap())) else { continue };
        let Ok(model) = Model::load(package, device.clone()) else { continue };
        made +=
            usize::from(model.generate(&Request::new("x").steps(1), |_| ControlFlow::Continue(())).is_ok());
    }
    assert!(made > 0, "at least one package of the corpus is whole");
}
