//! What a plugin must get right before it is used.

use std::sync::Arc;

use kinograph_backend::{Backend, Control, Device, DeviceError, DeviceOptions, HostTensor, MemoryWeights};
use kinograph_graph::{
    Args, Attr, Bound, DType, Graph, GraphBuilder, Node, OpError, Source, Tensor, TensorDesc, ValueId, ops,
};

use crate::backend::{PluginBackend, PluginDevice};
use crate::error::{Failure, PluginErrorKind};

/// Holds each device against the op table. Cancelling ends it.
pub(crate) fn check(backend: &PluginBackend, control: &Control) -> Result<(), PluginErrorKind> {
    let devices = backend.devices().map_err(|e| PluginErrorKind::Violation(e.to_string()))?;
    for info in devices {
        let device = backend.open_own(&info.id, &DeviceOptions::default()).map_err(|e| e.to_string());
        device.and_then(|device| check_device(&device, control)).map_err(|reason| {
            let reason = if control.is_cancelled() { format!("it took too long: {reason}") } else { reason };
            PluginErrorKind::SelfTest { device: info.id, reason }
        })?;
    }
    Ok(())
}

fn check_device(device: &PluginDevice, control: &Control) -> Result<(), String> {
    for dtype in DType::ALL {
        for shape in [vec![3, 5], vec![], vec![0, 4], vec![2, 1, 2, 1, 3]] {
            round_trip(device, TensorDesc::new(dtype, shape))?;
        }
    }
    for case in cases().map_err(|e| e.to_string())? {
        let answers = case.graph.nodes().iter().map(|node| device.asked(&case.graph, node));
        let answers: Vec<Option<String>> =
            answers.collect::<Result<_, Failure>>().map_err(|f| f.device_error().to_string())?;
        if answers.iter().all(Option::is_none) {
            case.check(device, control).map_err(|reason| format!("{}: {reason}", case.graph.name()))?;
        }
    }
    Ok(())
}

fn round_trip(device: &dyn Device, desc: TensorDesc) -> Result<(), String> {
    let sent = HostTensor::from_reference(&numbers(&desc, 3), desc.dtype);
    let failed = |e: DeviceError| format!("moving {desc}: {e}");
    let buffer = device.upload(sent.clone()).map_err(failed)?;
    let back = device.download(&buffer).map_err(failed)?;
    if back != sent {
        return Err(format!("{desc} did not come back as it was sent"));
    }
    Ok(())
}

/// Numbers that differ from their neighbours, from -3 to 3, exact in every float type.
fn numbers(desc: &TensorDesc, start: usize) -> Tensor {
    let mut at = start;
    Tensor::from_fn(desc.clone(), |_| {
        at += 1;
        desc.dtype.quantize(((at * 7) % 13) as f64 * 0.5 - 3.0)
    })
}

/// A small graph and its data.
struct Case {
    graph: Arc<Graph>,
    weights: Arc<MemoryWeights>,
    /// Of each value of the graph that is an input or a weight.
    given: Vec<Option<Tensor>>,
}

/// A handful of ops, one with a weight, and a graph with several outputs.
fn cases() -> Result<Vec<Case>, OpError> {
    let f32s = |shapes: &[&[usize]]| -> Vec<TensorDesc> {
        shapes.iter().map(|&shape| TensorDesc::new(DType::F32, shape)).collect()
    };
    let one =
        |op: &str, shapes: &[&[usize]], attrs: &[(&str, Attr)]| Case::of_op(op, &f32s(shapes), None, attrs);
    Ok(vec![
        one("Add", &[&[3, 5], &[5]], &[])?,
        one("Sub", &[&[2, 1, 3], &[2, 3]], &[])?,
        one("Mul", &[&[4, 4], &[4, 4]], &[])?,
        one("Swish", &[&[3, 5]], &[])?,
        one("Softmax", &[&[3, 7]], &[("axis", Attr::Int(-1))])?,
        one("Transpose", &[&[2, 3, 4]], &[("perm", Attr::Ints(vec![2, 0, 1]))])?,
        one("MatMul", &[&[2, 3, 4], &[4, 5]], &[])?,
        Case::of_op("Linear", &f32s(&[&[2, 4], &[3, 4]]), Some(1), &[])?,
        Case::of_op("MatMul", &f32s(&[&[2, 4], &[4, 3]]), Some(1), &[])?,
        Case::of_outputs()?,
    ])
}

