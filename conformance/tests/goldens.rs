//! The committed goldens are what the exact evaluation says now. `KINOGRAPH_BLESS=1` writes them anew.

use std::path::{Path, PathBuf};

use kinograph_conformance::{Catalogue, exact_digest};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn bless() -> bool {
    std::env::var_os("KINOGRAPH_BLESS").is_some()
}

#[test]
fn digests_are_those_of_the_exact_answers() {
    let catalogue = Catalogue::builtin().unwrap();
    let mut text = String::new();
    for item in catalogue.items() {
        if let Some(digest) = exact_digest(item) {
            let digest = digest.unwrap_or_else(|e| panic!("{}: {e}", item.id));
            text.push_str(&format!("{digest}  {}\n", item.id));
        }
    }
    let file = path("goldens/digests.txt");
    if bless() {
        return std::fs::write(file, text).unwrap();
    }
    let known = std::fs::read_to_string(file).unwrap();
    let differ: Vec<&str> = text.lines().filter(|line| !known.lines().any(|k| k == *line)).collect();
    assert!(
        differ.is_empty() && known.lines().count() == text.lines().count(),
        "the exact answers have changed, or the cases: run with KINOGRAPH_BLESS=1 if they should\n{}",
        differ.join("\n")
    );
}

/// The exact evaluation of the whole of flipbook takes half a minute; `KINOGRAPH_BLESS=1` writes it.
#[cfg(feature = "flipbook")]
#[test]
fn flipbook_goldens_are_written_on_demand() {
    if !bless() {
        return;
    }
    let text = path("../examples/models/flipbook/goldens/text.safetensors");
    let goldens = kinograph_conformance::flipbook_goldens(&std::fs::read(text).unwrap()).unwrap();
    std::fs::write(path("goldens/flipbook.safetensors"), goldens).unwrap();
}
