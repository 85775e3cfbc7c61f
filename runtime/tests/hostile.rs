//! Packages that are broken or mean harm: a clear error each, and never a panic.

mod common;

use std::ops::ControlFlow;
use std::sync::Arc;

use common::{Files, MANIFEST, edited, load, safetensors, tiny, weights, with};
use kinograph::{Package, Request};
use proptest::prelude::*;

fn refusal(files: Files) -> String {
    load(files).expect_err("it must be refused").to_string()
}

#[test]
fn manifests() {
    let cases = [
        ("format = 1", "format = 2", "format: this version reads only format = 1"),
        ("frames = 3", "frames = \"three\"", "invalid type"),
        ("frames = 3", "frames = 3\nfilm = true", "unknown field `film`"),
        ("channels = 3", "channels = 0", "latent.channels must be from 1"),
        ("prompt = \"{prompt} at {fps}\"", "prompt = \"words\"", "must hold {prompt} once"),
        ("width = 16", "width = 17", "video.width and height must be multiples"),
        ("steps = 4", "steps = 0", "sampler.steps does not suit"),
        ("guidance = 2.0", "guidance = inf", "it must be a number from 0 to 1000"),
        ("guidance = 2.0", "guidance = \"2@0.9-0.1\"", "must lie within 0 and 1"),
        ("steps = 4", "steps = 4\nsolver = \"magic\"", "unknown solver"),
        (
            "[sampler]",
            "[tiling]\nencoder = { frames = 3, overlap = 0 }\ndecoder = { frames = 4, overlap = 2 }\n[sampler]",
            "tiling.encoder must have multiples",
        ),
        (
            "[sampler]",
            "[tiling]\nencoder = { frames = 4, overlap = 0 }\ndecoder = { frames = 4, overlap = 3 }\n[sampler]",
            "at most half",
        ),
        ("[2, 8, 8]", "[0, 0, 0]", "latent.compression must be from 1"),
        ("[2, 8, 8]", "[1099511627776, 8, 8]", "latent.compression must be from 1"),
        ("shift = [0.5]", "shift = [nan]", "latent.shift must hold"),
        ("scale = [2.0]", "scale = [0.0]", "latent.scale must not be 0"),
        ("multiple = 8", "multiple = 12", "video.multiple must be a multiple"),
        ("max_width = 32", "max_width = 99999999", "from 1 to 65536"),
        ("fps = 8\n", "fps = 30\n", "video.fps must be one of"),
        ("schedule = \"linear\"", "schedule = \"cubic\"", "unknown schedule"),
        ("kind = \"bytes\"", "kind = \"words\"", "unknown variant `words`"),
        ("max_length = 16", "max_length = 1", "max_length is 1"),
        ("graph = \"text.toml\"", "graph = \"../text.toml\"", "must be a plain path inside the package"),
        ("graph = \"text.toml\"", "graph = \"/etc/passwd\"", "must be a plain path inside the package"),
        ("graph = \"text.toml\"", "graph = \"C:\\\\text.toml\"", "must be a plain path inside the package"),
        ("graph = \"text.toml\"", "graph = \"missing.toml\"", "missing.toml"),
        ("[\"weights.safetensors\"]", "[]", "is not in the weight files"),
    ];
    for (from, to, expected) in cases {
        let message = refusal(edited("model.toml", from, to));
        assert!(message.contains(expected), "{to}: {message}");
    }
    assert!(refusal(Files::new()).contains("model.toml"));
    assert!(refusal(with("model.toml", vec![0xff, 0xfe])).contains("not UTF-8"));
    assert!(refusal(with("model.toml", "x".repeat(2 << 20))).contains("larger than"));
}

#[test]
fn graphs() {
    let cases = [
        ("text.toml", "Gather", "Gathre", "did you mean `Gather`?"),
        (
            "text.toml",
            "[259, 3]",
            "[300, 3]",
            "the graph declares f32[300, 3], but the file holds f32[259, 3]",
        ),
        ("text.toml", "\"embed\" =", "\"table\" =", "`embed` is not defined here"),
        ("text.toml", "outputs = { text", "outputs = { words", "must have an output `text`"),
        ("backbone.toml", "time = [\"B\"], ", "", "must take the inputs"),
        ("backbone.toml", "[3, 3]", "[3, 4]", "x ends in 3 features"),
        ("backbone.toml", "symbols = { B = 2", "symbols = { B = 0", ""),
        ("decoder.toml", "[2, 8, 8]", "[1e30, 8, 8]", "attribute `scales`"),
        ("decoder.toml", "format = 1", "format = 1\ninclude = [\"../x\"]", "must be a plain path"),
    ];
    for (file, from, to, expected) in cases {
        let files = edited(file, from, to);
        if expected.is_empty() {
            load(files).map(drop).unwrap_or_else(|e| panic!("{to}: {e}"));
            continue;
        }
        let message = refusal(files);
        assert!(message.contains(expected), "{to}: {message}");
        assert!(message.contains(file) || message.contains("component `"), "it names the place: {message}");
    }
}

