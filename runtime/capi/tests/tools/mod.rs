//! Compilers and other programs that may be missing here.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// This package's folder.
pub(crate) fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// True when all these programs are there; else skips a test aloud, and fails it where everything is required.
#[track_caller]
pub(crate) fn has(test: &str, programs: &[&str]) -> bool {
    let there =
        |program: &&&str| Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success());
    let Some(missing) = programs.iter().find(|program| !there(program)) else { return true };
    assert!(
        std::env::var_os("KINOGRAPH_REQUIRE_ALL").is_none(),
        "required here, but {missing} is not installed"
    );
    // Printed past the test harness, so that the run can count it.
    let line = format!("skipped: {test}: {missing} is not installed\n");
    let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
    false
}

/// Runs a command that must go well, and gives what it said.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, said(&output));
    output
}

/// All that a command said.
pub(crate) fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// Where cargo put the libraries of this test's build.
pub(crate) fn built() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let folder = own.ancestors().find(|folder| folder.join("libkinograph_capi.a").is_file());
    folder.expect("libkinograph_capi.a beside this test").to_owned()
}
