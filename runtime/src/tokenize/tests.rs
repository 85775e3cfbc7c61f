use super::*;

fn bytes(max_length: usize) -> TokenizerOptions {
    TokenizerOptions::bytes(max_length)
}

fn byt5(max_length: usize) -> TokenizerOptions {
    TokenizerOptions { eos: Some(1), ..bytes(max_length) }
}

fn encode(options: TokenizerOptions, text: &str) -> Tokens {
    Tokenizer::new(options, None).unwrap().encode(text).unwrap()
}

#[test]
fn bytes_are_numbered_as_byt5_does() {
    // ByT5's own example: "Life" and the two bytes of e acute.
    let tokens = encode(byt5(8), "Life\u{e9}");
    assert_eq!(tokens.ids, [79, 108, 105, 104, 198, 172, 1, 0]);
    assert_eq!(tokens.mask, [true, true, true, true, true, true, true, false]);
}

#[test]
fn a_long_text_is_cut_before_eos() {
    let options = TokenizerOptions { bos: Some(2), pad: 9, ..byt5(4) };
    assert_eq!(encode(options.clone(), "abcdef").ids, [2, 100, 101, 1]);
    assert_eq!(encode(options.clone(), "").ids, [2, 1, 9, 9]);
    assert_eq!(encode(options, "").mask, [true, true, false, false]);
    assert_eq!(encode(bytes(2), "").mask, [false, false]);
}

#[test]
fn only_the_quoted_text_where_asked() {
    let options = TokenizerOptions { source: TextSource::Quoted, ..byt5(4) };
    assert_eq!(encode(options.clone(), "a neon sign \"Hi\"").ids, [75, 108, 1, 0]);
    assert_eq!(encode(options, "a neon sign").ids, [1, 0, 0, 0]);
}

#[test]
fn impossible_options_are_refused() {
    let refused = |options| Tokenizer::new(options, None).unwrap_err();
    assert!(matches!(refused(bytes(0)), TokenizeError::BadLength { max_length: 0, special: 0 }));
    assert!(matches!(refused(byt5(1)), TokenizeError::BadLength { max_length: 1, special: 1 }));
    assert!(matches!(refused(bytes(usize::MAX)), TokenizeError::BadLength { .. }));
    assert!(matches!(refused(TokenizerOptions { pad: -1, ..bytes(4) }), TokenizeError::NegativeId(-1)));
    let kind = TokenizerKind::HuggingFace;
    assert!(matches!(refused(TokenizerOptions { kind, ..bytes(4) }), TokenizeError::FileMissing));
}

#[test]
fn a_prompt_over_the_limit_is_refused() {
    let tokenizer = Tokenizer::new(byt5(4), None).unwrap();
    assert!(tokenizer.encode(&"a".repeat(MAX_PROMPT_BYTES)).is_ok());
    let error = tokenizer.encode(&"a".repeat(MAX_PROMPT_BYTES + 1)).unwrap_err();
    assert!(matches!(error, TokenizeError::PromptTooLong { bytes } if bytes == MAX_PROMPT_BYTES + 1));
}

