//! A failure in a file: graph, weights and inputs, to be run again anywhere.
//!
//! The file is safetensors. Its metadata hold the graph as TOML and the case's name; each tensor has the name that it has in
//! that graph, and weights are stored as the device got them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use kinograph_backend::{HostTensor, Weights};
use kinograph_graph::{Attr, Bindings, DType, Graph, GraphFile, Tensor, TensorDesc, ValueId};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};

use crate::problem::Problem;

/// Files larger than this are refused: no case is.
const MOST_BYTES: u64 = 4 << 30;

/// Why a failure was not written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The file system's.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is none of ours, or damaged.
    #[error("{path}: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Writes a problem.
///
/// # Errors
/// [`ReplayError`].
pub fn save(path: &Path, case: &str, problem: &Problem) -> Result<(), ReplayError> {
    let format =
        |e: &dyn std::fmt::Display| ReplayError::Format { path: path.to_owned(), reason: e.to_string() };
    let graph = problem.graph();
    let mut tensors: Vec<(String, TensorView<'_>)> = Vec::new();
    for (&id, tensor) in graph.inputs().iter().zip(&problem.inputs) {
        let desc = tensor.desc();
        let view = TensorView::new(stored(desc.dtype), desc.shape.clone(), tensor.data().as_bytes());
        tensors.push((name(id), view.map_err(|e| format(&e))?));
    }
    for &id in graph.weights() {
        let Some(weight) = problem.weights.get(&graph.value(id).name) else { continue };
        let view = TensorView::new(stored(weight.dtype), weight.shape.to_vec(), weight.bytes);
        tensors.push((name(id), view.map_err(|e| format(&e))?));
    }
    let metadata = [("kinograph.case", case.to_owned()), ("kinograph.graph", text(graph))];
    let metadata = metadata.map(|(k, v)| (k.to_owned(), v)).into_iter().collect();
    let bytes = serialize(tensors, Some(metadata)).map_err(|e| format(&e))?;
    std::fs::write(path, bytes).map_err(|source| ReplayError::Io { path: path.to_owned(), source })
}

/// Reads a problem and its case's name.
///
/// # Errors
/// [`ReplayError`].
pub fn load(path: &Path) -> Result<(String, Problem), ReplayError> {
    let io = |source| ReplayError::Io { path: path.to_owned(), source };
    let format = |reason: String| ReplayError::Format { path: path.to_owned(), reason };
    if std::fs::metadata(path).map_err(io)?.len() > MOST_BYTES {
        return Err(format(format!("larger than {MOST_BYTES} bytes, which no case is")));
    }
    let bytes = std::fs::read(path).map_err(io)?;
    parse(&bytes).map_err(format)
}

fn parse(bytes: &[u8]) -> Result<(String, Problem), String> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
    let entry = |key: &str| {
        let found = header.metadata().as_ref().and_then(|m| m.get(key)).cloned();
        found.ok_or_else(|| format!("the metadata hold no `{key}`: this is no file of a failed case"))
    };
    let (case, text) = (entry("kinograph.case")?, entry("kinograph.graph")?);
    let file = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
    let graph = GraphFile::parse("kinograph.graph", &text).map_err(|e| e.to_string())?;
    let graph = graph.bind(&Bindings::new()).map_err(|e| e.to_string())?;
    let (mut feed, mut stored) = (BTreeMap::new(), BTreeMap::new());
    for &id in graph.inputs().iter().chain(graph.weights()) {
        let value = graph.value(id);
        let view = file.tensor(&value.name).map_err(|e| e.to_string())?;
        let dtype = dtype(view.dtype()).ok_or_else(|| format!("`{}` is {:?}", value.name, view.dtype()))?;
        if view.shape() != value.desc.shape {
            return Err(format!("`{}` is {:?}, but the graph says {}", value.name, view.shape(), value.desc));
        }
        let values = dtype_values(dtype, view.data());
        let tensor = Tensor::new(TensorDesc::new(value.desc.dtype, view.shape()), values);
        feed.insert(value.name.clone(), tensor.map_err(|e| e.to_string())?);
        stored.insert(value.name.clone(), dtype);
    }
    Ok((case, Problem::new(graph, feed, &stored).map_err(|e| e.to_string())?))
}

