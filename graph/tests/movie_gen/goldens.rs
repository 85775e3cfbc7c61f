//! Narrow instances with random weights, run by the f64 references, against the same blocks written anew in PyTorch (`make.py`).

use std::collections::BTreeMap;
use std::path::Path;

use half::f16;
use kinograph_graph::{Bindings, DType, Number, OpError, Tensor, TensorDesc, evaluate};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

/// Both sides read the same numbers and compute in f64, so only its rounding is left: some hundred times its unit after
/// a hundred layers.
const TOLERANCE: f64 = 1e-13;

/// What `make.py` says of an instance: sizes, and what each case overrides.
#[derive(Deserialize)]
struct Instance {
    params: Numbers,
    symbols: BTreeMap<String, usize>,
    cases: BTreeMap<String, Numbers>,
}

type Numbers = BTreeMap<String, serde_json::Number>;

fn number(value: &serde_json::Number) -> Number {
    value.as_i64().map_or_else(|| Number::Float(value.as_f64().expect("a number")), Number::Int)
}

fn tensor(file: &SafeTensors<'_>, name: &str) -> Option<Tensor> {
    let view = file.tensor(name).ok()?;
    let bytes = view.data();
    let (dtype, values) = match view.dtype() {
        Dtype::F16 => {
            (DType::F32, bytes.chunks(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f64()).collect())
        }
        Dtype::F64 => {
            (DType::F32, bytes.chunks(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect())
        }
        Dtype::I64 => {
            (DType::I64, bytes.chunks(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect())
        }
        Dtype::BOOL => (DType::Bool, bytes.iter().map(|&b| f64::from(b)).collect()),
        other => panic!("{name}: {other:?} is not used by the goldens"),
    };
    let values: Vec<f64> = values;
    Some(Tensor::new(TensorDesc::new(dtype, view.shape()), values).unwrap())
}

/// Runs a graph in each of the cases of its golden file.
fn check(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/movie_gen");
    let bytes = std::fs::read(folder.join(format!("{name}.safetensors"))).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().as_ref().unwrap();
    let instance: Instance = serde_json::from_str(&metadata["instance"]).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    for (case, overrides) in &instance.cases {
        let bindings = instance.symbols.iter().fold(Bindings::new(), |b, (name, size)| b.symbol(name, *size));
        let params = instance.params.iter().chain(overrides);
        let bindings = params.fold(bindings, |b, (name, value)| b.number(name, number(value)));
        let graph = super::bind(&format!("{name}.toml"), &bindings);
        let feed = |value: &str| {
            tensor(&file, value)
                .or_else(|| tensor(&file, &format!("in.{value}")))
                .ok_or_else(|| OpError::invalid(format!("neither a weight nor an input: {value}")))
        };
        let found = evaluate(&graph, feed).unwrap().remove(0);
        let expected = tensor(&file, &format!("out.{case}")).unwrap();
        assert_eq!(found.shape(), expected.shape(), "{name}, {case}");
        let largest = expected.data().iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let differences = found.data().iter().zip(expected.data()).map(|(f, e)| (f - e).abs());
        // Not `max`, which would pass a NaN over.
        let error = differences.fold(0.0, |m: f64, d| if d <= m { m } else { d }) / largest;
        println!("{name}, {case}: {error:.1e}");
        assert!(error <= TOLERANCE, "{name}, {case}: off by {error:e} of the largest element");
    }
}

#[test]
fn backbone() {
    check("backbone");
}

#[test]
fn encoder() {
    check("tae-encoder");
}

#[test]
fn decoder() {
    check("tae-decoder");
}

#[test]
fn text_encoders() {
    check("text-t5");
    check("text-clip");
}
