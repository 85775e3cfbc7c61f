//! Reproducible numerics: manifests, and making the same bits again.

use crate::folder::{Folder, text};

const JOB: [&str; 9] =
    ["generate", "a red circle", "--frames", "1", "--steps", "2", "--seed", "7", "--numerics=reproducible"];

#[test]
fn a_manifest_makes_the_same_bits_again() {
    let folder = Folder::new();
    folder.succeed(&[&JOB[..], &["--manifest", "a.toml", "-o", "a.png", "--threads", "1"]].concat());
    let manifest = std::fs::read_to_string(folder.path("a.toml")).unwrap();
    for part in ["[numerics]", "version = 1", "[model]", "[request]", "seed = 7", "[output]"] {
        assert!(manifest.contains(part), "{part}: {manifest}");
    }
    let said = text(&folder.succeed(&["replay", "a.toml", "--threads", "2", "-o", "b.png"]).stdout);
    assert!(said.contains("the same bits"), "{said}");
    assert_eq!(std::fs::read(folder.path("a.png")).unwrap(), std::fs::read(folder.path("b.png")).unwrap());
}

#[test]
fn a_manifest_that_does_not_hold_is_told() {
    let folder = Folder::new();
    folder.succeed(&[&JOB[..], &["--manifest", "a.toml", "-o", "a.png"]].concat());
    let manifest = std::fs::read_to_string(folder.path("a.toml")).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(manifest.contains(from), "{from}: {manifest}");
        folder.write("b.toml", manifest.replacen(from, to, 1));
        folder.fail(1, &["replay", "b.toml"])
    };
    assert!(changed("seed = 7", "seed = 8").contains("other latents"));
    assert!(changed("version = 1", "version = 9").contains("version 9"));
    assert!(changed("kind = \"reproducible\"", "kind = \"native\"").contains("native"));
    assert!(changed("digest = \"", "digest = \"0").contains("--model"));
    assert!(changed("solver = \"", "solver = \"no").contains("solver"));
    let message = folder.fail(1, &["generate", "x", "--manifest", "c.toml", "--frames", "1"]);
    assert!(message.contains("--numerics reproducible"), "{message}");
}