impl Case {
    fn of_op(
        name: &str,
        operands: &[TensorDesc],
        weight: Option<usize>,
        attrs: &[(&str, Attr)],
    ) -> Result<Self, OpError> {
        let op = ops::find(name).ok_or_else(|| OpError::invalid(format!("there is no op `{name}`")))?;
        let mut builder = GraphBuilder::new(name);
        let mut ids = Vec::new();
        for (i, desc) in operands.iter().enumerate() {
            let name = format!("operand {i}");
            let declare = if weight == Some(i) { GraphBuilder::weight } else { GraphBuilder::input };
            ids.push(Some(declare(&mut builder, &name, desc.clone())?));
        }
        let attrs = attrs.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let made = builder.node(op, &ids, attrs, "node")?;
        Ok(Self::with_data(builder.finish(made.into_iter().map(|id| ("output", id)))?))
    }

    /// Two nodes, an output twice, and an input that is an output.
    fn of_outputs() -> Result<Self, OpError> {
        let find = |name| ops::find(name).ok_or_else(|| OpError::invalid("the op table is incomplete"));
        let mut builder = GraphBuilder::new("several outputs");
        let x = builder.input("x", TensorDesc::new(DType::F32, [2, 3]))?;
        let y = builder.input("y", TensorDesc::new(DType::F32, [3]))?;
        let sum = builder.node(find("Add")?, &[Some(x), Some(y)], [], "sum")?[0];
        let product = builder.node(find("Mul")?, &[Some(x), Some(y)], [], "product")?[0];
        Ok(Self::with_data(builder.finish([("product", product), ("sum", sum), ("again", sum), ("x", x)])?))
    }

    fn with_data(graph: Graph) -> Self {
        let mut weights = MemoryWeights::new();
        let mut given = Vec::new();
        for (at, value) in graph.values().iter().enumerate() {
            let tensor = (!matches!(value.source, Source::Node(_))).then(|| numbers(&value.desc, 5 * at));
            if let (Some(tensor), Source::Weight) = (&tensor, value.source) {
                let elements: Vec<f32> = tensor.data().iter().map(|&v| v as f32).collect();
                weights.insert_f32(&value.name, value.desc.shape.clone(), &elements);
            }
            given.push(tensor);
        }
        Self { graph: Arc::new(graph), weights: Arc::new(weights), given }
    }

    fn check(&self, device: &dyn Device, control: &Control) -> Result<(), String> {
        device.plan(&self.graph, &|_| Some(DType::F32)).map_err(|e| e.to_string())?;
        let executable =
            device.compile(self.graph.clone(), self.weights.clone()).map_err(|e| e.to_string())?;
        let inputs = self.graph.inputs().iter().filter_map(|id| self.given[id.index()].as_ref());
        let inputs = inputs
            .map(|tensor| device.upload(HostTensor::from_reference(tensor, tensor.dtype())))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| e.to_string())?;
        // The second run shows whether the first left something behind.
        for _ in 0..2 {
            let outputs = executable.run(&inputs, control).map_err(|e| e.to_string())?;
            for (buffer, output) in outputs.iter().zip(self.graph.outputs()) {
                let found = device.download(buffer).map_err(|e| e.to_string())?;
                self.judge(output.value, &found)?;
            }
        }
        Ok(())
    }

    /// Holds a value against the reference.
    fn judge(&self, value: ValueId, found: &HostTensor) -> Result<(), String> {
        let (expected, bounds) = match self.graph.value(value).source {
            Source::Node(id) => {
                self.expected(&self.graph.nodes()[id.index()], value).map_err(|e| e.to_string())?
            }
            _ => (self.given[value.index()].clone().ok_or("the case lacks data")?, None),
        };
        let dtype = expected.dtype();
        for (at, (&due, is)) in expected.data().iter().zip(found.data().to_f64()).enumerate() {
            let bound = bounds.as_ref().map_or(0.0, |b| b[at] * dtype.unit_roundoff());
            // Not a number is never within.
            let within = dtype.quantize(due) == is || (is - due).abs() <= bound;
            if !within {
                return Err(format!("element {at} is {is:e}, but {due:e} is due, within {bound:e}"));
            }
        }
        Ok(())
    }

    /// The output of a node that reads only what is given, and its bounds.
    fn expected(&self, node: &Node, value: ValueId) -> Result<(Tensor, Option<Vec<f64>>), OpError> {
        let inputs: Vec<Option<&Tensor>> =
            node.inputs.iter().map(|id| id.and_then(|id| self.given[id.index()].as_ref())).collect();
        let mut outputs = ops::evaluate(node.op, &inputs, &node.attrs)?;
        let bounds = match node.op.bound {
            Bound::Scaled(bound) => {
                Some(bound(&Args { op: node.op, inputs: &inputs, attrs: &node.attrs }, &outputs)?)
            }
            _ => None,
        };
        let at = node.outputs.iter().position(|&id| id == value).unwrap_or(0);
        Ok((outputs.swap_remove(at), bounds.map(|mut bounds| bounds.swap_remove(at))))
    }
}
