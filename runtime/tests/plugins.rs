//! Plugins beside the built-in backends.
#![cfg(feature = "plugins")]

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use kinograph::plugins::{PluginDirectories, PluginErrorKind, PluginHost};
use kinograph::{Device, DeviceOptions, Fallback, Model, Numerics, Package, Precision, Request, Runtime};

/// Compiles the sample backend in C, when there is a compiler.
fn sample(folder: &Path) -> bool {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins");
    let output = Command::new("cc")
        .args(["-std=c99", "-O1", "-shared", "-fPIC", "-I"])
        .arg(plugins.join("abi/include"))
        .arg(plugins.join("sample-c/sample.c"))
        .arg("-o")
        .arg(folder.join(format!("{DLL_PREFIX}sample{DLL_SUFFIX}")))
        .args(["-lm", "-lpthread"])
        .output();
    let Ok(output) = output else {
        assert!(
            std::env::var_os("KINOGRAPH_REQUIRE_ALL").is_none(),
            "required here, but there is no C compiler"
        );
        let line = b"skipped: plugins: there is no C compiler `cc`\n";
        let _ = std::io::Write::write_all(&mut std::io::stderr(), line);
        return false;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}

#[test]
fn a_plugin_joins_the_backends_and_takes_no_place() {
    let folder = tempfile::tempdir().unwrap();
    if !sample(folder.path()) {
        return;
    }
    let directories = PluginDirectories::new([folder.path()]);
    let mut runtime = Runtime::new();
    assert_eq!(runtime.load_plugins(&mut PluginHost::new(), &directories), []);
    let ids = |runtime: &Runtime| -> Vec<String> { runtime.devices().into_iter().map(|d| d.id).collect() };
    let mut due = ids(&Runtime::new());
    due.push("sample:0".into());
    assert_eq!(ids(&runtime), due);
    let device = runtime.open("sample:0", &DeviceOptions::default()).unwrap();
    assert_eq!(device.info().id, "sample:0");

    let refused = runtime.load_plugins(&mut PluginHost::new(), &directories);
    assert_eq!(refused[0].kind, PluginErrorKind::NameTaken("sample".into()));
    drop(runtime);
    assert_eq!(device.info().id, "sample:0", "a device outlives the runtime");
}

/// What the plugin has of the ops of reproducible numerics it computes, and no bit of the picture tells.
#[test]
fn a_plugin_takes_part_in_reproducible_numerics() {
    let folder = tempfile::tempdir().unwrap();
    if !sample(folder.path()) {
        return;
    }
    let mut runtime = Runtime::new();
    let directories = PluginDirectories::new([folder.path()]);
    assert_eq!(runtime.load_plugins(&mut PluginHost::new(), &directories), []);
    let cpu = runtime.open("cpu", &DeviceOptions::default()).unwrap();
    let sample = runtime.open("sample:0", &DeviceOptions::default()).unwrap();
    let picture = |device: Arc<dyn Device>| {
        let device = Numerics::Reproducible(Precision::R16).on(device).unwrap();
        let model = Model::load(Package::built_in(kinograph_flipbook::FILES).unwrap(), device).unwrap();
        let request = Request::new("a red circle moves left").frames(1).steps(2).seed(5);
        let stages = model.plan(&request).unwrap().stages;
        let parts: Vec<String> =
            stages.into_iter().flat_map(|stage| stage.partitions).map(|(id, _)| id).collect();
        let made = model.generate_digests(&request, |_| Ok(()), |_| ControlFlow::Continue(())).unwrap();
        (made.0, parts)
    };
    let (alone, _) = picture(cpu.clone());
    let (together, parts) = picture(Arc::new(Fallback::new(sample, cpu)));
    assert_eq!(together, alone);
    assert!(parts.iter().any(|id| id == "sample:0"), "{parts:?}");
}
