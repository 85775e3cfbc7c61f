//! The package fuzzer's corpus on every ordinary test run.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

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

/// The format of the fuzz target: files follow each other, each after a line `=== name`.
fn files(data: &[u8]) -> BTreeMap<String, Arc<[u8]>> {
    let find = |data: &[u8], needle: &[u8]| data.windows(needle.len()).position(|w| w == needle);
    let mut files = BTreeMap::new();
    let mut rest = data;
    while let Some(start) = find(rest, b"=== ") {
        rest = &rest[start + 4..];
        let end = find(rest, b"\n").unwrap_or(rest.len());
        let name = String::from_utf8_lossy(&rest[..end]).into_owned();
        rest = rest.get(end + 1..).unwrap_or(&[]);
        let next = find(rest, b"=== ").unwrap_or(rest.len());
        files.insert(name, rest[..next].into());
    }
    files
}
