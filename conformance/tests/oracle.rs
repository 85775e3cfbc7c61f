//! The exact evaluation against PyTorch: the narrow Movie Gen instances, flipbook's components, and what `goldens/make.py` makes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kinograph_conformance::Rng;
use kinograph_conformance::oracle::{self, Mode};
use kinograph_graph::{
    Attr, Attrs, Bindings, DType, Graph, GraphFile, Limits, Number, OpError, Tensor, TensorDesc, models, ops,
};
use safetensors::{Dtype, SafeTensors};

/// Both compute in f64.
const EXACT: f64 = 1e-12;
/// PyTorch computes in f32, through whole components.
const SINGLE: f64 = 1e-5;

fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn tensor(file: &SafeTensors<'_>, name: &str) -> Option<Tensor> {
    let view = file.tensor(name).ok()?;
    let bytes = view.data();
    let values: Vec<f64> = match view.dtype() {
        Dtype::F64 => bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
        Dtype::F32 => bytes.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
        Dtype::F16 => bytes.as_chunks().0.iter().map(|b| half::f16::from_le_bytes(*b).to_f64()).collect(),
        Dtype::I64 => bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as f64).collect(),
        Dtype::BOOL | Dtype::U8 => bytes.iter().map(|b| f64::from(*b)).collect(),
        other => panic!("{name}: {other:?}"),
    };
    Some(Tensor::new(TensorDesc::new(DType::F32, view.shape()), values).unwrap())
}

/// The norm of the difference over the norm.
fn relative(found: &Tensor, due: &Tensor) -> f64 {
    assert_eq!(found.shape(), due.shape());
    let sum = |f: &dyn Fn(f64, f64) -> f64| {
        found.data().iter().zip(due.data()).map(|(a, b)| f(*a, *b)).sum::<f64>()
    };
    (sum(&|a, b| (a - b) * (a - b)) / sum(&|_, b| b * b)).sqrt()
}

fn run(graph: &Graph, feed: impl FnMut(&str) -> Result<Tensor, OpError>) -> Tensor {
    oracle::outputs(graph, &oracle::evaluate(graph, Mode::Exact, feed).unwrap()).unwrap().remove(0)
}

#[test]
fn movie_gen() {
    for name in ["backbone", "tae-decoder", "tae-encoder", "text-clip", "text-t5"] {
        let bytes = read(&root(&format!("graph/tests/movie_gen/{name}.safetensors")));
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let instance: serde_json::Value =
            serde_json::from_str(&header.metadata().as_ref().unwrap()["instance"]).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        for (case, overrides) in instance["cases"].as_object().unwrap() {
            let numbers =
                instance["params"].as_object().unwrap().iter().chain(overrides.as_object().unwrap());
            let bindings = numbers.fold(Bindings::new(), |b, (name, v)| {
                b.number(name, v.as_i64().map_or_else(|| Number::Float(v.as_f64().unwrap()), Number::Int))
            });
            let symbols = instance["symbols"].as_object().unwrap();
            let bindings =
                symbols.iter().fold(bindings, |b, (name, v)| b.symbol(name, v.as_u64().unwrap() as usize));
            let find =
                |n: &str| models::MOVIE_GEN.iter().find(|(f, _)| *f == n).map(|(_, t)| (*t).to_owned());
            let include = |n: &str| find(n).ok_or_else(|| format!("no {n}"));
            let path = format!("{name}.toml");
            let graph =
                GraphFile::parse_with(&path, &find(&path).unwrap(), &Limits::default(), &include).unwrap();
            let graph = graph.bind(&bindings).unwrap();
            let found = run(&graph, |value| {
                let found = tensor(&file, value).or_else(|| tensor(&file, &format!("in.{value}")));
                found.ok_or_else(|| OpError::invalid(format!("no {value}")))
            });
            let error = relative(&found, &tensor(&file, &format!("out.{case}")).unwrap());
            println!("{name}, {case}: {error:.1e}");
            assert!(error < EXACT, "{name}, {case}: {error:e}");
        }
    }
}

fn flipbook(
    graph: &str,
    weights: &str,
    bindings: &Bindings,
    golden: impl Fn(&str) -> Option<Tensor>,
) -> Tensor {
    let folder = root("examples/models/flipbook");
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).map_err(|e| e.to_string());
    let file = GraphFile::parse_with(graph, &text(graph).unwrap(), &Limits::default(), &text).unwrap();
    let bytes = read(&folder.join(weights));
    let weights = SafeTensors::deserialize(&bytes).unwrap();
    run(&file.bind(bindings).unwrap(), |name| {
        tensor(&weights, name).or_else(|| golden(name)).ok_or_else(|| OpError::invalid(format!("no {name}")))
    })
}

