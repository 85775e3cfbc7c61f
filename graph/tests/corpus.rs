//! The fuzzer's corpus on every ordinary test run, and random damage to it.

use std::path::PathBuf;

use kinograph_graph::{Bindings, GraphFile};
use proptest::prelude::*;

fn corpus() -> Vec<(PathBuf, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/graph");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
        .into_iter()
        .map(|p| (p.clone(), String::from_utf8_lossy(&std::fs::read(&p).unwrap()).into_owned()))
        .collect()
}

/// Parses, writes, parses again and binds; an error is fine, a panic or a difference is not.
fn exercise(text: &str) {
    let Ok(file) = GraphFile::parse("corpus.toml", text) else { return };
    let again = GraphFile::parse("canonical.toml", &file.to_toml())
        .unwrap_or_else(|e| panic!("{e}\n{}", file.to_toml()));
    assert!(file == again || text.contains("nan"), "{text}");
    drop(file.bind(&Bindings::new()));
}

#[test]
fn corpus_is_digested() {
    for (path, text) in corpus() {
        println!("{}", path.display());
        exercise(&text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damaged_corpus_never_panics(
        file in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..20, "[\\PC\n]{0,6}"), 1..8),
    ) {
        let corpus = corpus();
        let mut text: Vec<char> = corpus[file.index(corpus.len())].1.chars().collect();
        for (at, cut, piece) in edits {
            let at = at.index(text.len() + 1);
            let end = (at + cut).min(text.len());
            text.splice(at..end, piece.chars());
        }
        exercise(&text.into_iter().collect::<String>());
    }
}
