//! The full-size models on paper: every graph of the three packages is bound without weights.

use kinograph_graph::{Bindings, Graph, Number, Source};

use super::{bind, text};

const PACKAGES: [&str; 3] = ["model.toml", "model-5b.toml", "model-1b.toml"];

/// The graphs of a package, with its parameters and the sizes that inspection assumes.
struct Package {
    text: Vec<Graph>,
    /// The sum of the tokenizers' `max_length`.
    tokens: usize,
    backbone: Graph,
    encoder: Graph,
    decoder: Graph,
}

impl Package {
    fn read(name: &str) -> Self {
        let manifest: toml::Table = text(name).unwrap().parse().unwrap();
        let encoders = manifest["text"].as_array().unwrap();
        let length = |t: &toml::Value| t["tokenizer"]["max_length"].as_integer().unwrap() as usize;
        let graph = |component: &toml::Value| component_graph(component, &[]);
        Self {
            text: encoders.iter().map(|t| component_graph(t, &[("L", length(t))])).collect(),
            tokens: encoders.iter().map(length).sum(),
            backbone: graph(&manifest["backbone"]),
            encoder: graph(&manifest["encoder"]),
            decoder: graph(&manifest["decoder"]),
        }
    }
}

fn component_graph(component: &toml::Value, symbols: &[(&str, usize)]) -> Graph {
    let params = component.get("params").and_then(toml::Value::as_table).into_iter().flatten();
    let bindings = params.fold(Bindings::new(), |b, (name, value)| {
        b.number(name, Number::Int(value.as_integer().expect("an integer")))
    });
    let bindings = symbols.iter().fold(bindings, |b, (name, size)| b.symbol(*name, *size));
    bind(component["graph"].as_str().unwrap(), &bindings)
}

fn input<'a>(graph: &'a Graph, name: &str) -> &'a [usize] {
    let found = graph.inputs().iter().map(|&id| graph.value(id)).find(|v| v.name == name);
    &found.unwrap_or_else(|| panic!("no input `{name}`")).desc.shape
}

fn output(graph: &Graph) -> &[usize] {
    &graph.value(graph.outputs()[0].value).desc.shape
}

/// The parameters of the weights whose names hold such a part, or do not.
fn parameters(graph: &Graph, keep: impl Fn(&str) -> bool) -> u64 {
    let weights = graph.values().iter().filter(|v| v.source == Source::Weight && keep(&v.name));
    weights.map(|v| v.desc.elements() as u64).sum()
}

fn within(found: u64, stated: f64, share: f64) -> bool {
    (found as f64 - stated).abs() <= share * stated
}

/// What the paper's 30B at 256 frames of 768x768 comes to: the figures of the design, not of these files.
#[test]
fn the_30b_backbone_has_the_stated_size_and_cost() {
    let Package { backbone, .. } = Package::read("model.toml");
    assert_eq!(input(&backbone, "latent"), [1, 16, 256 / 8, 768 / 8, 768 / 8]);
    let tokens = backbone.nodes().iter().find(|n| n.name == "tokens").unwrap();
    assert_eq!(backbone.value(tokens.outputs[0]).desc.shape, [1, 73_728, 6144]);
    assert!(within(backbone.parameters(), 29.3e9, 0.01), "{} parameters", backbone.parameters());
    assert!(within(2 * backbone.parameters(), 58.6e9, 0.01), "{} bytes in bf16", 2 * backbone.parameters());
    assert!(within(backbone.flops(), 1.02e16, 0.03), "{:e} FLOPs", backbone.flops() as f64);
    let attention = backbone.nodes().iter().filter(|n| n.name.ends_with(".attn.attention"));
    let attention: u64 = attention.map(|n| backbone.node_flops(n)).sum();
    assert!(within(attention, 6.4e15, 0.03), "{attention} FLOPs of self-attention");
}

/// Written down layer by layer from the architecture, not read from the graph.
#[test]
fn backbones_hold_what_the_architecture_says() {
    // The stated billions, with the place that they are rounded to.
    for (package, stated, place, layers, d, hidden) in [
        ("model.toml", 29.3, 0.1, 48, 6144, 16384),
        ("model-5b.toml", 5.0, 1.0, 32, 3072, 8192),
        ("model-1b.toml", 1.0, 1.0, 24, 1536, 4096),
    ] {
        let Package { backbone, text, .. } = Package::read(package);
        let (self_attention, cross_attention, feed_forward) = (4 * d * d, 4 * d * d, 3 * d * hidden);
        let norms_and_table = (3 + 6) * d;
        let patch = 16 * 2 * 2 * d + d;
        let time = (256 * d + d) + (d * d + d);
        let adaln = 6 * d * d;
        let positions = (32 + 48 + 48) * d;
        let last = (1 + 2) * d + 4 * 16 * d;
        let expected = layers * (self_attention + cross_attention + feed_forward + norms_and_table)
            + (patch + time + adaln + positions + last);
        assert_eq!(backbone.parameters(), expected, "{package}");
        // The projections of the text are trained with the backbone, and counted with it.
        let projections: u64 = text.iter().map(|g| parameters(g, |name| name.starts_with("proj."))).sum();
        let billions = (expected + projections) as f64 / 1e9;
        assert!((billions - stated).abs() <= place / 2.0, "{package}: {billions} billion parameters");
    }
}