/// The elements of little-endian bytes.
pub(crate) fn dtype_values(dtype: DType, bytes: &[u8]) -> Vec<f64> {
    fn each<const N: usize>(bytes: &[u8], f: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        bytes.as_chunks::<N>().0.iter().map(|c| f(*c)).collect()
    }
    match dtype {
        DType::F32 => each(bytes, |b| f64::from(f32::from_le_bytes(b))),
        DType::F16 => each(bytes, |b| half_to_f64(u16::from_le_bytes(b))),
        DType::BF16 => each(bytes, |b| f64::from(f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16))),
        DType::I8 => each(bytes, |b| f64::from(i8::from_le_bytes(b))),
        DType::U8 | DType::Bool => each(bytes, |[b]| f64::from(b)),
        DType::I32 => each(bytes, |b| f64::from(i32::from_le_bytes(b))),
        DType::I64 => each(bytes, |b| i64::from_le_bytes(b) as f64),
    }
}

fn half_to_f64(bits: u16) -> f64 {
    let (sign, exponent, fraction) = (bits >> 15, i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    let size = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        e => (1.0 + fraction / 1024.0) * 2f64.powi(e - 15),
    };
    if sign == 1 { -size } else { size }
}

fn stored(dtype: DType) -> Dtype {
    match dtype {
        DType::F32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::I8 => Dtype::I8,
        DType::U8 => Dtype::U8,
        DType::I32 => Dtype::I32,
        DType::I64 => Dtype::I64,
        DType::Bool => Dtype::BOOL,
    }
}

/// The type of a stored tensor, if graphs know it.
pub(crate) fn dtype(stored: Dtype) -> Option<DType> {
    DType::ALL.into_iter().find(|&t| self::stored(t) == stored)
}

fn name(id: ValueId) -> String {
    format!("v{}", id.index())
}

/// A static graph as TOML. Values are named by their position, as several may have one name.
fn text(graph: &Graph) -> String {
    let mut out = format!("format = 1\nname = {}\n", quote(graph.name()));
    let shaped = |&id: &ValueId| {
        let desc = &graph.value(id).desc;
        format!("{} = {{ shape = {:?}, dtype = \"{}\" }}", name(id), desc.shape, desc.dtype)
    };
    let table = |ids: &[ValueId]| ids.iter().map(shaped).collect::<Vec<_>>().join(", ");
    // Writing to a String cannot fail.
    let _ = writeln!(out, "inputs = {{ {} }}", table(graph.inputs()));
    let _ = writeln!(out, "weights = {{ {} }}\nnodes = [", table(graph.weights()));
    for node in graph.nodes() {
        let inputs: Vec<String> =
            node.inputs.iter().map(|id| quote(&id.map_or(String::new(), name))).collect();
        let outputs: Vec<String> = node.outputs.iter().map(|&id| quote(&name(id))).collect();
        let _ = write!(out, "  {{ op = {}, in = [{}], ", quote(node.op.name), inputs.join(", "));
        let _ = write!(out, "out = [{}], name = {}", outputs.join(", "), quote(&node.name));
        for (key, value) in node.attrs.iter() {
            let _ = write!(out, ", {key} = {}", attribute(value));
        }
        out.push_str(" },\n");
    }
    let outputs: Vec<String> =
        graph.outputs().iter().map(|o| format!("{} = {}", quote(&o.name), quote(&name(o.value)))).collect();
    let _ = writeln!(out, "]\noutputs = {{ {} }}", outputs.join(", "));
    out
}

fn attribute(value: &Attr) -> String {
    let float = |v: &f64| match *v {
        v if v.is_nan() => "nan".to_owned(),
        v if v.is_infinite() => (if v > 0.0 { "inf" } else { "-inf" }).to_owned(),
        v => format!("{v:?}"),
    };
    match value {
        Attr::Int(v) => v.to_string(),
        Attr::Float(v) => float(v),
        Attr::Bool(v) => v.to_string(),
        Attr::Str(v) => quote(v),
        Attr::Ints(v) => format!("{v:?}"),
        Attr::Floats(v) => format!("[{}]", v.iter().map(float).collect::<Vec<_>>().join(", ")),
    }
}

fn quote(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A tensor out of a safetensors file of goldens.
pub(crate) fn host_tensor(file: &SafeTensors<'_>, name: &str) -> Result<HostTensor, String> {
    let view = file.tensor(name).map_err(|e| format!("{name}: {e}"))?;
    let dtype = dtype(view.dtype()).ok_or_else(|| format!("{name} is {:?}", view.dtype()))?;
    let values = dtype_values(dtype, view.data());
    let tensor = Tensor::new(TensorDesc::new(dtype, view.shape()), values).map_err(|e| e.to_string())?;
    Ok(HostTensor::from_reference(&tensor, dtype))
}
