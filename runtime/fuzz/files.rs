//! Several files in one input of the fuzzer: they follow each other, each after a line `=== name`.
//! Shared by the fuzz target and by the test that runs its corpus.

use std::collections::BTreeMap;
use std::sync::Arc;

const MARK: &[u8] = b"=== ";

/// Splits at the marker lines; what stands before the first is dropped.
pub(crate) fn files(data: &[u8]) -> BTreeMap<String, Arc<[u8]>> {
    let mut files = BTreeMap::new();
    let mut rest = data;
    while let Some(start) = find(rest, MARK) {
        rest = &rest[start + MARK.len()..];
        let end = find(rest, b"\n").unwrap_or(rest.len());
        let name = String::from_utf8_lossy(&rest[..end]).into_owned();
        rest = rest.get(end + 1..).unwrap_or(&[]);
        let next = find(rest, MARK).unwrap_or(rest.len());
        files.insert(name, rest[..next].into());
    }
    files
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}
