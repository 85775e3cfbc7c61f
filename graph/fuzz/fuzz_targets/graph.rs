//! Any bytes as a graph file: parsed, bound, written and parsed again without a panic, and the
//! canonical text says the same.
#![no_main]

use kinograph_graph::{Bindings, GraphFile};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(file) = GraphFile::parse("fuzz.toml", text) else { return };
    let again = GraphFile::parse("canonical.toml", &file.to_toml()).expect("the canonical text parses");
    assert!(file == again || has_nan(text), "the canonical text says the same");
    let _ = file.bind(&Bindings::new());
});

/// NaN differs from itself, so a file that holds one differs from its copy.
fn has_nan(text: &str) -> bool {
    text.contains("nan")
}
