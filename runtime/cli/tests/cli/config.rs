//! Settings from flags, environment and files.

use serde_json::{Value, json};

use crate::folder::{Folder, text};

/// The five settings that a run of `kinograph config --json` shows, as value and source.
fn settings(output: &Value) -> [(Value, Value); 5] {
    ["device", "model", "memory_limit", "threads", "log"].map(|key| {
        let setting = &output["settings"][key];
        (setting["value"].clone(), setting["source"].clone())
    })
}

#[track_caller]
fn assert_all(output: &Value, values: [Value; 5], source: impl Fn(usize) -> Value) {
    for (i, (found, expected)) in settings(output).into_iter().zip(values).enumerate() {
        assert_eq!(found, (expected, source(i)));
    }
}

#[test]
fn the_strongest_source_wins() {
    let folder = Folder::new();
    let user = folder.path("user/kinograph/kinograph.toml").display().to_string();
    let run = |variables: &[(&str, &str)], flags: &[&str]| -> Value {
        let mut command = folder.command(&["config", "--json"]);
        let output = command.args(flags).envs(variables.iter().copied()).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let defaults = [json!("cpu"), json!(null), json!(null), json!(null), json!("warn")];
    assert_all(&run(&[], &[]), defaults, |_| json!({ "kind": "default" }));

    let lines = "device = 'a1'\nmodel = 'm1'\nmemory_limit = '1.5MiB'\nthreads = 1\nlog = 'error'\n";
    folder.write("user/kinograph/kinograph.toml", lines);
    let model = folder.path("user/kinograph/m1").display().to_string();
    let values = [json!("a1"), json!(model), json!(1_572_864), json!(1), json!("error")];
    assert_all(&run(&[], &[]), values, |i| json!({ "kind": "file", "path": user, "line": i + 1 }));

    let lines =
        "# This project's.\nlog = 'info'\nthreads = 2\nmemory_limit = 2_000\nmodel = 'm2'\ndevice = 'a2'\n";
    folder.write("kinograph.toml", lines);
    let values = [json!("a2"), json!("m2"), json!(2000), json!(2), json!("info")];
    assert_all(
        &run(&[], &[]),
        values,
        |i| json!({ "kind": "file", "path": "kinograph.toml", "line": 6 - i }),
    );

    let variables = [
        ("KINOGRAPH_DEVICE", "a4"),
        ("KINOGRAPH_MODEL", "m4"),
        ("KINOGRAPH_MEMORY_LIMIT", "4 kB"),
        ("KINOGRAPH_THREADS", "4"),
        ("KINOGRAPH_LOG", "kinograph=debug"),
    ];
    let values = [json!("a4"), json!("m4"), json!(4000), json!(4), json!("kinograph=debug")];
    assert_all(&run(&variables, &[]), values, |i| json!({ "kind": "environment", "name": variables[i].0 }));

    let flags = ["--device=a5", "--model=m5", "--memory-limit=5GB", "--threads=5", "-vvv"];
    let values = [json!("a5"), json!("m5"), json!(5_000_000_000_u64), json!(5), json!("trace")];
    let names = ["--device", "--model", "--memory-limit", "--threads", "--verbose"];
    assert_all(&run(&variables, &flags), values, |i| json!({ "kind": "flag", "name": names[i] }));
}

#[test]
fn sources_are_merged_setting_by_setting() {
    let folder = Folder::new();
    folder.write("user/kinograph/kinograph.toml", "device = 'theirs'\nthreads = 1");
    folder.write("kinograph.toml", "threads = 2");
    folder.write("sub/other.toml", "model = '../models/m'\nlog = 'info'");
    let output = folder.command(&["config"]).env("KINOGRAPH_MEMORY_LIMIT", "1GiB").output().unwrap();
    let user = folder.path("user/kinograph/kinograph.toml");
    let expected = [
        format!("device          theirs                {}:1", user.display()),
        "place           (none)                default".to_owned(),
        "fallback        (none)                default".to_owned(),
        "device_options  (none)                default".to_owned(),
        "model           (inside the program)  default".to_owned(),
        "plugins         (none)                default".to_owned(),
        "memory_limit    1GiB                  environment variable KINOGRAPH_MEMORY_LIMIT".to_owned(),
        "threads         2                     kinograph.toml:1".to_owned(),
        "numerics        native                default".to_owned(),
        "log             warn                  default".to_owned(),
        String::new(),
        "files, the stronger first:".to_owned(),
        "  read       kinograph.toml".to_owned(),
        format!("  read       {}", user.display()),
    ];
    assert_eq!(text(&output.stdout).lines().collect::<Vec<_>>(), expected);

    let other = folder.path("sub/other.toml").display().to_string();
    let output = folder.json(&["config", "--json", "--config", &other]);
    let files = json!([
        { "path": other, "place": "flag", "exists": true },
        { "path": user.display().to_string(), "place": "user", "exists": true },
    ]);
    assert_eq!(output["files"], files);
    let model = folder.path("sub").join("../models/m").display().to_string();
    assert_eq!(output["settings"]["model"]["value"], model);
    // Of ./kinograph.toml, which --config replaces, nothing; of the user's file, what remains open.
    assert_eq!(output["settings"]["threads"]["value"], 1);
    assert_eq!(output["settings"]["device"]["value"], "theirs");
}

#[test]
fn log_filters_and_the_flags_above_them() {
    let folder = Folder::new();
    folder.write("kinograph.toml", "log = 'info'");
    let log = |variables: &[(&str, &str)], flags: &[&str]| -> (String, Value) {
        let mut command = folder.command(&["config", "--json"]);
        let output = command.args(flags).envs(variables.iter().copied()).output().unwrap();
        let log = serde_json::from_slice::<Value>(&output.stdout).unwrap()["settings"]["log"].take();
        let name = log["source"].get("name").unwrap_or(&log["source"]["kind"]).clone();
        (log["value"].as_str().unwrap().to_owned(), name)
    };
    let expect = |level: &str, source: &str| (level.to_owned(), json!(source));
    assert_eq!(log(&[], &[]), expect("info", "file"));
    assert_eq!(log(&[("RUST_LOG", "off")], &[]), expect("off", "RUST_LOG"));
    assert_eq!(log(&[("RUST_LOG", "off"), ("KINOGRAPH_LOG", "warn")], &[]), expect("warn", "KINOGRAPH_LOG"));
    assert_eq!(log(&[("RUST_LOG", ""), ("KINOGRAPH_LOG", "")], &[]), expect("info", "file"));
    assert_eq!(log(&[("KINOGRAPH_LOG", "off")], &["-v"]), expect("info", "--verbose"));
    assert_eq!(log(&[("KINOGRAPH_LOG", "off")], &["-vv"]), expect("debug", "--verbose"));
    assert_eq!(log(&[("KINOGRAPH_LOG", "off")], &["-v", "-q"]), expect("error", "--quiet"));

    let generate = ["generate", "a red circle", "--frames", "1", "--steps", "1", "-o", "a.png"];
    let logged = |flags: &[&str]| text(&folder.succeed(&[&generate[..], flags].concat()).stderr);
    assert!(logged(&[]).contains("INFO"), "the file's filter is in force");
    assert_eq!(logged(&["--quiet"]), "");
}

#[test]
fn errors_name_file_line_and_key() {
    let folder = Folder::new();
    let keys = "the keys are device, place, fallback, device_options, model, plugins, memory_limit, threads, numerics, log";
    let cases = [
        ("device = 'cpu'\n\nthread = 2\n", "3: unknown key `thread`; did you mean `threads`?".to_owned()),
        ("memory-limit = 1", "1: unknown key `memory-limit`; did you mean `memory_limit`?".to_owned()),
        ("[tolerances]\nrtol = 1", format!("1: unknown key `tolerances`; {keys}")),
        ("\nlog = 3\nthread = 2", "2: `log` must be a string, found integer".to_owned()),
        ("threads = '2'", "1: `threads` must be an integer, found string".to_owned()),
        ("threads = 0", "1: `threads` = 0: must be a whole number from 1 to 1024".to_owned()),
        ("memory_limit = true", "1: `memory_limit` must be a string or an integer, found boolean".to_owned()),
        ("memory_limit = '2G'", "1: `memory_limit` = \"2G\": must be a number of bytes, or".to_owned()),
        ("memory_limit = -1", "1: `memory_limit` = -1: must be a number of bytes, or".to_owned()),
        ("log = 'inof'", "1: `log` = \"inof\": `inof` is no level; give off, error, warn".to_owned()),
        ("device = ''", "1: `device` = \"\": must name a device".to_owned()),
        ("model = ''", "1: `model` = \"\": must name a model package".to_owned()),
        ("device = 'a'\ndevice = 'b'", "2: duplicate key".to_owned()),
        ("\ndevice = ", "2: ".to_owned()),
    ];
    for (content, expected) in cases {
        folder.write("kinograph.toml", content);
        let message = folder.fail(1, &["devices"]);
        assert!(message.starts_with(&format!("error: kinograph.toml:{expected}")), "{content}: {message}");
    }
    folder.write("kinograph.toml", "threads = 0");
    folder.fail(1, &["devices", "--threads", "1"]);
    folder.write("kinograph.toml", "");
    folder.write("user/kinograph/kinograph.toml", "modell = 'm'");
    let user = folder.path("user/kinograph/kinograph.toml");
    assert!(folder.fail(1, &["devices"]).contains(&format!("{}:1: unknown key `modell`", user.display())));
}

#[test]
fn files_that_cannot_be_read() {
    let folder = Folder::new();
    assert!(folder.fail(1, &["devices", "--config", "gone.toml"]).contains("gone.toml: "));
    folder.write("large.toml", vec![b'#'; (1 << 20) + 1]);
    let message = folder.fail(1, &["devices", "--config", "large.toml"]);
    assert!(message.contains("large.toml: larger than 1048576 bytes"), "{message}");
    folder.write("bytes.toml", b"device = '\xff'");
    assert!(folder.fail(1, &["devices", "--config", "bytes.toml"]).contains("bytes.toml: "));
    folder.write("kinograph.toml/inside", "");
    assert!(folder.fail(1, &["devices"]).starts_with("error: kinograph.toml: "));
}

#[test]
fn errors_name_the_variable() {
    let folder = Folder::new();
    let fail = |name: &str, value: &std::ffi::OsStr| {
        let output = folder.command(&["devices"]).env(name, value).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        text(&output.stderr)
    };
    for (name, value) in
        [("KINOGRAPH_THREADS", "many"), ("KINOGRAPH_MEMORY_LIMIT", "2G"), ("KINOGRAPH_LOG", "a,b")]
    {
        let message = fail(name, value.as_ref());
        let expected = format!("error: environment variable {name}: `{value}`: ");
        assert!(message.starts_with(&expected) || message.contains("`a` is no level"), "{message}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        let message = fail("KINOGRAPH_DEVICE", std::ffi::OsStr::from_bytes(b"\xff"));
        assert_eq!(message, "error: environment variable KINOGRAPH_DEVICE: is not UTF-8\n");
    }
}

#[test]
fn what_fails_later_says_who_asked_for_it() {
    let folder = Folder::new();
    let output = folder.command(&["generate", "x"]).env("KINOGRAPH_DEVICE", "gpu9").output().unwrap();
    let message = text(&output.stderr);
    let expected = "error: environment variable KINOGRAPH_DEVICE: there is no device `gpu9`; there are: cpu";
    // Those beside the CPU depend on how the program was built and what is installed.
    assert!(message.starts_with(expected), "{message}");
    folder.write("sub/k.toml", "\nmodel = 'm'");
    let message = folder.fail(1, &["inspect", "--config", "sub/k.toml"]);
    assert!(message.starts_with("error: sub/k.toml:2: sub/m/model.toml: "), "{message}");
    // Also where a command could do without a model.
    assert_eq!(folder.fail(1, &["bench", "--config", "sub/k.toml"]), message);
}

#[test]
fn every_command_knows_the_devices_that_choose() {
    let folder = Folder::new();
    folder.write("kinograph.toml", "device = 'auto'");
    let message = folder.fail(1, &["bench", "--filter", "no such case"]);
    assert!(message.contains("no case contains `no such case`"), "{message}");
}

#[test]
fn values_in_tables_may_hold_anything() {
    let folder = Folder::new();
    folder.write("k.toml", "place = { text = 'cpu' }\ndevice_options = { library = '/a,b=c/lib.so' }");
    let settings = folder.json(&["config", "--json", "--config", "k.toml"])["settings"].take();
    assert_eq!(settings["place"]["value"], json!({ "text": "cpu" }));
    assert_eq!(settings["device_options"]["value"], json!({ "library": "/a,b=c/lib.so" }));
    for (line, expected) in [
        ("place = 'text=cpu'", "`place` must be a table of strings, found string"),
        ("place = { text = 1 }", "`place.text` must be a string that is not empty"),
        ("place = { text = '' }", "`place.text` must be a string that is not empty"),
    ] {
        folder.write("k.toml", line);
        let message = folder.fail(1, &["config", "--config", "k.toml"]);
        assert!(message.starts_with(&format!("error: k.toml:1: {expected}")), "{line}: {message}");
    }
}
