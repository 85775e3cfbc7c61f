//! `--plugins` and what it loads.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::folder::{Folder, text};
use crate::skip;

/// Compiles the sample backend in C into a folder.
fn build(folder: &Folder, name: &str) -> bool {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
    folder.write(&format!("{name}/notes.txt"), "no plugin");
    let output = Command::new("cc")
        .args(["-std=c99", "-O1", "-shared", "-fPIC", "-I"])
        .arg(plugins.join("abi/include"))
        .arg(plugins.join("sample-c/sample.c"))
        .arg("-o")
        .arg(folder.path(name).join(format!("{DLL_PREFIX}sample{DLL_SUFFIX}")))
        .args(["-lm", "-lpthread"])
        .output();
    match output {
        Ok(output) => {
            assert!(output.status.success(), "{}", text(&output.stderr));
            true
        }
        Err(_) => {
            skip("plugins", "there is no C compiler `cc`");
            false
        }
    }
}

#[test]
fn devices_lists_plugins_and_those_refused() {
    let folder = Folder::new();
    if !build(&folder, "good") {
        return;
    }
    let broken = format!("a{DLL_SUFFIX}");
    folder.write(&format!("bad/{broken}"), "not a library");
    let arguments = ["devices", "--plugins", "good", "--plugins", "bad", "--device", "sample:0"];
    let listed = text(&folder.succeed(&arguments).stdout);
    assert!(
        listed.contains(
            "\nsample:0  one thread of this machine's processor, plain loops  [chosen: --device]\n"
        ),
        "{listed}"
    );
    assert!(listed.contains("\n    language: C\n"), "{listed}");
    assert!(listed.contains("refused plugins (--plugins):\n"), "{listed}");
    assert!(listed.contains(&format!("{broken}  does not load: ")), "{listed}");

    let report = folder.json(&[&["devices", "--json"], &arguments[1..]].concat());
    let last = report["devices"].as_array().unwrap().last().unwrap();
    assert_eq!(last["id"], "sample:0");
    assert_eq!(last["chosen"], true);
    assert!(report["refused_plugins"][0]["path"].as_str().unwrap().ends_with(&broken), "{report}");
    assert_eq!(folder.json(&["devices", "--json"])["refused_plugins"], json!([]));
}

#[test]
fn a_run_uses_the_plugin_and_says_what_it_lacks() {
    let folder = Folder::new();
    if !build(&folder, "good") {
        return;
    }
    folder.write("bad/a.so", "not a library");
    folder.write("sub/k.toml", "device = 'sample:0'\nplugins = ['../good', '../bad']");
    let generate = ["generate", "a red circle", "--frames", "1", "--steps", "1", "-o", "a.png"];
    let message = folder.fail(1, &[&generate[..], &["--config", "sub/k.toml"]].concat());
    assert!(message.contains("sample:0 does not take Gather (no kernel for this op): `x`"), "{message}");
    if DLL_SUFFIX == ".so" {
        assert!(message.contains("(sub/k.toml:2): does not load: "), "{message}");
    }
    let message = folder.fail(1, &[&generate[..], &["--device", "sample:0"]].concat());
    assert!(message.contains("there is no device `sample:0`; there are: cpu"), "{message}");
}

#[test]
fn plugins_come_from_flags_variables_and_files_that_the_user_chose() {
    let folder = Folder::new();
    let setting = |output: &serde_json::Value| output["settings"]["plugins"].clone();
    let none = folder.json(&["config", "--json"]);
    assert_eq!(setting(&none), json!({ "value": [], "source": { "kind": "default" } }));

    folder.write("user/kinograph/kinograph.toml", "plugins = ['p', '/q']");
    let user = folder.path("user/kinograph");
    let expected = json!([user.join("p"), Path::new("/q")]);
    assert_eq!(setting(&folder.json(&["config", "--json"]))["value"], expected);

    let list = std::env::join_paths(["a", "", "b c"]).unwrap();
    let output = folder.command(&["config", "--json"]).env("KINOGRAPH_PLUGINS", &list).output().unwrap();
    let output: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let source = json!({ "kind": "environment", "name": "KINOGRAPH_PLUGINS" });
    assert_eq!(setting(&output), json!({ "value": ["a", "b c"], "source": source }));

    let flags = folder.json(&["config", "--json", "--plugins", "x", "--plugins=y"]);
    let source = json!({ "kind": "flag", "name": "--plugins" });
    assert_eq!(setting(&flags), json!({ "value": ["x", "y"], "source": source }));
    let shown = text(&folder.succeed(&["config", "--plugins", "x", "--plugins=y"]).stdout);
    assert!(shown.contains("plugins         x, y                  --plugins\n"), "{shown}");

    folder.write("kinograph.toml", "plugins = ['p']");
    let message = folder.fail(1, &["devices"]);
    assert!(
        message.starts_with("error: kinograph.toml:1: `plugins` runs native code, which a file found"),
        "{message}"
    );
    assert_eq!(
        setting(&folder.json(&["config", "--json", "--config", "kinograph.toml"]))["value"],
        json!(["p"])
    );
    for (value, expected) in
        [("'p'", "must be a list of strings, found string"), ("['']", "a list of directories, found \"\"")]
    {
        folder.write("named.toml", format!("plugins = {value}"));
        let message = folder.fail(1, &["devices", "--config", "named.toml"]);
        assert!(
            message.starts_with("error: named.toml:1: `plugins` must be a list of ")
                && message.contains(expected),
            "{message}"
        );
    }
}