#[test]
fn options_read_as_a_package_writes_them() {
    let json =
        r#"{"kind": "huggingface", "file": "t5.json", "max_length": 256, "eos": 1, "source": "quoted"}"#;
    let options: TokenizerOptions = serde_json::from_str(json).unwrap();
    let want = TokenizerOptions {
        kind: TokenizerKind::HuggingFace,
        file: Some("t5.json".into()),
        source: TextSource::Quoted,
        ..byt5(256)
    };
    assert_eq!(options, want);
    assert!(
        serde_json::from_str::<TokenizerOptions>(r#"{"kind": "bytes", "max_length": 2, "maks": 1}"#).is_err()
    );
}

#[cfg(not(feature = "tokenizers"))]
#[test]
fn without_the_feature_the_error_names_it() {
    let options = TokenizerOptions { kind: TokenizerKind::HuggingFace, ..bytes(4) };
    let error = Tokenizer::new(options, Some(b"{}")).unwrap_err();
    assert!(error.to_string().contains("\"tokenizers\""), "{error}");
}

#[cfg(feature = "tokenizers")]
mod huggingface {
    use serde_json::{Value, json};

    use super::*;

    /// A word-level tokenizer in the file's format, which adds, pads and cuts on its own.
    fn words() -> Value {
        json!({
            "version": "1.0",
            "truncation": {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0},
            "padding": {"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 5,
                        "pad_type_id": 0, "pad_token": "[PAD]"},
            "added_tokens": [],
            "normalizer": {"type": "Lowercase"},
            "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "\\s+(?!x)"}, "behavior": "Removed", "invert": false},
            "post_processor": null,
            "decoder": null,
            "model": {"type": "WordLevel", "vocab": {"[UNK]": 0, "a": 1, "red": 2, "ball": 3}, "unk_token": "[UNK]"},
        })
    }

    fn options(max_length: usize) -> TokenizerOptions {
        TokenizerOptions { kind: TokenizerKind::HuggingFace, eos: Some(7), ..bytes(max_length) }
    }

    fn load(file: &Value) -> Result<Tokenizer, TokenizeError> {
        Tokenizer::new(options(6), Some(file.to_string().as_bytes()))
    }

    #[test]
    fn words_become_ids() {
        let tokenizer = load(&words()).unwrap();
        let tokens = tokenizer.encode("A  Red fox ball").unwrap();
        assert_eq!(tokens.ids, [1, 2, 0, 3, 7, 0]);
        assert_eq!(tokens.mask, [true, true, true, true, true, false]);
        assert_eq!(tokenizer.encode("a a a a a a a a").unwrap().ids, [1, 1, 1, 1, 1, 7]);
        assert_eq!(tokenizer.encode("").unwrap().ids, [7, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn json_after_a_line_feed_is_no_sentencepiece_model() {
        let file = format!("\n{}", words());
        let tokenizer = Tokenizer::new(options(6), Some(file.as_bytes())).unwrap();
        assert_eq!(tokenizer.encode("red ball").unwrap().ids, [2, 3, 7, 0, 0, 0]);
    }

    #[test]
    fn byte_pairs_merge() {
        let file = json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
            "post_processor": null, "decoder": null,
            "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "\u{120}": 3, "\u{120}ab": 4},
                      "merges": ["a b", "\u{120} ab"]},
        });
        assert_eq!(load(&file).unwrap().encode("ab abb").unwrap().ids, [2, 4, 1, 7, 0, 0]);
    }

    #[test]
    fn hostile_files_are_errors() {
        let with = |path: &str, value: Value| {
            let mut file = words();
            *file.pointer_mut(path).unwrap() = value;
            file.to_string().into_bytes()
        };
        let mut nested = json!({"type": "Lowercase"});
        for _ in 0..50 {
            nested = json!({"type": "Sequence", "normalizers": [nested]});
        }
        let double = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aaaa"});
        let doubles = json!({"type": "Sequence", "normalizers": vec![double; 20]});
        let long = json!({"type": "Prepend", "prepend": "x".repeat(1 << 20)});
        let files = [
            vec![],
            b"{}".to_vec(),
            b"[1,2]".to_vec(),
            b"\xff\xfe\x00".to_vec(),
            b"{\"model\":".repeat(100_000),
            b"[".repeat(1_000_000),
            words().to_string().into_bytes()[..200].to_vec(),
            with("/normalizer", nested),
            with("/normalizer", doubles),
            with("/normalizer", long),
            with("/normalizer", json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"})),
            with("/normalizer", json!({"type": "Precompiled", "precompiled_charsmap": "/////w=="})),
            with("/pre_tokenizer/pattern", json!({"Regex": "(((("})),
            with("/model/vocab", json!({"a": -1})),
            with("/model/vocab", json!({"a": 1e300})),
            with("/model", json!({"type": "Unigram", "vocab": [], "unk_id": 9})),
            with("/model", json!({"type": "Unigram", "vocab": [["a", 0.0]], "unk_id": 9})),
            with("/model", json!({"type": "BPE", "vocab": {"a": 0}, "merges": ["a z"]})),
            with("/model", json!({"type": "BPE", "vocab": {"a": 0}, "merges": [["a"]]})),
        ];
        for (i, file) in files.iter().enumerate() {
            let start = String::from_utf8_lossy(&file[..file.len().min(80)]).into_owned();
            match Tokenizer::new(options(6), Some(file)) {
                Err(TokenizeError::BadFile(_)) => {}
                other => panic!("file {i}, {start}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_loads_does_not_panic_on_text() {
        let mut file = words();
        // Ids far outside, an unknown token that is not in the vocabulary, a pattern that backtracks for ever.
        file["model"] = json!({"type": "WordLevel", "vocab": {"a": u32::MAX}, "unk_token": "none"});
        file["pre_tokenizer"]["pattern"] = json!({"Regex": "(?:a*)*\\1?(?=b)b"});
        if let Ok(tokenizer) = load(&file) {
            for text in ["a", "zzz", &"a".repeat(5000), "\u{0}\u{fffd}\u{10ffff}"] {
                let _ = tokenizer.encode(text);
            }
        }
        let missing_unknown = json!({"type": "Unigram", "vocab": [["a", -1.0]], "unk_id": null});
        let mut file = words();
        file["model"] = missing_unknown;
        assert!(matches!(load(&file).unwrap().encode("q"), Err(TokenizeError::Encode(_))));
    }

    #[test]
    fn a_file_over_the_limit_is_refused() {
        let file = vec![b' '; MAX_FILE_BYTES + 1];
        let error = Tokenizer::new(options(6), Some(&file)).unwrap_err();
        assert!(matches!(error, TokenizeError::FileTooLarge { .. }));
    }

    #[test]
    fn one_tokenizer_serves_many_threads() {
        fn is_shared<T: Send + Sync>() {}
        is_shared::<Tokenizer>();
    }
}
