//! Plugins beside the built-in backends.
#![cfg(feature = "plugins")]

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::Path;
use std::process::Command;

use kinograph::plugins::{PluginDirectories, PluginErrorKind, PluginHost};
use kinograph::{DeviceOptions, Runtime};

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
