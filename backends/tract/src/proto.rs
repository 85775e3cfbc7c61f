//! A lowered model as the protobuf message that tract reads, without encoding it.

use half::{bf16, f16};
use kinograph_backend::{CompileError, WeightView, Weights, check_weight};
use kinograph_graph::{DType, Graph};
use kinograph_onnx::{Attr, Data, Initializer, Io, Model, Node};
use tract_onnx::pb;

/// The version of the file format, of 2022.
const IR_VERSION: i64 = 8;

pub(crate) fn model(
    model: &Model,
    graph: &Graph,
    weights: &dyn Weights,
) -> Result<pb::ModelProto, CompileError> {
    let initializers = model.initializers.iter().map(|i| initializer(i, graph, weights));
    let lowered = pb::GraphProto {
        name: model.name.clone(),
        node: model.nodes.iter().map(node).collect(),
        initializer: initializers.collect::<Result<_, _>>()?,
        input: model.inputs.iter().map(io).collect(),
        output: model.outputs.iter().map(io).collect(),
        ..Default::default()
    };
    let opset = pb::OperatorSetIdProto { domain: String::new(), version: i64::from(model.opset) };
    Ok(pb::ModelProto {
        ir_version: IR_VERSION,
        opset_import: vec![opset],
        graph: Some(lowered),
        ..Default::default()
    })
}

fn code(dtype: DType) -> i32 {
    use pb::tensor_proto::DataType;
    let code = match dtype {
        DType::F32 => DataType::Float,
        DType::F16 => DataType::Float16,
        DType::BF16 => DataType::Bfloat16,
        DType::I8 => DataType::Int8,
        DType::U8 => DataType::Uint8,
        DType::I32 => DataType::Int32,
        DType::I64 => DataType::Int64,
        DType::Bool => DataType::Bool,
    };
    code as i32
}

fn io(io: &Io) -> pb::ValueInfoProto {
    use pb::tensor_shape_proto::{Dimension, dimension};
    let dim =
        |&d: &usize| Dimension { value: Some(dimension::Value::DimValue(d as i64)), ..Default::default() };
    let tensor = pb::type_proto::Tensor {
        elem_type: code(io.desc.dtype),
        shape: Some(pb::TensorShapeProto { dim: io.desc.shape.iter().map(dim).collect() }),
    };
    let value = Some(pb::type_proto::Value::TensorType(tensor));
    let ty = pb::TypeProto { value, ..Default::default() };
    pb::ValueInfoProto { name: io.name.clone(), r#type: Some(ty), ..Default::default() }
}

fn node(node: &Node) -> pb::NodeProto {
    pb::NodeProto {
        name: node.name.clone(),
        op_type: node.op.to_owned(),
        domain: node.domain.to_owned(),
        input: node.inputs.clone(),
        output: node.outputs.clone(),
        attribute: node.attrs.iter().map(|(name, value)| attribute(name, value)).collect(),
        ..Default::default()
    }
}

fn attribute(name: &str, value: &Attr) -> pb::AttributeProto {
    use pb::attribute_proto::AttributeType;
    let base = pb::AttributeProto { name: name.to_owned(), ..Default::default() };
    match value {
        Attr::Int(v) => pb::AttributeProto { i: *v, r#type: AttributeType::Int as i32, ..base },
        Attr::Float(v) => pb::AttributeProto { f: *v, r#type: AttributeType::Float as i32, ..base },
        Attr::Str(v) => {
            pb::AttributeProto { s: v.as_bytes().to_vec(), r#type: AttributeType::String as i32, ..base }
        }
        Attr::Ints(v) => pb::AttributeProto { ints: v.clone(), r#type: AttributeType::Ints as i32, ..base },
    }
}

fn initializer(
    initializer: &Initializer,
    graph: &Graph,
    weights: &dyn Weights,
) -> Result<pb::TensorProto, CompileError> {
    let desc = &initializer.desc;
    let raw_data = match &initializer.data {
        Data::Bytes(bytes) => bytes.clone(),
        Data::Weight(name) => {
            let value = graph.weights().iter().map(|&id| graph.value(id)).find(|v| v.name == *name);
            converted(check_weight(weights, name, value.map_or(desc, |v| &v.desc))?, desc.dtype)
        }
    };
    Ok(pb::TensorProto {
        name: initializer.name.clone(),
        dims: desc.shape.iter().map(|&d| d as i64).collect(),
        data_type: code(desc.dtype),
        raw_data,
        ..Default::default()
    })
}

/// The bytes of a weight in another float type.
fn converted(view: WeightView<'_>, to: DType) -> Vec<u8> {
    if view.dtype == to {
        return view.bytes.to_vec();
    }
    let numbers: Vec<f32> = match view.dtype {
        DType::F16 => view.bytes.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        DType::BF16 => {
            view.bytes.chunks_exact(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
        }
        _ => view.bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
    };
    match to {
        DType::F16 => numbers.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect(),
        DType::BF16 => numbers.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect(),
        _ => numbers.iter().flat_map(|v| v.to_le_bytes()).collect(),
    }
}
