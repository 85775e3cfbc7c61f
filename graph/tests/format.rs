//! The TOML format: what it accepts, what it writes, what it refuses and how fast.

use std::path::Path;
use std::time::{Duration, Instant};

use kinograph_graph::{Bindings, GraphErrorKind, GraphFile, Limits};

const GATE: &str = r#"
format = 1
name = "gate"
doc = "A \"gated\" layer.\nTwice."
params = { dim = 4, layers = 3, wide = "2*dim", bias = true }
symbols = { B = 2 }
inputs = { x = ["B", "dim"], ids = { shape = ["B"], dtype = "i64" } }
weights = { "table" = [10, "dim"] }
nodes = [
  { op = "Gather", in = ["table", "ids"], out = "e" },
  { op = "Add", in = ["x", "e"], out = "x" },
  { use = "gate", in = "x", out = "x", prefix = "blocks.{i}.", repeat = "layers", with = { n = "wide" } },
  { op = "Identity", in = "x", out = "y", when = "layers > 0" },
]
outputs = { y = "y" }

[modules.gate]
params = ["n", "scale"]
defaults = { scale = 0.5 }
inputs = ["x"]
outputs = ["x"]
weights = { "up.weight" = ["n", "dim"], "up.bias" = ["n"], "down.weight" = { shape = ["dim", "n"], dtype = "f32" } }
nodes = [
  { op = "Linear", in = ["x", "up.weight", "up.bias"], out = "h", when = "bias" },
  { op = "Linear", in = ["x", "up.weight", ""], out = "h", when = "bias == 0" },
  { op = "Swish", in = "h", out = "h", alpha = "scale" },
  { op = "Linear", in = ["h", "down.weight"], out = "x" },
]
"#;

fn parse(text: &str) -> GraphFile {
    GraphFile::parse("test.toml", text).unwrap_or_else(|e| panic!("{e}"))
}

/// The message of the error that parsing and binding gives.
fn refusal(text: &str) -> String {
    let bound = GraphFile::parse("test.toml", text).and_then(|f| f.bind(&Bindings::new()));
    bound.expect_err("it must be refused").to_string()
}

#[test]
fn modules_unfold() {
    let graph = parse(GATE).bind(&Bindings::new().symbol("B", 7)).unwrap();
    assert_eq!(graph.value(graph.outputs()[0].value).desc.shape, [7, 4]);
    let weights: Vec<&str> = graph.weights().iter().map(|&w| graph.value(w).name.as_str()).collect();
    assert_eq!(weights[..4], ["table", "blocks.0.up.weight", "blocks.0.up.bias", "blocks.0.down.weight"]);
    assert_eq!(weights.len(), 1 + 3 * 3);
    assert_eq!(graph.nodes().len(), 2 + 3 * 3 + 1);
}

#[test]
fn parameters_override_and_derive() {
    let file = parse(GATE);
    let graph = file.bind(&Bindings::new().param("dim", 6).param("bias", 0).param("layers", 1)).unwrap();
    let up =
        graph.weights().iter().map(|&w| graph.value(w)).find(|v| v.name == "blocks.0.up.weight").unwrap();
    assert_eq!(up.desc.shape, [12, 6]);
    assert!(
        graph.weights().iter().all(|&w| !graph.value(w).name.ends_with("bias")),
        "an unread weight is not needed"
    );
    let unknown = file.bind(&Bindings::new().param("dmi", 6)).unwrap_err().to_string();
    assert_eq!(unknown, "test.toml: there is no parameter `dmi`; there are: dim, layers, wide, bias");
}

