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

/// Tiles that a limit asks for are part of the manifest.
#[test]
fn a_manifest_holds_what_a_limit_decides() {
    let folder = Folder::new();
    let size = ["--frames", "9", "--size", "96x96", "--steps", "1", "--numerics=reproducible"];
    let plan = |limit: u64| {
        let limit = format!("--memory-limit={limit}");
        let output = folder.run(&[&["plan", "--json", limit.as_str()][..], &size].concat());
        output.status.success().then(|| serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap())
    };
    let mut limit = 1 << 40;
    let tiles = loop {
        let plan = plan(limit).expect("tiles come before there is no way at all");
        match plan["tactics"]["spatial_tiles"].as_str() {
            Some(tiles) => break tiles.to_owned(),
            None => limit = plan["peak_bytes"].as_u64().unwrap() - 1,
        }
    };
    let limit = format!("--memory-limit={limit}");
    let job = ["generate", "a red circle", limit.as_str(), "--manifest", "a.toml", "-o", "a.png"];
    folder.succeed(&[&job[..], &size].concat());
    let manifest = std::fs::read_to_string(folder.path("a.toml")).unwrap();
    assert!(manifest.contains(&format!("spatial_tiles = \"{tiles}\"")), "{tiles}: {manifest}");
    let said = text(&folder.succeed(&["replay", "a.toml"]).stdout);
    assert!(said.contains("the same bits"), "{said}");
}
