//! The plugin, loaded as a host would.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::PathBuf;

use kinograph_backend::{Backend, DeviceOptions};
use kinograph_conformance::{Suite, run};
use kinograph_plugin_host::{PluginDirectories, PluginHost};

/// Cargo builds the library of a package before its tests, beside them; one from an earlier build may lie a folder above.
fn library() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let name = format!("{DLL_PREFIX}kinograph_plugin_wgpu{DLL_SUFFIX}");
    let found = own.ancestors().skip(1).map(|folder| folder.join(&name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} beside {}", own.display()))
}

#[test]
fn the_plugin_computes_what_the_op_table_says() {
    let (file, folder) = (library(), tempfile::tempdir().unwrap());
    std::fs::copy(&file, folder.path().join(file.file_name().unwrap())).unwrap();
    let mut host = PluginHost::new();
    let mut backends = host.load(&PluginDirectories::new([folder.path()]));
    assert_eq!(host.refused(), []);
    let backend = backends.remove(0);
    assert_eq!(backend.name(), "wgpu");
    let Some(info) = backend.devices().unwrap().into_iter().next() else {
        assert!(std::env::var_os("KINOGRAPH_REQUIRE_ALL").is_none(), "there is no adapter");
        return println!("skipped: there is no adapter");
    };
    let device = backend.open(&info.id, &DeviceOptions::default()).unwrap();
    let suite = Suite::builtin().unwrap();
    // Reproducible ops are written in others before a device sees them.
    for case in suite.cases().iter().filter(|case| !case.op.name.starts_with("exact.")).step_by(60) {
        let verdict = run(&*device, case).unwrap_or_else(|e| panic!("{case}: {e}"));
        assert!(verdict.passed(), "{verdict}");
    }
}
