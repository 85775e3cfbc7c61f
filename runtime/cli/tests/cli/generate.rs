//! `kinograph generate`: files, messages, exit codes.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::folder::{Folder, text};

const QUICK: [&str; 6] = ["--frames", "2", "--steps", "1", "--guidance", "1"];

fn quick<'a>(output: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["generate", "a red circle moves left", "-o", output];
    arguments.extend(QUICK);
    arguments.extend(more);
    arguments
}

#[test]
fn every_format_by_its_ending() {
    let folder = Folder::new();
    for (name, magic) in
        [("v.mp4", &b"ftyp"[..]), ("v.gif", b"GIF8"), ("v.y4m", b"YUV4"), ("v.safetensors", b"latents")]
    {
        folder.succeed(&quick(name, &[]));
        let bytes = fs::read(folder.path(name)).unwrap();
        let head = &bytes[..bytes.len().min(200)];
        assert!(head.windows(magic.len()).any(|w| w == magic), "{name}");
    }
    folder.succeed(&quick("v.png", &[]));
    folder.succeed(&["generate", "a big star", "--frames", "1", "--steps", "1", "-o", "one.png", "--quiet"]);
    let expected = ["one.png", "v-0001.png", "v-0002.png", "v.gif", "v.mp4", "v.safetensors", "v.y4m"];
    assert_eq!(folder.names(), expected);
}

#[test]
fn same_seed_same_bytes_whatever_the_threads() {
    let folder = Folder::new();
    folder.succeed(&quick("a.mp4", &["--seed", "3", "--threads", "1"]));
    folder.succeed(&quick("b.mp4", &["--seed", "3", "--threads", "2"]));
    folder.succeed(&quick("c.mp4", &["--seed", "4"]));
    let read = |name: &str| fs::read(folder.path(name)).unwrap();
    assert!(read("a.mp4") == read("b.mp4"));
    assert!(read("a.mp4") != read("c.mp4"));
}

#[test]
fn written_latents_can_be_started_from() {
    let folder = Folder::new();
    folder.succeed(&quick("z.safetensors", &[]));
    folder.succeed(&quick("from.gif", &["--latents", "z.safetensors"]));
    let message = folder.fail(1, &quick("x.gif", &["--latents", "z.safetensors", "--size", "96x64"]));
    assert!(message.contains("given latents are [1, 16, 1, 8, 8]"), "{message}");
}

#[test]
fn usage_errors_teach() {
    let folder = Folder::new();
    assert!(folder.fail(2, &[]).contains("Usage"));
    assert!(folder.fail(2, &["generate"]).contains("<PROMPT>"));
    assert!(folder.fail(2, &quick("a.mp4", &["--size", "96"])).contains("for example 96x64"));
    assert!(folder.fail(2, &quick("a.mp4", &["--schedule", "cubic"])).contains("linear-quadratic"));
    assert!(folder.fail(2, &quick("a.mp4", &["--threads", "0"])).contains("from 1 to 1024"));
    let help = text(&folder.succeed(&["generate", "--help"]).stdout);
    for word in ["--negative", "a red circle moves left", "--latents", ".y4m"] {
        assert!(help.contains(word), "{word}");
    }
}

#[test]
fn failures_name_what_is_wrong_and_write_nothing() {
    let folder = Folder::new();
    fs::write(folder.path("junk.safetensors"), b"junk").unwrap();
    let cases: [(&[&str], &str); 13] = [
        (&["-o", "a.avi"], "a.avi"),
        (&["-o", "no/such/folder/a.mp4"], "the folder no/such/folder does not exist"),
        (&["-o", "no/such/folder/z.safetensors"], "the folder no/such/folder does not exist"),
        (&["--device", "gpu9"], "there is no device `gpu9`; there are: cpu"),
        (&["--model", "nowhere"], "a model is a directory with a model.toml"),
        (&["--size", "50x50"], "multiples of 16"),
        (&["--fps", "30"], "this model knows 8, 16"),
        (&["--steps", "0"], "0 steps: the number of steps must be from 1"),
        (&["--latents", "junk.safetensors"], "not a whole safetensors file"),
        (&["--latents", "gone.safetensors"], "gone.safetensors"),
        (&["--checkpoint", "a.mp4", "-o", "a.mp4"], "--checkpoint and --output are one file: a.mp4"),
        (&["--checkpoint", "no/such/folder/c"], "the folder no/such/folder does not exist"),
        (
            &["--numerics", "reproducible", "--manifest", "no/such/folder/m.toml"],
            "the folder no/such/folder does not exist",
        ),
    ];
    for (more, expected) in cases {
        let mut arguments = vec!["generate", "a red circle moves left", "--frames", "2"];
        arguments.extend(more);
        let message = folder.fail(1, &arguments);
        assert!(message.starts_with("error: ") && message.contains(expected), "{more:?}: {message}");
        assert_eq!(message.matches(expected).count(), 1, "the cause stands once: {message}");
    }
    assert!(folder.fail(1, &["generate", &"x".repeat(100_000), "--frames", "1000"]).contains("1000 frames"));
    assert_eq!(folder.names(), ["junk.safetensors"]);
}

#[cfg(unix)]
#[test]
fn a_prompt_of_invalid_bytes_is_a_usage_error() {
    use std::os::unix::ffi::OsStrExt;
    let folder = Folder::new();
    let prompt = std::ffi::OsStr::from_bytes(b"a red \xff\xfe circle");
    let output = folder.command(&["generate"]).arg(prompt).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
}

#[test]
fn a_failed_run_leaves_the_old_file() {
    let folder = Folder::new();
    fs::write(folder.path("a.mp4"), b"precious").unwrap();
    folder.fail(1, &quick("a.mp4", &["--size", "48x4096"]));
    assert_eq!(fs::read(folder.path("a.mp4")).unwrap(), b"precious");
}

#[cfg(unix)]
#[test]
fn ctrl_c_halfway_cancels_and_writes_nothing() {
    let folder = Folder::new();
    let child = folder
        .command(&[
            "generate",
            "a red circle moves left",
            "--steps",
            "2000",
            "--schedule",
            "linear",
            "-o",
            "a.mp4",
        ])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Long enough to be at work, far from done: 2,000 steps take minutes.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("cancelled; nothing was written"));
    assert_eq!(folder.names(), Vec::<String>::new());
}

#[test]
fn a_model_directory_gives_the_same_as_the_built_in_one() {
    let folder = Folder::new();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/models/flipbook");
    folder.succeed(&quick("a.y4m", &[]));
    folder.succeed(&quick("b.y4m", &["--model", model.to_str().unwrap()]));
    assert!(fs::read(folder.path("a.y4m")).unwrap() == fs::read(folder.path("b.y4m")).unwrap());
}
