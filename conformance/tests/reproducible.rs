//! The bits of reproducible numerics: each case's result as a digest. A digest that changes is a change of the arithmetic, and of
//! its version; `KINOGRAPH_BLESS=1` writes them anew.

use std::fmt::Write as _;
use std::path::Path;

use kinograph_conformance::Suite;
use kinograph_graph::{Args, Tensor, exact};

#[test]
fn the_bits_are_those_of_this_version() {
    let suite = Suite::builtin().unwrap();
    let mut found = format!("# BLAKE3 of the results of the exact ops, version {}\n", exact::VERSION);
    for case in suite.cases().iter().filter(|case| case.op.name.starts_with("exact.")) {
        let tensors = case.tensors();
        let inputs: Vec<Option<&Tensor>> = tensors.iter().map(Option::as_ref).collect();
        let made = (case.op.reference)(&Args { op: case.op, inputs: &inputs, attrs: &case.attrs }).unwrap();
        let mut hasher = blake3::Hasher::new();
        for v in made.iter().flat_map(Tensor::data) {
            hasher.update(&(*v as f32).to_le_bytes());
        }
        writeln!(found, "{} {case}", hasher.finalize().to_hex()).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/reproducible.digests");
    if std::env::var_os("KINOGRAPH_BLESS").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    for (wanted, found) in wanted.lines().zip(found.lines()) {
        assert_eq!(found, wanted, "the arithmetic changed: raise exact::VERSION");
    }
    assert_eq!(found.lines().count(), wanted.lines().count());
}
