//! The program in a folder of its own.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A folder that is the working directory, with a `user` folder for the user's own files.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file, with the folders that it needs.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.0.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.tool(env!("CARGO_BIN_EXE_kinograph"), arguments)
    }

    /// Another program in the same surroundings.
    pub(crate) fn tool(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        // Whoever runs the tests has settings of their own, which must not leak in.
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_setting(name)) {
            command.env_remove(name);
        }
        for name in ["HOME", "XDG_CONFIG_HOME", "USERPROFILE", "APPDATA"] {
            command.env(name, self.path("user"));
        }
        // ONNX Runtime writes files of its own into the user's folders as soon as it is loaded.
        command.env("ORT_DYLIB_PATH", "none");
        command.current_dir(self.0.path()).args(arguments).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    #[track_caller]
    pub(crate) fn succeed(&self, arguments: &[&str]) -> Output {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        output
    }

    /// The JSON document that it prints.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        serde_json::from_slice(&self.succeed(arguments).stdout).unwrap()
    }

    /// Runs what must fail with this exit code, and gives the message.
    #[track_caller]
    pub(crate) fn fail(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {message}");
        assert!(!message.contains("panicked"), "{message}");
        message
    }
}

fn is_setting(variable: &OsStr) -> bool {
    let name = variable.to_string_lossy();
    name.starts_with("KINOGRAPH_") || name.starts_with("RUST_LOG")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
