//! Building C plugins, and loading them.
#![allow(dead_code)]

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use kinograph_backend::{Backend, Device, DeviceOptions};
use kinograph_plugin_host::{PluginBackend, PluginDirectories, PluginHost};

/// The folder of all plugins' sources.
pub(crate) fn plugins() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Skips a test aloud for want of a tool; where everything is required, fails it.
#[track_caller]
pub(crate) fn skip(test: &str, reason: &str) {
    assert!(std::env::var_os("KINOGRAPH_REQUIRE_ALL").is_none(), "required here, but {reason}");
    // Printed past the test harness, so that the run can count it.
    let _ =
        std::io::Write::write_all(&mut std::io::stderr(), format!("skipped: {test}: {reason}\n").as_bytes());
}

pub(crate) fn has(tool: &str) -> bool {
    Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// True when there is a C compiler; else skips the test aloud.
pub(crate) fn has_cc(test: &str) -> bool {
    let there = has("cc");
    if !there {
        skip(test, "there is no C compiler `cc`");
    }
    there
}

/// A directory with one plugin in it.
pub(crate) struct Built {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) file: PathBuf,
}

impl Built {
    /// Where the library shows up in messages and in the list of mappings.
    pub(crate) fn shown(&self) -> String {
        self.file.canonicalize().unwrap().display().to_string()
    }

    pub(crate) fn directories(&self) -> PluginDirectories {
        PluginDirectories::new([self.folder.path()])
    }

    /// Loads what must load.
    #[track_caller]
    pub(crate) fn load(&self) -> PluginBackend {
        let mut host = PluginHost::new();
        let mut backends = host.load(&self.directories());
        assert_eq!(host.refused(), []);
        assert_eq!(backends.len(), 1);
        backends.remove(0)
    }

    #[track_caller]
    pub(crate) fn open(&self) -> Arc<dyn Device> {
        self.load().open("sample:0", &DeviceOptions::default()).unwrap()
    }

    /// True while the library is loaded. Only Linux tells.
    pub(crate) fn is_mapped(&self) -> Option<bool> {
        let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
        Some(maps.contains(&self.shown()))
    }
}

/// Compiles a plugin with warnings denied.
pub(crate) fn build(source: &Path, name: &str, flags: &[&str]) -> Built {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(format!("{DLL_PREFIX}{name}{DLL_SUFFIX}"));
    let mut command = Command::new("cc");
    command.args(["-std=c99", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-pedantic"]).args(flags);
    command.arg("-I").arg(plugins().join("abi/include")).arg(source).arg("-o").arg(&file);
    let output = command.args(["-lm", "-lpthread"]).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    Built { folder, file }
}

/// The sample backend in C.
pub(crate) fn sample(name: &str) -> Built {
    build(&plugins().join("sample-c/sample.c"), name, &["-O2"])
}
