//! From a prompt to the token ids that a text encoder takes.
//!
//! Two kinds: a Hugging Face `tokenizer.json` or a SentencePiece model of the unigram kind (cargo feature `tokenizers`), and
//! plain UTF-8 bytes as ByT5 numbers them. The
//! output always has the length that the package asks for, so that graphs have static shapes.
//!
//! ```
//! use kinograph::tokenize::{Tokenizer, TokenizerOptions};
//!
//! let mut options = TokenizerOptions::bytes(6);
//! options.eos = Some(1);
//! let tokens = Tokenizer::new(options, None)?.encode("hi")?;
//! assert_eq!(tokens.ids, [107, 108, 1, 0, 0, 0]);
//! assert_eq!(tokens.mask, [true, true, true, false, false, false]);
//! # Ok::<(), kinograph::tokenize::TokenizeError>(())
//! ```

use serde::{Deserialize, Serialize};

mod clean;
mod quoted;
#[cfg(feature = "tokenizers")]
mod sentencepiece;

#[cfg(feature = "tokenizers")]
mod huggingface;
#[cfg(not(feature = "tokenizers"))]
#[path = "tokenize/without.rs"]
mod huggingface;

#[cfg(test)]
mod tests;

/// The longest prompt accepted, in bytes of UTF-8: 1 MiB.
pub const MAX_PROMPT_BYTES: usize = 1 << 20;
/// The largest `tokenizer.json` accepted, in bytes: 64 MiB (the largest in common use has about 35).
pub const MAX_FILE_BYTES: usize = 64 << 20;
/// The longest output accepted, in tokens.
pub const MAX_LENGTH: usize = 1 << 20;

/// ByT5 leaves ids 0, 1 and 2 to padding, end and unknown; byte `b` is id `b + 3`.
const BYTE_OFFSET: i64 = 3;

/// How text becomes tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum TokenizerKind {
    /// A Hugging Face `tokenizer.json`, or a SentencePiece `spiece.model`, which its first byte tells apart. Its own special tokens, padding and truncation are left out: the options below
    /// decide them, so that a package says in one place what its encoder sees.
    HuggingFace,
    /// The bytes of the UTF-8 text, id = byte + 3, as in ByT5 (pad 0, eos 1).
    Bytes,
}

/// Which part of the prompt is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum TextSource {
    /// All of it.
    #[default]
    Prompt,
    /// What stands between double quotes, straight or curly, several joined by one space; empty if there is none. This is
    /// the text to be drawn, for Movie Gen's character-level encoder.
    Quoted,
}

/// What a package says about one tokenizer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerOptions {
    /// How text becomes tokens.
    pub kind: TokenizerKind,
    /// The `tokenizer.json`, relative to the package; for [`TokenizerKind::HuggingFace`] only. This module does not read
    /// it: the caller does, within the package's bounds, and passes the bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Length of the output, in tokens, `bos` and `eos` included.
    pub max_length: usize,
    /// Id that fills up short texts.
    #[serde(default)]
    pub pad: i64,
    /// Id put before the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bos: Option<i64>,
    /// Id put after the text; it is kept when the text is cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eos: Option<i64>,
    /// Which part of the prompt is encoded.
    #[serde(default)]
    pub source: TextSource,
    /// Whether the text is cleaned first: HTML's escapes read, twice as diffusers does, runs of white space made one space, and
    /// none left at either end.
    #[serde(default)]
    pub clean: bool,
}

impl TokenizerOptions {
    /// Options of a byte tokenizer: pad 0, no bos, no eos, the whole prompt.
    pub fn bytes(max_length: usize) -> Self {
        Self {
            kind: TokenizerKind::Bytes,
            file: None,
            max_length,
            pad: 0,
            bos: None,
            eos: None,
            source: TextSource::Prompt,
            clean: false,
        }
    }

    /// Tokens left for the text itself in so many.
    fn room(&self, length: usize) -> Result<usize, TokenizeError> {
        let special = usize::from(self.bos.is_some()) + usize::from(self.eos.is_some());
        match length.checked_sub(special) {
            Some(room) if room > 0 && length <= MAX_LENGTH => Ok(room),
            _ => Err(TokenizeError::BadLength { max_length: length, special }),
        }
    }
}

/// Token ids of one text, of the length the options ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// As many ids as were asked for.
    pub ids: Vec<i64>,
    /// True where there is a token, false where there is padding. All false only for an empty text without `bos` and `eos`.
    pub mask: Vec<bool>,
}

