//! The header is that of the sources, and compiles as C and as C++.

mod tools;

use std::process::Command;

use tools::{has, package, run};

/// The modules in the order of the header.
const MODULES: [&str; 18] = [
    "version",
    "status",
    "failure",
    "control",
    "device",
    "plugins",
    "compose",
    "tensor",
    "video",
    "callbacks",
    "model",
    "policy",
    "request",
    "plan",
    "generate",
    "codec",
    "graph",
    "writer",
];

fn generated() -> String {
    let config = cbindgen::Config::from_file(package().join("cbindgen.toml")).unwrap();
    let builder = cbindgen::Builder::new().with_config(config);
    let source = |name: &&str| package().join(format!("src/{name}.rs"));
    let builder = MODULES.iter().fold(builder, |builder, name| builder.with_src(source(name)));
    let mut header = Vec::new();
    builder.generate().unwrap().write(&mut header);
    String::from_utf8(header).unwrap()
}

#[test]
fn the_header_is_that_of_the_sources() {
    let path = package().join("include/kinograph.h");
    let generated = generated();
    if std::env::var_os("KINOGRAPH_BLESS").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == generated,
        "include/kinograph.h is stale: KINOGRAPH_BLESS=1 cargo test -p kinograph-capi --test header writes it"
    );
}

#[test]
fn every_function_and_module_is_in_the_header() {
    let generated = generated();
    for entry in std::fs::read_dir(package().join("src")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let source = std::fs::read_to_string(&path).unwrap();
        let functions = source.split("extern \"C\" fn ").skip(1).filter_map(|rest| rest.split('(').next());
        for function in functions.filter(|function| function.starts_with("kinograph_")) {
            assert!(MODULES.contains(&&*name), "src/{name}.rs is missing from this test's list");
            assert!(generated.contains(&format!("{function}(")), "{function} is not in the header");
        }
    }
}

/// What cbindgen makes of constants that are not meant for C has names that C does not know.
#[test]
fn macros_have_the_prefix() {
    let header = generated();
    let names = header.lines().filter_map(|line| line.strip_prefix("#define "));
    let strange: Vec<&str> = names.filter(|name| !name.starts_with("KINOGRAPH_")).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

/// The shared library's own name carries the version of the binary interface.
#[test]
fn the_name_inside_the_library_has_the_abi_version() {
    let build = std::fs::read_to_string(package().join("build.rs")).unwrap();
    assert!(build.contains(&format!("let abi = {};", kinograph_capi::KINOGRAPH_ABI_VERSION)));
}

#[test]
fn the_header_compiles() {
    if !has("the_header_compiles", &["cc", "c++"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let include = package().join("include");
    let example = package().join("../../examples/embed_c/embed.c");
    let of_plugins = package().join("../../plugins/abi/include");
    let check = |compiler: &str, standard: &str, file: &std::path::Path| {
        let flags = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only"];
        let mut command = Command::new(compiler);
        command.arg(standard).args(flags).arg("-I").arg(&include).arg("-I").arg(&of_plugins).arg(file);
        run(&mut command);
    };
    // A program may be a host and define a backend: the names of the two headers are apart.
    let both = folder.path().join("both.c");
    for (first, second) in [("kinograph", "kinograph_plugin"), ("kinograph_plugin", "kinograph")] {
        let text = format!(
            "#include <{first}.h>\n#include <{second}.h>\n\
            int main(void) {{ return KINOGRAPH_DTYPE_F16 + KINOGRAPH_PLUGIN_DTYPE_F16 == 3 ? 0 : 1; }}\n"
        );
        std::fs::write(&both, text).unwrap();
        check("cc", "-std=c99", &both);
    }
    // Included twice, and alone: it needs nothing before it.
    let text = "#include <kinograph.h>\n#include <kinograph.h>\n\
        int main(void) { return kinograph_abi_version() == KINOGRAPH_ABI_VERSION ? 0 : KINOGRAPH_STATUS_ARGUMENT; }\n";
    let (c, cpp) = (folder.path().join("use.c"), folder.path().join("use.cpp"));
    std::fs::write(&c, text).unwrap();
    std::fs::write(&cpp, text).unwrap();
    check("cc", "-std=c99", &c);
    check("cc", "-std=c11", &c);
    check("cc", "-std=c99", &example);
    check("c++", "-std=c++11", &cpp);
    check("c++", "-std=c++17", &cpp);
}