/// The published encoders' own counts, the projections to the backbone's width aside.
#[test]
fn text_encoders_are_those_that_were_published() {
    let own = |graph: &Graph| parameters(graph, |name| !name.starts_with("proj."));
    let Package { text, .. } = Package::read("model.toml");
    let t5 = |vocab: u64, dim: u64, layers: u64, inner: u64, hidden: u64, heads: u64| {
        vocab * dim + 32 * heads + layers * (4 * dim * inner + 3 * dim * hidden + 2 * dim) + dim
    };
    assert_eq!(own(&text[0]), t5(32128, 4096, 32, 4096, 16384, 16), "UL2");
    assert_eq!(own(&text[2]), t5(384, 1472, 12, 384, 3584, 6), "ByT5");
    // OpenCLIP gives the text towers of ViT-H/14 and ViT-bigG/14 in millions. They have 77 positions, not 256,
    // and a projection of the last token, which is not taken here.
    let sizes = [("dim", 1280), ("layers", 32), ("heads", 20), ("hidden", 5120)];
    let larger = sizes.iter().fold(Bindings::new(), |b, (name, value)| b.param(*name, *value));
    for (graph, dim, millions) in [(&text[1], 1024, 354.03), (&bind("text-clip.toml", &larger), 1280, 694.66)]
    {
        let tower = own(graph) - (256 - 77) * dim + dim * dim;
        assert!(within(tower, millions * 1e6, 0.005 / millions), "{tower} parameters of width {dim}");
    }
}

/// Without its temporal layers the autoencoder is Stable Diffusion 3.5's for images, whose count is published.
#[test]
fn the_autoencoder_inflates_an_image_autoencoder() {
    let Package { encoder, decoder, .. } = Package::read("model.toml");
    let spatial = |graph: &Graph| parameters(graph, |name| !name.contains("temporal"));
    assert_eq!(spatial(&encoder) + spatial(&decoder), 83_819_683);
    for graph in [&encoder, &decoder] {
        // After each convolution to c channels over a frame, one over time; and the attention over time.
        let weights = graph.weights().iter().map(|&id| graph.value(id));
        let widths = weights.filter(|v| v.name.ends_with("spatial.weight")).map(|v| v.desc.shape[0] as u64);
        let convolutions: u64 = widths.map(|c| 3 * c * c + c).sum();
        let attention = 4 * 512 * 512 + 4 * 512 + 2 * 512;
        assert_eq!(graph.parameters() - spatial(graph), convolutions + attention, "{}", graph.name());
    }
}

#[test]
fn components_fit_each_other() {
    for name in PACKAGES {
        let package = Package::read(name);
        let dim = input(&package.backbone, "text")[2];
        assert_eq!(input(&package.backbone, "text"), [1, package.tokens, dim], "{name}");
        assert!(package.text.iter().all(|t| output(t)[2] == dim), "{name}");
        assert_eq!(output(&package.backbone), input(&package.backbone, "latent"), "{name}");
        // One tile of each: 32 frames, 4 latent ones.
        assert_eq!(input(&package.encoder, "video"), [1, 3, 32, 768, 768], "{name}");
        assert_eq!(output(&package.encoder), [1, 16, 4, 96, 96], "{name}");
        assert_eq!(input(&package.decoder, "latent"), output(&package.encoder), "{name}");
        assert_eq!(output(&package.decoder), input(&package.encoder, "video"), "{name}");
    }
}

/// An image is a clip of one frame; a clip of any length rounds up.
#[test]
fn the_encoder_takes_any_number_of_frames() {
    for (frames, latents) in [(1, 1), (8, 1), (9, 2), (31, 4), (256, 32)] {
        let encoder = bind("tae-encoder.toml", &Bindings::new().symbol("T", frames));
        assert_eq!(output(&encoder), [1, 16, latents, 96, 96], "{frames} frames");
    }
}
