//! Building and loading the plugins of this repository.
#![allow(missing_docs, unreachable_pub)]

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};
use std::process::Command;

use kinograph_plugin_host::{PluginBackend, PluginDirectories, PluginHost};

/// Builds a plugin, in the target directory of this test, and gives the file.
fn build(package: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["build", "--package", package, "--locked", "--offline"])
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    target.join("debug").join(format!("{DLL_PREFIX}{}{DLL_SUFFIX}", package.replace('-', "_")))
}

/// A plugin, loaded from a folder of its own.
pub fn load(package: &str) -> (tempfile::TempDir, PluginBackend) {
    let (file, folder) = (build(package), tempfile::tempdir().unwrap());
    std::fs::copy(&file, folder.path().join(file.file_name().unwrap())).unwrap();
    let mut host = PluginHost::new();
    let mut backends = host.load(&PluginDirectories::new([folder.path()]));
    assert_eq!(host.refused(), []);
    (folder, backends.remove(0))
}