/// Graphs that load but break the interface once they run.
#[test]
fn components_that_do_not_keep_the_interface() {
    let cases = [
        (
            "text.toml",
            "out = \"text\" }]",
            "out = \"e\" }, { op = \"Concat\", in = [\"e\", \"e\"], out = \"text\", axis = 1 }]",
            "gives text of f32[2, 32, 3]",
        ),
        (
            "text.toml",
            "out = \"text\" }]",
            "out = \"e\" }, { op = \"Slice\", in = \"e\", out = \"text\", starts = [0], ends = [1], axes = [0] }]",
            "gives text of f32[1, 16, 3]",
        ),
        (
            "backbone.toml",
            "out = \"velocity\" }",
            "out = \"v\" }, { op = \"Slice\", in = \"v\", out = \"velocity\", starts = [0], ends = [1], axes = [0] }",
            "gives a velocity of f32[1, 3, 2, 2, 2]",
        ),
        (
            "backbone.toml",
            "3, \"T\", \"H\", \"W\"",
            "3, 7, \"H\", \"W\"",
            "takes a latent of f32[2, 3, 7, 2, 2]",
        ),
        (
            "decoder.toml",
            "out = \"video\" }",
            "out = \"v\" }, { op = \"Slice\", in = \"v\", out = \"video\", starts = [0], ends = [0], axes = [3] }",
            "gives a video of f32[1, 3, 4, 0, 16]",
        ),
        ("decoder.toml", "[2, 8, 8]", "[1, 8, 8]", "gives a video of f32[1, 3, 2, 16, 16]"),
        ("decoder.toml", "[2, 8, 8]", "[2, 8, 4]", "gives a video of f32[1, 3, 4, 16, 8]"),
    ];
    for (file, from, to, expected) in cases {
        let model = load(edited(file, from, to)).unwrap_or_else(|e| panic!("{to}: {e}"));
        let ended = model.generate(&Request::new("x"), |_| ControlFlow::Continue(()));
        let message = ended.expect_err("it must be refused").to_string();
        assert!(message.contains(expected), "{to}: {message}");
    }
}

#[test]
fn the_output_is_found_by_its_name() {
    let two = edited("backbone.toml", "outputs = { velocity", "outputs = { aside = \"latent\", velocity");
    let make = |files| {
        let model = load(files).unwrap_or_else(|e| panic!("{e}"));
        model.sample(&Request::new("x"), |_| ControlFlow::Continue(())).unwrap()
    };
    assert!(make(two) == make(tiny()));
}

#[test]
fn every_truncation_of_the_weights_is_refused() {
    let whole = weights();
    for length in (0..whole.len()).step_by(101).chain([0, 1, 7, 8, 9, whole.len() - 1]) {
        let message = refusal(with("weights.safetensors", &whole[..length]));
        assert!(message.contains("weights.safetensors: not a whole safetensors file"), "{length}: {message}");
    }
    let mut longer = whole;
    longer.push(0);
    assert!(refusal(with("weights.safetensors", longer)).contains("not a whole safetensors file"));
}

#[test]
fn lying_weight_headers() {
    for header in [
        r#"{"embed":{"dtype":"F32","shape":[4611686018427387904,3],"data_offsets":[0,12]}}"#,
        r#"{"embed":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#,
        r#"{"embed":{"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551615]}}"#,
        r#"{"embed":{"dtype":"X9","shape":[1],"data_offsets":[0,4]}}"#,
        r#"{"embed":7}"#,
        "[[[[[[[[",
    ] {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend([0; 12]);
        let message = refusal(with("weights.safetensors", bytes));
        assert!(message.contains("weights.safetensors"), "{header}: {message}");
    }
    let huge = u64::MAX.to_le_bytes().to_vec();
    assert!(refusal(with("weights.safetensors", huge)).contains("weights.safetensors"));
    let missing = safetensors(&[("embed", &[259, 3], vec![0.0; 777])]);
    assert!(
        refusal(with("weights.safetensors", missing))
            .contains("the weight `mix.weight` is not in the weight files")
    );
}

#[cfg(unix)]
#[test]
fn links_out_of_the_package_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("package");
    std::fs::create_dir(&package).unwrap();
    for (name, content) in tiny() {
        std::fs::write(package.join(name), content).unwrap();
    }
    let outside = folder.path().join("text.toml");
    std::fs::rename(package.join("text.toml"), &outside).unwrap();
    std::os::unix::fs::symlink(&outside, package.join("text.toml")).unwrap();
    let opened = Package::open(&package).unwrap();
    let error = kinograph::Model::load(opened, common::cpu()).unwrap_err().to_string();
    assert!(error.contains("must be a plain path inside the package"), "{error}");
}

#[test]
fn a_missing_directory_says_what_a_package_is() {
    let error = Package::open("no/such/place".as_ref()).unwrap_err().to_string();
    assert!(error.contains("a model is a directory with a model.toml"), "{error}");
}

/// Damages a text at random: cuts, swaps and inserts pieces of TOML.
fn damaged(text: &'static str) -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "",
        "\"",
        "[",
        "]",
        "{",
        "}",
        "=",
        "-1",
        "1e999",
        "99999999999999999999",
        "\n[x]\n",
        "0",
        "\u{0}",
        "é",
        "nan",
        "..",
    ]);
    prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, pieces), 1..6).prop_map(move |edits| {
        edits.into_iter().fold(text.to_owned(), |text, (at, cut, piece)| {
            let chars: Vec<char> = text.chars().collect();
            let at = at.index(chars.len() + 1);
            let end = (at + cut).min(chars.len());
            chars[..at].iter().chain(&piece.chars().collect::<Vec<_>>()).chain(&chars[end..]).collect()
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damaged_manifests_never_panic(text in damaged(MANIFEST)) {
        drop(load(with("model.toml", text)));
    }

    #[test]
    fn damaged_weights_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = weights();
        let at = at.index(200);
        bytes[at] = byte;
        drop(load(with("weights.safetensors", bytes)));
    }
}

#[test]
fn bytes_in_memory_are_shared_not_copied() {
    let files = tiny();
    let bytes = Arc::clone(&files["weights.safetensors"]);
    let model = load(files).unwrap();
    assert!(Arc::strong_count(&bytes) > 1);
    drop(model);
    assert_eq!(Arc::strong_count(&bytes), 1);
}
