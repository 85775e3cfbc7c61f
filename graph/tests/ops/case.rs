//! Reads the golden files, which `tests/goldens/make.py` makes.

use std::path::Path;

use kinograph_graph::ops;
use kinograph_graph::{Attr, Attrs, DType, OpDef, Tensor, TensorDesc};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

const FILES: [&str; 12] = [
    "attentions",
    "binary",
    "casts",
    "convolutions",
    "elementwise",
    "integers",
    "movement",
    "normalisations",
    "products",
    "reductions",
    "resampling",
    "video",
];

/// One case of a golden file.
pub(crate) struct Case {
    /// File and number, for messages.
    pub(crate) name: String,
    pub(crate) op: &'static OpDef,
    pub(crate) attrs: Attrs,
    pub(crate) inputs: Vec<Option<Tensor>>,
    pub(crate) expected: Vec<Tensor>,
    /// What a device gave that computed in f32.
    pub(crate) single: Vec<Option<Tensor>>,
    pub(crate) exact: bool,
}

impl Case {
    pub(crate) fn run(&self) -> Vec<Tensor> {
        ops::evaluate(self.op, &self.inputs(), &self.attrs).unwrap_or_else(|e| panic!("{}: {e}", self.name))
    }

    pub(crate) fn inputs(&self) -> Vec<Option<&Tensor>> {
        self.inputs.iter().map(Option::as_ref).collect()
    }
}

pub(crate) fn cases() -> impl Iterator<Item = Case> {
    FILES.into_iter().flat_map(|file| {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(format!("{file}.safetensors"));
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let (_, header) = SafeTensors::read_metadata(&bytes).expect("a safetensors file");
        let text = header.metadata().as_ref().and_then(|m| m.get("cases")).expect("an entry `cases`");
        let rows: Vec<Value> = serde_json::from_str(text).expect("a JSON list");
        let tensors = SafeTensors::deserialize(&bytes).expect("a safetensors file");
        let cases: Vec<Case> = rows.iter().enumerate().map(|(i, row)| case(file, i, row, &tensors)).collect();
        cases
    })
}

fn case(file: &str, i: usize, row: &Value, tensors: &SafeTensors<'_>) -> Case {
    let op = row["op"].as_str().expect("a name");
    let name = format!("{file} {i} ({op} {})", row["attrs"]);
    let op = ops::find(op).unwrap_or_else(|| panic!("{name}: no such op"));
    let given = row["attrs"].as_object().expect("a table").iter().map(|(k, v)| (k.clone(), attr(v)));
    let attrs = Attrs::check(op.attrs, given).unwrap_or_else(|e| panic!("{name}: {e}"));
    let load = |key: &str| tensors.tensor(&format!("{i}.{key}")).ok().map(|view| tensor(&view));
    let inputs = row["inputs"].as_array().expect("a list");
    let inputs = inputs.iter().map(|key| key.as_str().map(|key| load(key).expect("the input"))).collect();
    let outputs = row["outputs"].as_u64().expect("a number");
    let expected = (0..outputs).map(|o| load(&format!("out{o}")).expect("the output")).collect();
    let single = (0..outputs).map(|o| load(&format!("single{o}"))).collect();
    Case { name, op, attrs, inputs, expected, single, exact: row["exact"].as_bool().expect("a truth value") }
}

fn attr(value: &Value) -> Attr {
    match value {
        Value::Bool(v) => Attr::Bool(*v),
        Value::String(v) => Attr::Str(v.clone()),
        Value::Array(list) if list.iter().all(Value::is_i64) => {
            Attr::Ints(list.iter().filter_map(Value::as_i64).collect())
        }
        Value::Array(list) => Attr::Floats(list.iter().filter_map(Value::as_f64).collect()),
        v => v.as_i64().map_or_else(|| Attr::Float(v.as_f64().expect("a number")), Attr::Int),
    }
}

/// A stored tensor; f64 ones are results, whose type in a graph is f32.
fn tensor(view: &TensorView<'_>) -> Tensor {
    fn read<const N: usize>(view: &TensorView<'_>, f: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        view.data().chunks_exact(N).map(|c| f(c.try_into().expect("a whole chunk"))).collect()
    }
    let (dtype, data) = match view.dtype() {
        Dtype::F64 => (DType::F32, read(view, f64::from_le_bytes)),
        Dtype::F32 => (DType::F32, read(view, |b| f64::from(f32::from_le_bytes(b)))),
        Dtype::I64 => (DType::I64, read(view, |b| i64::from_le_bytes(b) as f64)),
        Dtype::I32 => (DType::I32, read(view, |b| f64::from(i32::from_le_bytes(b)))),
        Dtype::I8 => (DType::I8, read(view, |b| f64::from(i8::from_le_bytes(b)))),
        Dtype::U8 => (DType::U8, read(view, |[b]| f64::from(b))),
        Dtype::BOOL => (DType::Bool, read(view, |[b]| f64::from(b))),
        other => panic!("{other:?} is not used by the goldens"),
    };
    Tensor::new(TensorDesc::new(dtype, view.shape()), data).expect("a whole tensor")
}
