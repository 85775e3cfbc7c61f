//! The header: generated, up to date, valid C and C++, and of the same layout as the Rust types.

use std::fs;
use std::mem::{offset_of, size_of};
use std::path::{Path, PathBuf};
use std::process::Command;

use kinograph_plugin_abi as abi;

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

fn header() -> PathBuf {
    Path::new(FOLDER).join("include/kinograph_plugin.h")
}

fn generate() -> String {
    let mut config = cbindgen::Config::from_file(Path::new(FOLDER).join("cbindgen.toml")).unwrap();
    config.header = Some(introduction());
    let mut builder = cbindgen::Builder::new().with_config(config);
    for file in ["codes", "host", "objects", "graph", "table"] {
        builder = builder.with_src(Path::new(FOLDER).join(format!("src/{file}.rs")));
    }
    let mut text = Vec::new();
    builder.generate().unwrap().write(&mut text);
    String::from_utf8(text).unwrap()
}

/// The rules as a comment.
fn introduction() -> String {
    let rules = fs::read_to_string(Path::new(FOLDER).join("src/rules.md")).unwrap();
    let line = |line: &str| format!(" * {line}").trim_end().to_owned();
    let lines: Vec<String> = rules.lines().map(line).collect();
    format!(
        "/*\n{}\n *\n * Generated from the crate kinograph-plugin-abi; do not edit.\n */",
        lines.join("\n")
    )
}

#[test]
fn the_header_is_up_to_date() {
    let expected = generate();
    if std::env::var_os("KINOGRAPH_BLESS").is_some() {
        fs::write(header(), &expected).unwrap();
    }
    let found = fs::read_to_string(header()).unwrap_or_default();
    assert!(
        found == expected,
        "{} is stale: KINOGRAPH_BLESS=1 cargo test -p kinograph-plugin-abi writes it",
        header().display()
    );
}

/// A folder for this test's files that is removed when it is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Skips a test aloud for want of a compiler; where everything is required, fails it.
fn skip(test: &str, reason: &str) {
    assert!(std::env::var_os("KINOGRAPH_REQUIRE_ALL").is_none(), "required here, but {reason}");
    let _ =
        std::io::Write::write_all(&mut std::io::stderr(), format!("skipped: {test}: {reason}\n").as_bytes());
}

/// Compiles a source and gives what the compiler said, or nothing when there is no compiler for the language.
fn compile(language: &str, standard: &str, source: &Path, arguments: &[&str]) -> Option<Result<(), String>> {
    let cc = |source: &Path, arguments: &[&str]| {
        let flags = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-x", language, standard];
        Command::new("cc")
            .args(flags)
            .arg("-I")
            .arg(Path::new(FOLDER).join("include"))
            .arg(source)
            .args(arguments)
            .output()
    };
    let empty = source.with_extension("empty");
    fs::write(&empty, "int main(void) { return 0; }\n").unwrap();
    if !cc(&empty, &["-fsyntax-only"]).is_ok_and(|output| output.status.success()) {
        return None;
    }
    let output = cc(source, arguments).unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Some(if output.status.success() { Ok(()) } else { Err(said) })
}

#[test]
fn the_header_is_valid_c_and_cpp() {
    let scratch = Scratch::new("header");
    let source = scratch.0.join("include.c");
    // Twice, for the guard; the use of the symbol shows that it is declared.
    let text = "#include \"kinograph_plugin.h\"\n#include \"kinograph_plugin.h\"\n\
                int main(void) { return kinograph_plugin_entry == 0; }\n";
    fs::write(&source, text).unwrap();
    for (language, standard) in
        [("c", "-std=c99"), ("c", "-std=c11"), ("c++", "-std=c++11"), ("c++", "-std=c++20")]
    {
        match compile(language, standard, &source, &["-fsyntax-only", "-Wno-address"]) {
            None => skip(
                "the_header_is_valid_c_and_cpp",
                &format!("there is no compiler for {language} {standard}"),
            ),
            Some(result) => assert_eq!(result, Ok(()), "{standard}"),
        }
    }
}

macro_rules! layouts {
    ($($name:ident . $last:ident),* $(,)?) => {
        [$((stringify!($name), stringify!($last), size_of::<abi::$name>(), offset_of!(abi::$name, $last))),*]
    };
}

#[test]
fn c_lays_the_structs_out_as_rust_does() {
    let layouts = layouts![
        KinographPluginHost.log,
        KinographPlugin.context,
        KinographPlugin.job_free,
        KinographPluginError.message,
        KinographPluginPair.value,
        KinographPluginDeviceInfo.facts,
        KinographPluginDeviceOptions.extra_count,
        KinographPluginMemory.weights_copied,
        KinographPluginTensor.bytes,
        KinographPluginBufferInfo.bytes,
        KinographPluginValue.source,
        KinographPluginAttr.count,
        KinographPluginNode.attrs,
        KinographPluginWeight.bytes,
        KinographPluginOutput.name,
        KinographPluginGraph.output_count,
    ];
    let checks: String = layouts
        .iter()
        .map(|(name, last, size, offset)| {
            format!("_Static_assert(sizeof({name}) == {size} && offsetof({name}, {last}) == {offset}, \"{name}\");\n")
        })
        .collect();
    let scratch = Scratch::new("layout");
    let source = scratch.0.join("layout.c");
    fs::write(&source, format!("#include \"kinograph_plugin.h\"\n{checks}int main(void) {{ return 0; }}\n"))
        .unwrap();
    match compile("c", "-std=c11", &source, &["-fsyntax-only"]) {
        None => skip("c_lays_the_structs_out_as_rust_does", "there is no C compiler"),
        Some(result) => assert_eq!(result, Ok(())),
    }
}
