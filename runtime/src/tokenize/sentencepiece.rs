//! SentencePiece models of the unigram kind, turned into the `tokenizer.json` that says the same.
//!
//! The file is a protobuf message (sentencepiece_model.proto): field 1 is a piece, with its text, score and type, field 2 the
//! settings of training, field 3 those of normalisation. That is little enough to read by hand, with every length checked.

use serde_json::json;

/// What a model begins with: the tag of a piece.
pub(super) const FIRST_BYTE: u8 = 0x0a;

/// The most pieces of a model; the largest in common use have 256,000.
const MAX_PIECES: usize = 1 << 21;

/// The kind of model that is understood, as training's settings number it; what a file does not say is this.
const UNIGRAM: u64 = 1;

/// What a piece is, where it is not normal.
const UNKNOWN: u64 = 2;
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;
const BYTE: u64 = 6;

/// A field of a message.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Float(f32),
}

/// The fields of a message.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// The number of the next field and its content.
    fn field(&mut self) -> Option<(u64, Field<'a>)> {
        let tag = self.varint()?;
        let field = match tag & 7 {
            0 => Field::Number(self.varint()?),
            1 => self.take(8).map(Field::Bytes)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Float(f32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            _ => return None,
        };
        Some((tag >> 3, field))
    }
}

/// What is taken from a model.
struct Model {
    pieces: Vec<(String, f32)>,
    /// Pieces that are looked for in a text before anything else is done to it: their positions, and whether they stand for
    /// no text.
    added: Vec<(usize, bool)>,
    unknown: usize,
    bytes: bool,
    charsmap: Vec<u8>,
    /// Whether a text begins with a space, and whether runs of spaces count as one.
    prefix: bool,
    squeeze: bool,
}

