//! Hugging Face `tokenizer.json`, by the `tokenizers` crate, behind checks for files from strangers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use serde::Deserialize;
use serde_json::Value;

use super::{TokenizeError, sentencepiece};

/// How deep normalisers and the like may nest; known files stay under 6. The crate reads them by trying alternatives at
/// every level, so time grows exponentially with depth.
const MAX_DEPTH: usize = 16;
/// How many times longer than the prompt the normalised text may become at worst. SentencePiece's own character map has
/// a replacement of 33 bytes, and other rules multiply with it.
const MAX_GROWTH: usize = 512;

/// A tokenizer without padding and truncation of its own.
#[derive(Debug)]
pub(super) struct Model(tokenizers::Tokenizer);

impl Model {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, TokenizeError> {
        // A SentencePiece model begins with the tag of its first field, which is a line feed to JSON.
        let is_json = bytes.trim_ascii_start().first() == Some(&b'{');
        let converted = (!is_json && bytes.first() == Some(&sentencepiece::FIRST_BYTE))
            .then(|| sentencepiece::to_json(bytes).map_err(TokenizeError::BadFile))
            .transpose()?;
        let bytes = converted.as_deref().unwrap_or(bytes);
        check(bytes)?;
        let mut tokenizer =
            guarded(|| tokenizers::Tokenizer::from_bytes(bytes)).map_err(TokenizeError::BadFile)?;
        tokenizer.with_padding(None);
        guarded(|| tokenizer.with_truncation(None).map(|_| ())).map_err(TokenizeError::BadFile)?;
        Ok(Self(tokenizer))
    }

    /// The first `room` ids of the text, without special tokens.
    pub(super) fn encode(&self, text: &str, room: usize) -> Result<Vec<i64>, TokenizeError> {
        let encode = || guarded(|| self.0.encode_fast(text, false));
        let encoding = in_own_thread(encode).and_then(|done| done).map_err(TokenizeError::Encode)?;
        Ok(encoding.get_ids().iter().take(room).map(|id| i64::from(*id)).collect())
    }
}

/// Runs something in a thread of its own. The crate caches words of each tokenizer for as long as the thread lives that asked
/// for them, also when the tokenizer is gone: in a host's thread that would grow with every model that was loaded.
fn in_own_thread<T: Send>(run: impl FnOnce() -> T + Send) -> Result<T, String> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("kinograph-text".into()).spawn_scoped(scope, run);
        thread.map_err(|e| format!("no thread for it: {e}"))?.join().map_err(|_| "its thread died".to_owned())
    })
}

/// Runs the crate's code, turning its panics into errors: it has some left on files that contradict themselves.
fn guarded<T>(run: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    // What the closures borrow is either dropped or not changed by them, so a panic leaves nothing half done.
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(|e| e.to_string()),
        Err(_) => Err("it made the tokenizers library panic".to_owned()),
    }
}

/// The parts of the file that run on text; the vocabulary is skipped without building it.
#[derive(Deserialize)]
struct Outline {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(default)]
    decoder: Value,
}

/// Refuses files made to exhaust time or memory rather than to tokenise.
fn check(bytes: &[u8]) -> Result<(), TokenizeError> {
    let bad = |why: String| Err(TokenizeError::BadFile(why));
    let outline: Outline = match serde_json::from_slice(bytes) {
        Ok(outline) => outline,
        Err(e) => return bad(e.to_string()),
    };
    let parts = [&outline.normalizer, &outline.pre_tokenizer, &outline.post_processor, &outline.decoder];
    if parts.iter().any(|part| depth(part) > MAX_DEPTH) {
        return bad(format!("its parts nest deeper than {MAX_DEPTH} levels"));
    }
    if growth(&outline.normalizer).saturating_mul(growth(&outline.pre_tokenizer)) > MAX_GROWTH {
        return bad(format!("its normaliser could make a text more than {MAX_GROWTH} times longer"));
    }
    Ok(())
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// The longest replacement in a SentencePiece character map: after a trie, whose size in bytes comes first, stand strings
/// that end with a zero byte, and each character may become any one of them.
fn charsmap_growth(map: &Value) -> usize {
    let Some(bytes) = map.as_str().and_then(|text| base64::decode(text).ok()) else {
        return usize::MAX;
    };
    let Some((size, rest)) = bytes.split_first_chunk() else { return usize::MAX };
    let strings =
        usize::try_from(u32::from_le_bytes(*size)).ok().and_then(|size| rest.get(size..)).unwrap_or(rest);
    strings.split(|b| *b == 0).map(<[u8]>::len).max().unwrap_or(1).max(1)
}

/// An upper estimate of how many times longer replacements make a text: each byte may become a whole replacement, one
/// rule runs after another, and text put in front counts like a replacement of one byte.
fn growth(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(growth).fold(1, usize::saturating_mul),
        Value::Object(fields) => {
            let replaces = matches!(fields.get("type").and_then(Value::as_str), Some("Replace" | "Prepend"));
            let texts = ["content", "prepend"].into_iter().filter_map(|name| fields.get(name)?.as_str());
            let own = if replaces { texts.map(str::len).max().unwrap_or(1).max(1) } else { 1 };
            let own = own.max(fields.get("precompiled_charsmap").map_or(1, charsmap_growth));
            fields.values().map(growth).fold(own, usize::saturating_mul)
        }
        _ => 1,
    }
}
