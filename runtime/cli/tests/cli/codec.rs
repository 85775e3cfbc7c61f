//! `encode`, `decode`, `reconstruct` and `plan`.

use std::fs;

use crate::folder::{Folder, text};

/// A clip of 9 frames, which is no multiple of the compression.
fn clip(folder: &Folder, name: &str) {
    folder.succeed(&["generate", "a red circle", "--frames", "9", "--steps", "4", "-q", "-o", name]);
}

#[test]
fn a_video_becomes_latents_and_comes_back() {
    let folder = Folder::new();
    clip(&folder, "in.y4m");
    let said = folder.succeed(&["encode", "in.y4m", "-o", "z.safetensors"]);
    assert!(text(&said.stderr).contains("[1, 16, 2, 8, 8] of 9 frames of 64x64"), "{}", text(&said.stderr));
    folder.succeed(&["decode", "z.safetensors", "-o", "out.y4m"]);
    folder.succeed(&["reconstruct", "in.y4m", "-o", "again.y4m"]);
    let read = |name: &str| fs::read(folder.path(name)).unwrap();
    assert!(read("out.y4m") == read("again.y4m"), "the same in one go");
    assert_eq!(read("out.y4m").len(), read("in.y4m").len(), "as many frames, as large, at the same rate");
    let few =
        folder.succeed(&["decode", "z.safetensors", "-o", "few.png", "--frames", "2", "--tiles", "2:1"]);
    assert!(text(&few.stderr).contains("2 frames"), "{}", text(&few.stderr));
}

#[test]
fn a_reconstruction_tells_what_is_lost() {
    let folder = Folder::new();
    clip(&folder, "in.y4m");
    let said = text(&folder.succeed(&["reconstruct", "in.y4m", "-o", "out.gif"]).stderr);
    let decibel: f64 = said.trim().rsplit(", ").next().unwrap().trim_end_matches(" dB").parse().unwrap();
    assert!((25.0..60.0).contains(&decibel), "{said}");
}

#[test]
fn latents_of_a_generated_video_decode_to_it() {
    let folder = Folder::new();
    let job = ["generate", "a blue star", "--frames", "3", "--steps", "2", "--fps", "8", "-q", "-o"];
    let to = |name| job.iter().copied().chain([name]).collect::<Vec<_>>();
    folder.succeed(&to("z.safetensors"));
    folder.succeed(&to("made.y4m"));
    folder.succeed(&["decode", "z.safetensors", "-o", "decoded.y4m"]);
    let read = |name: &str| fs::read(folder.path(name)).unwrap();
    assert!(read("made.y4m") == read("decoded.y4m"));
}

#[test]
fn what_cannot_be_read_is_named() {
    let folder = Folder::new();
    clip(&folder, "in.mp4");
    assert!(folder.fail(1, &["reconstruct", "in.mp4"]).contains("ffmpeg"));
    assert!(folder.fail(1, &["encode", "none.gif"]).contains("none.gif"));
    folder.write("z.safetensors", "x");
    let message = folder.fail(1, &["decode", "z.safetensors"]);
    assert!(message.contains("z.safetensors") && !folder.path("out.mp4").exists(), "{message}");
    let header = br#"{"latents":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    let flat = [&(header.len() as u64).to_le_bytes()[..], header, &[0; 8]].concat();
    folder.write("flat.safetensors", flat);
    let message = folder.fail(1, &["decode", "flat.safetensors"]);
    assert!(message.contains("flat.safetensors: the latents are f32[2]; they must have"), "{message}");
    assert!(folder.fail(2, &["decode", "z.safetensors", "--tiles", "4:3"]).contains("at most half"));
}

#[test]
fn a_plan_for_people_and_for_programs() {
    let folder = Folder::new();
    let shown = text(&folder.succeed(&["plan", "--frames", "48"]).stdout);
    assert!(shown.contains("backbone") && shown.contains("peak memory"), "{shown}");
    let plan = folder.json(&["plan", "--frames", "48", "--json"]);
    let peak = plan["peak_bytes"].as_u64().unwrap();
    let stage = |name: &str| {
        let stages = plan["stages"].as_array().unwrap();
        stages.iter().find(|s| s["component"] == name).unwrap().clone()
    };
    assert_eq!(
        (stage("backbone")["tokens"].as_u64(), stage("decoder")["tiles"].as_u64()),
        (Some(96), Some(2))
    );
    assert_eq!(plan["tactics"]["release"], false);
    // A limit just below makes it do something about it; the same limit holds for the job.
    let limit = (peak - 1).to_string();
    let tighter = folder.json(&["plan", "--frames", "48", "--json", "--memory-limit", &limit]);
    assert_eq!(tighter["tactics"]["release"], true);
    let message = folder.fail(1, &["generate", "x", "--frames", "48", "--memory-limit", "5MB"]);
    assert!(message.contains("MiB") && message.contains("limit"), "{message}");
    assert!(!folder.path("out.mp4").exists());
}