#[test]
fn flipbook_components() {
    let goldens = |name: &str| read(&root(&format!("examples/models/flipbook/goldens/{name}.safetensors")));
    let sizes = |list: &[(&str, usize)]| list.iter().fold(Bindings::new(), |b, (n, s)| b.symbol(*n, *s));
    let mut errors: BTreeMap<String, f64> = BTreeMap::new();
    let bytes = goldens("text");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    for (name, graph, length) in
        [("t5", "text-t5.toml", 48), ("clip", "text-clip.toml", 48), ("byte", "text-t5.toml", 16)]
    {
        let mut bindings = sizes(&[("B", 4), ("L", length)]);
        if name == "byte" {
            bindings = [("vocab", 384), ("dim", 64), ("hidden", 128), ("gelu", 1)]
                .iter()
                .fold(bindings, |b, (k, v)| b.param(*k, *v));
        }
        let found = flipbook(graph, &format!("text_{name}.safetensors"), &bindings, |n| {
            tensor(&file, &format!("{name}.{n}"))
        });
        errors.insert(name.into(), relative(&found, &tensor(&file, &format!("{name}.out")).unwrap()));
    }
    for frames in [1, 5, 16] {
        let bytes = goldens(&format!("tae_{frames}"));
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let clip = tensor(&file, "clip").unwrap();
        let [_, _, t, h, w] = clip.shape()[..] else { panic!() };
        let found =
            flipbook("tae-encoder.toml", "tae.safetensors", &sizes(&[("T", t), ("H", h), ("W", w)]), |_| {
                Some(clip.clone())
            });
        let mean = tensor(&file, "mean").unwrap();
        errors.insert(format!("encoder {frames}"), relative(&found, &mean));
        let latent = sizes(&[("T", t.div_ceil(8)), ("H", h / 8), ("W", w / 8)]);
        let found = flipbook("tae-decoder.toml", "tae.safetensors", &latent, |_| Some(mean.clone()));
        errors.insert(format!("decoder {frames}"), relative(&found, &tensor(&file, "decoded").unwrap()));
    }
    let bytes = goldens("backbone");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let found = flipbook(
        "backbone.toml",
        "backbone.safetensors",
        &sizes(&[("B", 1), ("T", 2), ("H", 4), ("W", 4), ("L", 20)]),
        |n| {
            let short = match n {
                "latent" => "x",
                "time" => "t",
                "text_mask" => "mask",
                other => other,
            };
            tensor(&file, &format!("small.{short}"))
        },
    );
    errors.insert("backbone".into(), relative(&found, &tensor(&file, "small.velocity").unwrap()));
    println!("{errors:#?}");
    assert!(errors.values().all(|e| *e < SINGLE), "{errors:#?}");
}

/// The generator of `make.py`.
fn uniform(seed: u64, shape: &[usize]) -> Tensor {
    let mut rng = Rng::new(seed);
    Tensor::from_fn(TensorDesc::new(DType::F32, shape), |_| f64::from((2.0 * rng.unit() - 1.0) as f32))
}

fn apply(op: &str, inputs: &[&Tensor], attrs: &[(&str, Attr)]) -> Tensor {
    let op = ops::find(op).unwrap();
    let attrs = Attrs::check(op.attrs, attrs.iter().map(|(n, v)| ((*n).to_owned(), v.clone()))).unwrap();
    let inputs: Vec<Option<&Tensor>> = inputs.iter().map(|t| Some(*t)).collect();
    oracle::apply(op, &inputs, &attrs).unwrap().remove(0)
}

#[test]
fn attention_of_many_tokens() {
    let bytes = read(&root("conformance/goldens/pytorch.safetensors"));
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let many = [0, 1, 63, 64, 777, 8191, 16383];
    for (name, queries, size, rows) in
        [("self", 16384, 16, &many[..]), ("causal", 16384, 16, &many[..]), ("cross", 100, 24, &[0, 50, 99])]
    {
        let q = uniform(1, &[queries, size]);
        let picked = rows.iter().flat_map(|r| q.data()[r * size..(r + 1) * size].to_vec()).collect();
        let q = Tensor::new(TensorDesc::new(DType::F32, [1, 1, rows.len(), size]), picked).unwrap();
        let (k, v) = (uniform(2, &[1, 1, 16384, size]), uniform(3, &[1, 1, 16384, size]));
        let mask = Tensor::from_fn(TensorDesc::new(DType::Bool, [rows.len(), 16384]), |i| {
            f64::from(u8::from(name != "causal" || i[1] <= rows[i[0]]))
        });
        let found = apply("Attention", &[&q, &k, &v, &mask], &[("scale", Attr::Float(3.0))]);
        let due = tensor(&file, &format!("attention.{name}")).unwrap();
        let found = Tensor::new(due.desc().clone(), found.into_data()).unwrap();
        let error = relative(&found, &due);
        assert!(error < EXACT, "{name}: {error:e}");
    }
}

#[test]
fn convolutions_over_space_and_time() {
    let bytes = read(&root("conformance/goldens/pytorch.safetensors"));
    let file = SafeTensors::deserialize(&bytes).unwrap();
    for frames in [1, 2, 3, 8] {
        let ints = |list: &[i64]| Attr::Ints(list.to_vec());
        let x = uniform(4, &[1, 5, frames, 9, 7]);
        let y = apply(
            "Conv",
            &[&x, &uniform(5, &[6, 5, 1, 3, 3]), &uniform(6, &[6])],
            &[("pads", ints(&[0, 1, 1, 0, 1, 1]))],
        );
        let attrs = [("pads", ints(&[1, 0, 0, 1, 0, 0])), ("pad_mode", Attr::Str("edge".into()))];
        let found = apply("Conv", &[&y, &uniform(7, &[6, 6, 3, 1, 1]), &uniform(8, &[6])], &attrs);
        let error = relative(&found, &tensor(&file, &format!("convolution.{frames}")).unwrap());
        assert!(error < EXACT, "{frames}: {error:e}");
    }
}
