//! A failure in a file: graph, weights and inputs, to be run again anywhere.
//!
//! The file is safetensors. Its metadata hold the graph as TOML and the case's name; each tensor has the name that it has in
//! that graph, and weights are stored as the device got them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

#[cfg(feature = "flipbook")]
use kinograph_backend::HostTensor;
use kinograph_backend::Weights;
use kinograph_graph::{Attr, Bindings, DType, Graph, GraphFile, Tensor, TensorDesc, ValueId};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};

use crate::problem::Problem;

/// Files larger than this are refused: no case is.
const MOST_BYTES: u64 = 4 << 30;

/// So are graphs whose values have more elements than this together, as the exact evaluation holds each in f64.
const MOST_ELEMENTS: usize = 1 << 30;

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
    let metadata: BTreeMap<String, String> = metadata.map(|(k, v)| (k.to_owned(), v)).into_iter().collect();
    let bytes = encode(tensors, &metadata).map_err(|e| format(&e))?;
    std::fs::write(path, bytes).map_err(|source| ReplayError::Io { path: path.to_owned(), source })
}

/// A safetensors file of which the content decides every byte: the usual writer puts metadata in the order of a hash map,
/// which is another one in each process.
pub(crate) fn encode(
    tensors: Vec<(String, TensorView<'_>)>,
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>, String> {
    let plain = serialize(tensors, None).map_err(|e| e.to_string())?;
    let own = serde_json::to_string(metadata).map_err(|e| e.to_string())?;
    let parts = plain.split_first_chunk::<8>().and_then(|(length, rest)| {
        let (header, data) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        Some((std::str::from_utf8(header).ok()?.trim_end().strip_prefix('{')?, data))
    });
    let (entries, data) = parts.ok_or("the writer made no header")?;
    let comma = if entries == "}" { "" } else { "," };
    let mut header = format!("{{\"__metadata__\":{own}{comma}{entries}").into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend(header);
    out.extend_from_slice(data);
    Ok(out)
}

/// Reads a problem and its case's name.
///
/// # Errors
/// [`ReplayError`].
pub fn load(path: &Path) -> Result<(String, Problem), ReplayError> {
    let io = |source| ReplayError::Io { path: path.to_owned(), source };
    let format = |reason: String| ReplayError::Format { path: path.to_owned(), reason };
    let mut bytes = Vec::new();
    // Counted while it is read, as not everything with a path knows its length.
    let file = std::fs::File::open(path).map_err(io)?;
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format(format!("larger than {MOST_BYTES} bytes, which no case is")));
    }
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
    let elements = graph.values().iter().fold(0usize, |n, value| n.saturating_add(value.desc.elements()));
    if elements > MOST_ELEMENTS {
        return Err(format!(
            "the graph's values have {elements} elements, more than {MOST_ELEMENTS}, which no case has"
        ));
    }
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
#[cfg(feature = "flipbook")]
pub(crate) fn host_tensor(file: &SafeTensors<'_>, name: &str) -> Result<HostTensor, String> {
    let view = file.tensor(name).map_err(|e| format!("{name}: {e}"))?;
    let dtype = dtype(view.dtype()).ok_or_else(|| format!("{name} is {:?}", view.dtype()))?;
    let values = dtype_values(dtype, view.data());
    let tensor = Tensor::new(TensorDesc::new(dtype, view.shape()), values).map_err(|e| e.to_string())?;
    Ok(HostTensor::from_reference(&tensor, dtype))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn metadata_stand_in_the_order_of_their_names() {
        let names: Vec<String> = (0..20).map(|i| format!("key {i:02}")).collect();
        let pairs: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "\"quoted\"\n")).collect();
        let (empty, data) = (Vec::new(), [1u8, 2, 3, 4]);
        let view = TensorView::new(Dtype::U8, vec![4], &data).unwrap();
        for tensors in [empty, vec![("x".to_owned(), view)]] {
            let bytes = encode(tensors.clone(), &metadata(&pairs)).unwrap();
            let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
            assert_eq!(header.metadata().as_ref().unwrap()["key 07"], "\"quoted\"\n");
            let file = SafeTensors::deserialize(&bytes).unwrap();
            assert_eq!(file.len(), tensors.len());
            assert!(tensors.is_empty() || file.tensor("x").unwrap().data() == data);
            let text = String::from_utf8_lossy(&bytes);
            let at: Vec<Option<usize>> = names.iter().map(|name| text.find(name.as_str())).collect();
            assert!(at.iter().all(Option::is_some) && at.is_sorted(), "{at:?}");
        }
    }

    #[test]
    fn a_graph_too_large_to_be_evaluated_is_refused() {
        let graph = "format = 1\nname = \"g\"\ninputs = { v0 = { shape = [65536, 65536], dtype = \"f32\" } }\n\
                     nodes = [{ op = \"Identity\", in = [\"v0\"], out = [\"v1\"], name = \"n\" }]\n\
                     outputs = { y = \"v1\" }\n";
        let metadata = metadata(&[("kinograph.case", "op/Identity/x"), ("kinograph.graph", graph)]);
        let refused = parse(&encode(Vec::new(), &metadata).unwrap()).err().unwrap();
        assert!(refused.contains("8589934592 elements"), "{refused}");
    }
}