/// Why a tokenizer could not be made or a text not be encoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizeError {
    /// The prompt is above [`MAX_PROMPT_BYTES`].
    #[error("the prompt has {bytes} bytes, at most {MAX_PROMPT_BYTES} are accepted: shorten it")]
    PromptTooLong {
        /// Its length.
        bytes: usize,
    },
    /// The tokenizer file is above [`MAX_FILE_BYTES`].
    #[error("the tokenizer file has {bytes} bytes, at most {MAX_FILE_BYTES} are accepted")]
    FileTooLarge {
        /// Its length.
        bytes: usize,
    },
    /// A `huggingface` tokenizer without its file.
    #[error("a tokenizer of kind \"huggingface\" needs its tokenizer.json: set `file`")]
    FileMissing,
    /// The output has no room for text, or is absurdly long.
    #[error(
        "max_length is {max_length}: it must hold {special} special tokens and one more, and be at most {MAX_LENGTH}"
    )]
    BadLength {
        /// As asked.
        max_length: usize,
        /// `bos` and `eos`, as far as set.
        special: usize,
    },
    /// A special id below zero.
    #[error("token id {0} is negative: pad, bos and eos must be 0 or above")]
    NegativeId(i64),
    /// The file is not a usable `tokenizer.json`.
    #[error("the tokenizer file is not a usable tokenizer.json: {0}")]
    BadFile(String),
    /// The tokenizer failed on this text.
    #[error("the tokenizer failed on this prompt: {0}")]
    Encode(String),
    /// This build has no `tokenizer.json` reader.
    #[error("this build cannot read a tokenizer.json: build kinograph with the cargo feature \"tokenizers\"")]
    FeatureOff,
}

/// Turns prompts into tokens. Cheap to call from many threads at once.
#[derive(Debug)]
pub struct Tokenizer {
    options: TokenizerOptions,
    model: Model,
}

#[derive(Debug)]
enum Model {
    Bytes,
    HuggingFace(Box<huggingface::Model>),
}

impl Tokenizer {
    /// A tokenizer as the options say; `file` holds the bytes of `options.file`, if there is one.
    ///
    /// # Errors
    /// Anything but [`TokenizeError::PromptTooLong`] and [`TokenizeError::Encode`]. A hostile file gives
    /// [`TokenizeError::BadFile`].
    pub fn new(options: TokenizerOptions, file: Option<&[u8]>) -> Result<Self, TokenizeError> {
        options.room(options.max_length)?;
        let special = [Some(options.pad), options.bos, options.eos];
        if let Some(id) = special.into_iter().flatten().find(|id| *id < 0) {
            return Err(TokenizeError::NegativeId(id));
        }
        let model = match options.kind {
            TokenizerKind::Bytes => Model::Bytes,
            TokenizerKind::HuggingFace => {
                let bytes = file.ok_or(TokenizeError::FileMissing)?;
                if bytes.len() > MAX_FILE_BYTES {
                    return Err(TokenizeError::FileTooLarge { bytes: bytes.len() });
                }
                Model::HuggingFace(Box::new(huggingface::Model::parse(bytes)?))
            }
        };
        Ok(Self { options, model })
    }

    /// The options it was made with.
    pub fn options(&self) -> &TokenizerOptions {
        &self.options
    }

    /// The tokens of `prompt`: `bos`, the text cut to what fits, `eos`, then padding.
    ///
    /// # Errors
    /// [`TokenizeError::PromptTooLong`], [`TokenizeError::Encode`].
    pub fn encode(&self, prompt: &str) -> Result<Tokens, TokenizeError> {
        self.encode_to(prompt, self.options.max_length)
    }

    /// As [`encode`](Self::encode), to so many tokens instead of `max_length`.
    ///
    /// # Errors
    /// [`TokenizeError::BadLength`] too.
    pub fn encode_to(&self, prompt: &str, length: usize) -> Result<Tokens, TokenizeError> {
        if prompt.len() > MAX_PROMPT_BYTES {
            return Err(TokenizeError::PromptTooLong { bytes: prompt.len() });
        }
        let text = match self.options.source {
            TextSource::Prompt => prompt.into(),
            TextSource::Quoted => quoted::quoted(prompt),
        };
        let text = if self.options.clean { clean::clean(&text).into() } else { text };
        let room = self.options.room(length)?;
        let body = match &self.model {
            Model::Bytes => text.bytes().take(room).map(|b| i64::from(b) + BYTE_OFFSET).collect(),
            Model::HuggingFace(model) => model.encode(&text, room)?,
        };
        Ok(self.frame(body, length))
    }

    /// Puts the special ids around a body that fits, and pads.
    fn frame(&self, body: Vec<i64>, length: usize) -> Tokens {
        let TokenizerOptions { pad, bos, eos, .. } = self.options;
        let mut ids: Vec<i64> = bos.into_iter().chain(body).chain(eos).collect();
        let used = ids.len();
        ids.resize(length, pad);
        let mask = (0..length).map(|i| i < used).collect();
        Tokens { ids, mask }
    }
}