#[test]
fn canonical_text_says_the_same() {
    let file = parse(GATE);
    let text = file.to_toml();
    let again = parse(&text);
    assert_eq!(again, file, "{text}");
    assert_eq!(again.to_toml(), text, "writing is idempotent");
    let bind = |f: &GraphFile| f.bind(&Bindings::new()).unwrap();
    let without_lines = |g: kinograph_graph::Graph| {
        g.nodes()
            .iter()
            .map(|n| (n.name.clone(), n.op.name, n.inputs.clone(), n.attrs.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(without_lines(bind(&again)), without_lines(bind(&file)));
}

#[test]
fn every_graph_of_the_repository_round_trips() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/models/flipbook");
    let read = |name: &str| std::fs::read_to_string(root.join(name)).map_err(|e| e.to_string());
    for name in ["backbone.toml", "tae-decoder.toml", "tae-encoder.toml", "text-clip.toml", "text-t5.toml"] {
        let file = GraphFile::parse_with(name, &read(name).unwrap(), &Limits::default(), &read)
            .unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(parse(&file.to_toml()), file, "{name}");
        file.bind(&Bindings::new()).unwrap_or_else(|e| panic!("{e}"));
    }
}

/// A file with this one node, on line 7.
fn with_node(node: &str) -> String {
    format!(
        "format = 1\nname = \"t\"\nparams = {{ n = 4 }}\nsymbols = {{ B = 2 }}\ninputs = {{ x = [\"B\", \"n\"] }}\nnodes = [\n  {node},\n]\noutputs = {{ y = \"y\" }}\n"
    )
}

#[test]
fn refusals_name_place_and_remedy() {
    let cases = [
        (
            r#"{ op = "Linaer", in = "x", out = "y" }"#,
            "test.toml:7: there is no op `Linaer`, did you mean `Linear`?; docs/ops.md lists them",
        ),
        (
            r#"{ op = "Add", in = ["x", "z"], out = "y" }"#,
            "test.toml:7: node `y` (Add): `z` is not defined here; known here: x",
        ),
        (
            r#"{ op = "Add", in = ["x", "y"], out = "y" }"#,
            "test.toml:7: node `y` (Add): `y` is not defined here; line 7 defines it, which is not above: move the line, or break the cycle",
        ),
        (
            r#"{ op = "Softmax", in = "x", out = "y", axis = 2 }"#,
            "test.toml:7: node `y` (Softmax): attribute `axis`: axis 2 is outside a tensor of rank 2",
        ),
        (
            r#"{ op = "Softmax", in = "x", out = "y", axes = 1 }"#,
            "test.toml:7: Softmax has no attribute `axes`; besides in, out, name and when it takes: axis",
        ),
        (
            r#"{ op = "Reshape", in = "x", out = "y", shape = ["B*m"] }"#,
            "test.toml:7: node `y` (Reshape): unknown name `m`; known here: B, n",
        ),
        (
            r#"{ use = "nothing", in = "x", out = "y" }"#,
            "test.toml:7: there is no module `nothing`; define it under [modules.nothing] or include the file that does",
        ),
        (r#"{ op = "Add", in = ["x"], out = "y" }"#, "test.toml:7: node `y` (Add): input 1 (`B`) is missing"),
        (
            r#"{ op = "Neg", in = "x", out = ["y", "z"] }"#,
            "test.toml:7: node `y` (Neg): it has 1 outputs, but `out` names 2",
        ),
        (r#"{ in = "x", out = "y" }"#, "test.toml:7: a node needs either `op` or `use`"),
    ];
    for (node, expected) in cases {
        assert_eq!(refusal(&with_node(node)), expected);
    }
}

#[test]
fn modules_see_the_graph_and_themselves_only() {
    let text = "format = 1\nname = \"t\"\nparams = { n = 2 }\ninputs = { x = [2] }\nnodes = [{ use = \"outer\", in = \"x\", out = \"y\", with = { n = 7 } }]\noutputs = { y = \"y\" }\n[modules.outer]\nparams = [\"n\"]\ninputs = [\"x\"]\noutputs = [\"x\"]\nnodes = [{ use = \"inner\", in = \"x\", out = \"x\" }]\n[modules.inner]\ninputs = [\"x\"]\noutputs = [\"x\"]\nnodes = [{ op = \"Reshape\", in = \"x\", out = \"x\", shape = [\"n\", 1] }]\n";
    let graph = parse(text).bind(&Bindings::new()).unwrap();
    assert_eq!(
        graph.value(graph.outputs()[0].value).desc.shape,
        [2, 1],
        "inner sees the graph's n, not outer's"
    );
}

#[test]
fn when_takes_any_zero_and_names_stay_unique() {
    let text = "format = 1\nname = \"t\"\nparams = { p = 0.0 }\ninputs = { x = [2] }\nnodes = [{ op = \"Neg\", in = \"x\", out = \"x\", when = \"p\" }, { op = \"Abs\", in = \"x\", out = \"y#2\" }, { op = \"Abs\", in = \"x\", out = \"y\" }, { op = \"Abs\", in = \"x\", out = \"y\" }]\noutputs = { y = \"y\" }\n";
    let graph = parse(text).bind(&Bindings::new()).unwrap();
    let names: Vec<&str> = graph.nodes().iter().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["y#2", "y", "y#3"]);
}

#[test]
fn a_name_is_a_parameter_or_a_symbol() {
    let both = "format = 1\nname = \"t\"\nparams = { B = 4 }\nsymbols = { B = 1 }\ninputs = { x = [\"B\"] }\noutputs = { y = \"x\" }\n";
    assert!(refusal(both).contains("`B` is both a parameter and a symbol"), "{}", refusal(both));
}

#[test]
fn names_with_control_characters_survive_writing() {
    let file = parse(
        "format = 1\nname = \"a\\nb\"\nparams = { \"p\\nq\" = 1 }\ninputs = { \"\\u0007\" = [1] }\noutputs = { \"y\\n\" = \"\\u0007\" }\n",
    );
    assert_eq!(parse(&file.to_toml()), file);
}

#[test]
fn refusals_of_the_file() {
    assert!(refusal("format = 1\nname = ").starts_with("test.toml:2: not valid TOML:"));
    assert!(refusal("format = 2\nname = \"x\"").contains("not format 1"));
    assert!(refusal("name = \"x\"").contains("lacks the key `format`"));
    let unknown = with_node(r#"{ op = "Neg", in = "x", out = "y" }"#) + "nodez = 1\n";
    assert_eq!(
        refusal(&unknown),
        "test.toml:10: the file has the unknown key `nodez`; it takes format, name, doc, include, params, symbols, inputs, weights, states, nodes, outputs, modules"
    );
    let cyclic = "format = 1\nname = \"t\"\nparams = { a = \"b\", b = \"a\" }\noutputs = { y = \"y\" }";
    assert!(refusal(cyclic).contains("the parameter"), "{}", refusal(cyclic));
}

/// Files that ask for the absurd, each with a part of the answer.
#[test]
fn absurd_sizes_are_refused_in_milliseconds() {
    let nested = |depth: usize, repeat: &str| {
        let mut text = format!(
            "format = 1\nname = \"t\"\nsymbols = {{ B = 1 }}\ninputs = {{ x = [\"B\"] }}\nnodes = [{{ use = \"m0\", in = \"x\", out = \"y\", repeat = {repeat} }}]\noutputs = {{ y = \"y\" }}\n"
        );
        for i in 0..depth {
            let next = i + 1;
            text += &format!(
                "[modules.m{i}]\ninputs = [\"x\"]\noutputs = [\"x\"]\nnodes = [{{ use = \"m{next}\", in = \"x\", out = \"x\", repeat = {repeat} }}]\n"
            );
        }
        text + &format!("[modules.m{depth}]\ninputs = [\"x\"]\noutputs = [\"x\"]\nnodes = []\n")
    };
    let myself = "format = 1\nname = \"t\"\ninputs = { x = [1] }\nnodes = [{ use = \"m\", in = \"x\", out = \"y\" }]\noutputs = { y = \"y\" }\n[modules.m]\ninputs = [\"x\"]\noutputs = [\"x\"]\nnodes = [{ use = \"m\", in = \"x\", out = \"x\" }]\n";
    let cases = [
        (nested(0, "1_000_000_000_000"), "repeat = 1000000000000 is over the limit"),
        (nested(4, "1000"), "the number of nodes after expansion is over the limit"),
        (myself.to_owned(), "the depth of modules at `m` is over the limit"),
        (
            with_node(
                r#"{ op = "Expand", in = "x", out = "y", shape = [1_152_921_504_606_846_976, "B", "n"] }"#,
            ),
            "more elements than the limit",
        ),
        (
            with_node(&format!(
                "{{ op = \"Reshape\", in = \"x\", out = \"y\", shape = [8, {}] }}",
                "1, ".repeat(999)
            )),
            "rank 1000 is over the limit of 8",
        ),
        (
            format!(
                "format = 1\nname = \"t\"\ninputs = {{ x = [{}] }}\noutputs = {{ y = \"x\" }}",
                "1, ".repeat(1000)
            ),
            "the rank of `x`, 1000, is over the limit of 8",
        ),
        (
            "format = 1\nname = \"t\"\ninputs = { x = [1073741824, 1073741824] }\noutputs = { y = \"x\" }"
                .to_owned(),
            "more elements than the limit",
        ),
        (
            with_node(&format!("{{ op = \"Neg\", in = \"{}\", out = \"y\" }}", "x".repeat(100_000))),
            "over the limit",
        ),
        (
            {
                let chain: String = (0..100_000).map(|i| format!("p{i} = \"p{}\"\n", i + 1)).collect();
                format!("format = 1\nname = \"t\"\noutputs = {{ y = \"y\" }}\n[params]\n{chain}")
            },
            "the number of entries of `params` is over the limit",
        ),
        (
            {
                let names: Vec<String> = (0..1000).map(|i| format!("\"o{i}\"")).collect();
                let ones = "1, ".repeat(1000);
                format!(
                    "format = 1\nname = \"t\"\ninputs = {{ x = [1000] }}\nnodes = [{{ use = \"m\", in = \"x\", out = \"y\", repeat = 60000 }}]\noutputs = {{ y = \"y\" }}\n[modules.m]\ninputs = [\"x\"]\noutputs = [\"x\"]\nnodes = [{{ op = \"Split\", in = \"x\", out = [{}], sizes = [{ones}] }}]\n",
                    names.join(", ")
                )
            },
            "more values than the limit",
        ),
        ("#".repeat(5 << 20), "the size of the file in bytes is over the limit"),
        ("[".repeat(1 << 20), "not valid TOML"),
        ("a = {".repeat(100_000), "not valid TOML"),
    ];
    for (text, expected) in cases {
        let begin = Instant::now();
        let message = refusal(&text);
        assert!(message.contains(expected), "{message}");
        // Not a benchmark: ten times more than needed unoptimised, a thousand times less than unbounded work.
        assert!(begin.elapsed() < Duration::from_secs(5), "{message}");
    }
}

#[test]
fn limits_can_be_lowered() {
    let file = parse(GATE);
    let mut limits = Limits::default();
    limits.nodes = 5;
    let error = file.bind(&Bindings::new().limits(limits)).unwrap_err();
    assert!(matches!(error.kind, GraphErrorKind::Limit { .. }), "{error}");
}

#[test]
fn included_modules_keep_their_file_in_messages() {
    let main = "format = 1\nname = \"t\"\ninclude = [\"parts.toml\"]\ninputs = { x = [2] }\nnodes = [{ use = \"m\", in = \"x\", out = \"y\" }]\noutputs = { y = \"y\" }";
    let parts = "format = 1\n[modules.m]\ninputs = [\"x\"]\noutputs = [\"x\"]\nnodes = [\n { op = \"Softmax\", in = \"x\", out = \"x\", axis = 5 },\n]\n";
    let include =
        |name: &str| if name == "parts.toml" { Ok(parts.to_owned()) } else { Err("not there".into()) };
    let error = GraphFile::parse_with("main.toml", main, &Limits::default(), &include)
        .unwrap()
        .bind(&Bindings::new())
        .unwrap_err();
    assert!(error.to_string().starts_with("parts.toml:6: node `x` (Softmax)"), "{error}");
    assert!(GraphFile::parse("main.toml", main).unwrap_err().to_string().contains("stands alone"));
}

/// Each layer keeps the last of what it saw.
const STREAM: &str = r#"
format = 1
name = "stream"
params = { layers = 2 }
symbols = { T = 3, FIRST = 0 }
inputs = { x = [1, "T"] }
nodes = [{ use = "layer", in = "x", out = "x", prefix = "{i}.", repeat = "layers" }]
outputs = { y = "x" }

[modules.layer]
inputs = ["x"]
outputs = ["y"]
states = { "before" = { shape = [1, 1], next = "last" } }
nodes = [
  { op = "Concat", in = ["before", "x"], out = "all", axis = 1, when = "FIRST == 0" },
  { op = "Pad", in = "x", out = "all", pads = [0, 1, 0, 0], when = "FIRST" },
  { op = "Slice", in = "x", out = "last", starts = ["T-1"], ends = ["T"], axes = [1] },
  { op = "Slice", in = "all", out = "y", starts = [0], ends = ["T"], axes = [1] },
]
"#;

#[test]
fn states_become_inputs_and_outputs() {
    let file = parse(STREAM);
    assert!(file.has_states() && !parse(GATE).has_states());
    let graph = file.bind(&Bindings::new()).unwrap();
    let names: Vec<&str> = graph.inputs().iter().map(|&id| graph.value(id).name.as_str()).collect();
    assert_eq!(names, ["x", "0.before", "1.before"]);
    let outputs: Vec<&str> = graph.outputs().iter().map(|o| o.name.as_str()).collect();
    assert_eq!(outputs, ["y", "0.before", "1.before"]);
    let places: Vec<_> = graph.states().iter().map(|s| (s.name.as_str(), s.input, s.output)).collect();
    assert_eq!(places, [("0.before", Some(1), Some(1)), ("1.before", Some(2), Some(2))]);
    // What the first piece does not read is no input of it.
    let first = file.bind(&Bindings::new().symbol("FIRST", 1)).unwrap();
    assert_eq!(first.inputs().len(), 1);
    assert!(first.states().iter().all(|s| s.input.is_none() && s.output.is_some()));
}

#[test]
fn states_are_written_and_read_again() {
    let file = parse(STREAM);
    let text = file.to_toml();
    assert_eq!(parse(&text), file);
    assert_eq!(parse(&text).to_toml(), text);
}

#[test]
fn states_that_do_not_fit_are_refused() {
    let edited = |from: &str, to: &str| {
        assert!(STREAM.contains(from));
        refusal(&STREAM.replace(from, to))
    };
    assert!(edited("shape = [1, 1]", "shape = [1, 2]").contains("the state `0.before` is f32[1, 2]"));
    assert!(edited("prefix = \"{i}.\"", "prefix = \"\"").contains("left twice"));
    assert!(edited(", next = \"last\"", "").contains("next"));
    assert!(edited("next = \"last\"", "next = 3").contains("`next`"));
    assert!(edited("next = \"last\"", "next = \"lost\"").contains("the state `before` becomes `lost`"));
    assert!(edited("[1, 1], next", "[1, 1], size = 2, next").contains("size"));
}
