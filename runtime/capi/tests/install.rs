//! The library as a host installs it, and the C example built and run against it.
#![cfg(unix)]

mod tools;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tools::{built, has, package, run, said};

/// An installation in a folder that is removed.
struct Installed {
    _folder: tempfile::TempDir,
    prefix: PathBuf,
}

impl Installed {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // A name that a careless script would stumble over.
        let prefix = folder.path().join("a prefix");
        let script = package().join("install.sh");
        run(Command::new("bash").arg(script).arg("--from").arg(built()).arg(&prefix));
        let prefix = prefix.canonicalize().unwrap();
        Self { _folder: folder, prefix }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.prefix.join(path)
    }
}

fn example() -> PathBuf {
    package().join("../../examples/embed_c")
}

/// The example as a program, by what pkg-config says.
fn by_pkg_config(installed: &Installed) -> PathBuf {
    let asked = Command::new("pkg-config")
        .env("PKG_CONFIG_PATH", installed.at("lib/pkgconfig"))
        .args(["--cflags", "--libs", "kinograph"])
        .output()
        .unwrap();
    assert!(asked.status.success(), "{}", said(&asked));
    let flags = String::from_utf8(asked.stdout).unwrap();
    let program = installed.at("by-pkg-config");
    // By a shell, as a host's makefile would: that is who understands what pkg-config quotes.
    let script =
        format!("cc -std=c99 -Wall -Wextra -Werror -g \"$1\" {} -Wl,-rpath,\"$2\" -o \"$3\"", flags.trim());
    let mut shell = Command::new("sh");
    shell.args(["-c", &script, "sh"]).arg(example().join("embed.c")).arg(installed.at("lib")).arg(&program);
    run(&mut shell);
    program
}

/// Makes a frame in a step and checks what came.
fn works(program: &Path, folder: &Path) {
    let file = folder.join("one.png");
    let mut command = Command::new(program);
    let output = run(command.args(["-t", "1", "-f", "1", "-s", "1", "a red circle moves left"]).arg(&file));
    let said = said(&output);
    assert!(
        said.contains("cpu: ") && said.contains("sample 1/1") && said.contains("1 frames of 64x64"),
        "{said}"
    );
    let picture = std::fs::read(&file).unwrap();
    assert!(picture.starts_with(b"\x89PNG"));
    std::fs::remove_file(file).unwrap();
}

#[test]
fn what_is_installed_is_whole() {
    let installed = Installed::new();
    for file in ["include/kinograph.h", "lib/libkinograph.a", "lib/pkgconfig/kinograph.pc"] {
        assert!(installed.at(file).is_file(), "{file}");
    }
    for folder in ["lib/pkgconfig", "lib/cmake/kinograph"] {
        for entry in std::fs::read_dir(installed.at(folder)).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(!text.contains('@'), "{}: a value is not filled in", path.display());
        }
    }
}

#[test]
fn a_host_in_c_builds_runs_and_is_cancelled() {
    if !has("a_host_in_c_builds_runs_and_is_cancelled", &["cc", "pkg-config"]) {
        return;
    }
    let installed = Installed::new();
    let program = by_pkg_config(&installed);
    works(&program, &installed.prefix);
    says_what_is_wrong(&program);
    interrupted(&program, &installed.prefix);
}

fn says_what_is_wrong(program: &Path) {
    for (arguments, expected) in [
        (["-d", "gpu:7", "x", "x.png"], "unknown device: there is no device `gpu:7`"),
        (["-m", "none", "x", "x.png"], "bad package: none/model.toml: "),
        (["-x", "colour=red", "x", "x.png"], "no option `colour`"),
        (["-f", "1000", "x", "x.png"], "request not possible: 1000 frames"),
    ] {
        let output = Command::new(program).args(arguments).output().unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        assert!(said(&output).contains(expected), "{arguments:?}: {}", said(&output));
    }
}

/// Ctrl-C while it samples ends it with a word and without a file.
fn interrupted(program: &Path, folder: &Path) {
    let file = folder.join("never.png");
    let mut child = Command::new(program)
        .args(["-f", "48", "-s", "250", "a red circle moves left"])
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    assert!(lines.any(|line| line.unwrap().starts_with("sample ")), "it never began to sample");
    run(Command::new("kill").arg("-INT").arg(child.id().to_string()));
    let rest: Vec<String> = lines.map(|line| line.unwrap()).collect();
    assert_eq!(rest.last().map(String::as_str), Some("cancelled: cancelled"));
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(!file.exists());
}

/// The library inside the program, with the system libraries that the installation names.
#[test]
fn a_host_in_c_may_carry_the_library() {
    if !has("a_host_in_c_may_carry_the_library", &["cc"]) {
        return;
    }
    let installed = Installed::new();
    let text = std::fs::read_to_string(installed.at("lib/pkgconfig/kinograph.pc")).unwrap();
    let libraries = text.lines().find_map(|line| line.strip_prefix("Libs.private: ")).unwrap();
    let program = installed.at("static");
    let mut command = Command::new("cc");
    command.args(["-std=c99", "-I"]).arg(installed.at("include")).arg(example().join("embed.c"));
    command
        .arg(installed.at("lib/libkinograph.a"))
        .args(libraries.split_whitespace())
        .arg("-o")
        .arg(&program);
    run(&mut command);
    works(&program, &installed.prefix);
}

#[test]
fn a_host_in_c_builds_with_cmake() {
    if !has("a_host_in_c_builds_with_cmake", &["cc", "cmake"]) {
        return;
    }
    let installed = Installed::new();
    let build = installed.at("build");
    let prefix = format!("-DCMAKE_PREFIX_PATH={}", installed.prefix.display());
    run(Command::new("cmake").arg("-S").arg(example()).arg("-B").arg(&build).arg(prefix));
    run(Command::new("cmake").arg("--build").arg(&build));
    works(&build.join("embed"), &installed.prefix);
}

/// No invalid access and nothing lost, from the first call to the last. Plain kernels, as valgrind lacks newer instructions.
#[test]
fn a_host_in_c_makes_no_memory_error() {
    if !has("a_host_in_c_makes_no_memory_error", &["cc", "pkg-config", "valgrind"]) {
        return;
    }
    let installed = Installed::new();
    let program = by_pkg_config(&installed);
    let file = installed.at("checked.png");
    let mut command = Command::new("valgrind");
    command
        .args(["--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite"])
        .arg(&program)
        // Listing devices would load ONNX Runtime, whose own memory is not what is watched here.
        .env("ORT_DYLIB_PATH", "none")
        .env("VK_DRIVER_FILES", "none")
        .env("__EGL_VENDOR_LIBRARY_FILENAMES", "none");
    command.args(["-t", "1", "-x", "simd=plain", "-f", "1", "-s", "1", "a red circle moves left"]).arg(&file);
    let output = run(&mut command);
    println!("{}", said(&output).lines().filter(|line| line.contains("==")).collect::<Vec<_>>().join("\n"));
    assert!(file.is_file());
}