/// The `tokenizer.json` of a model.
pub(super) fn to_json(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let model = parse(bytes)?;
    let mut normalizers = Vec::new();
    if !model.charsmap.is_empty() {
        let map = base64::encode(&model.charsmap);
        normalizers.push(json!({ "type": "Precompiled", "precompiled_charsmap": map }));
    }
    if model.squeeze {
        normalizers.push(json!({ "type": "Strip", "strip_left": true, "strip_right": true }));
        normalizers.push(json!({ "type": "Replace", "pattern": { "Regex": " {2,}" }, "content": " " }));
    }
    let scheme = if model.prefix { "always" } else { "never" };
    let added = |&(at, special): &(usize, bool)| {
        json!({ "id": at, "content": model.pieces[at].0, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": special })
    };
    let document = json!({
        "version": "1.0",
        "added_tokens": model.added.iter().map(added).collect::<Vec<_>>(),
        "normalizer": { "type": "Sequence", "normalizers": normalizers },
        "pre_tokenizer": { "type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": scheme, "split": true },
        "post_processor": null,
        "decoder": null,
        "model": { "type": "Unigram", "unk_id": model.unknown, "vocab": model.pieces, "byte_fallback": model.bytes },
    });
    Ok(document.to_string().into_bytes())
}

fn parse(bytes: &[u8]) -> Result<Model, String> {
    let broken = || "not a whole SentencePiece model".to_owned();
    let (mut fields, mut unknown) = (Fields(bytes), None);
    let mut model = Model {
        pieces: Vec::new(),
        added: Vec::new(),
        unknown: 0,
        bytes: false,
        charsmap: Vec::new(),
        prefix: true,
        squeeze: true,
    };
    while !fields.0.is_empty() {
        match fields.field().ok_or_else(broken)? {
            (1, Field::Bytes(piece)) => {
                if model.pieces.len() == MAX_PIECES {
                    return Err(format!("more than {MAX_PIECES} pieces"));
                }
                let (text, score, kind) = self::piece(piece).ok_or_else(broken)?;
                let at = model.pieces.len();
                match kind {
                    UNKNOWN => unknown = Some(at),
                    BYTE => model.bytes = true,
                    _ => {}
                }
                if matches!(kind, UNKNOWN | CONTROL | USER_DEFINED) {
                    model.added.push((at, kind != USER_DEFINED));
                }
                model.pieces.push((text, score));
            }
            (2, Field::Bytes(training)) => check_kind(training).ok_or_else(broken)??,
            (3, Field::Bytes(normalising)) => model.normalising(normalising).ok_or_else(broken)?,
            _ => {}
        }
    }
    model.unknown = unknown.ok_or("the SentencePiece model has no piece for what is unknown")?;
    Ok(model)
}

fn piece(bytes: &[u8]) -> Option<(String, f32, u64)> {
    let (mut fields, mut piece) = (Fields(bytes), (String::new(), 0.0, 1));
    while !fields.0.is_empty() {
        match fields.field()? {
            (1, Field::Bytes(text)) => piece.0 = String::from_utf8(text.to_vec()).ok()?,
            (2, Field::Float(score)) if score.is_finite() => piece.1 = score,
            (2, _) => return None,
            (3, Field::Number(kind)) => piece.2 = kind,
            _ => {}
        }
    }
    Some(piece)
}

/// Refuses kinds of models that tokenise otherwise; nothing when the message is broken.
fn check_kind(bytes: &[u8]) -> Option<Result<(), String>> {
    let mut fields = Fields(bytes);
    while !fields.0.is_empty() {
        match fields.field()? {
            (3, Field::Number(kind)) if kind != UNIGRAM => {
                return Some(Err("only SentencePiece models of the unigram kind are supported".into()));
            }
            _ => {}
        }
    }
    Some(Ok(()))
}

impl Model {
    fn normalising(&mut self, bytes: &[u8]) -> Option<()> {
        let mut fields = Fields(bytes);
        while !fields.0.is_empty() {
            match fields.field()? {
                (2, Field::Bytes(map)) => self.charsmap = map.to_vec(),
                (3, Field::Number(on)) => self.prefix = on != 0,
                (4, Field::Number(on)) => self.squeeze = on != 0,
                _ => {}
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(fields: &[(u8, &[u8])]) -> Vec<u8> {
        let field = |(tag, bytes): &(u8, &[u8])| [&[*tag, bytes.len() as u8][..], bytes].concat();
        fields.iter().flat_map(field).collect()
    }

    #[test]
    fn cut_files_are_errors() {
        let unknown = message(&[(0x0a, b"<unk>")]).into_iter().chain([0x18, 2]).collect::<Vec<_>>();
        let whole = message(&[(0x0a, &unknown), (0x0a, &message(&[(0x0a, b"a")]))]);
        assert!(to_json(&whole).is_ok());
        for end in [1, 3, whole.len() - 1] {
            assert_eq!(to_json(&whole[..end]).unwrap_err(), "not a whole SentencePiece model");
        }
        assert!(to_json(&message(&[(0x0a, &message(&[(0x0a, b"a")]))])).unwrap_err().contains("unknown"));
        assert!(to_json(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]).is_err());
    }

    #[test]
    fn user_defined_pieces_are_found_as_they_are() {
        let piece = |text: &[u8], kind: u8| [message(&[(0x0a, text)]), vec![0x18, kind]].concat();
        let (unknown, defined, normal) = (piece(b"<unk>", 2), piece(b"<x>", 4), piece(b"a", 1));
        let json = to_json(&message(&[(0x0a, &unknown), (0x0a, &defined), (0x0a, &normal)])).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let added = json["added_tokens"].as_array().unwrap().iter();
        let found: Vec<_> = added.map(|token| (token["id"].as_u64(), token["special"].as_bool())).collect();
        assert_eq!(found, [(Some(0), Some(true)), (Some(1), Some(false))]);
    }

    #[test]
    fn other_kinds_are_refused() {
        assert!(to_json(&message(&[(0x12, &[0x18, 2])])).unwrap_err().contains("unigram"));
    }
}
