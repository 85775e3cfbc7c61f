//! A device that computes by the references of the ops, with one fault planted: the self-test names it.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use kinograph::backend::{
    Buffer, BufferRef, CompileError, Control, Device, DeviceError, DeviceInfo, Executable, HostTensor,
    MemoryPlan, RunError, Support, Weights,
};
use kinograph::graph::{Args, DType, Graph, Node, Source, Tensor, TensorDesc, ValueId};
use kinograph::{Fault, HostData, Numerics, Precision, ReproducibleError};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Planted {
    Nothing,
    /// Subnormal results become 0, as many devices have it: that must not matter.
    Flush,
    /// The op that makes numbers clean leaves subnormal ones.
    KeepsSubnormals,
    /// A product that a sum reads is not rounded.
    Contracts,
    /// (a + b) - a is b.
    Regroups,
    /// Halves go up.
    RoundsHalvesUp,
    /// Results are cut instead of rounded.
    Truncates,
    /// Sums of products stop at 16 bits, as of instructions for bytes.
    SaturatesDots,
    /// Conversions to integers round.
    RoundsConversions,
    /// Infinities stay.
    Overflows,
    /// The product kernel of convolutions loses bits, as one in half precision.
    HalfConvolutions,
    /// The last bit of an op's results is the other one.
    Misses(&'static str),
}

struct Interpreter(Planted, DeviceInfo);

struct Held(Tensor);

impl Buffer for Held {
    fn desc(&self) -> &TensorDesc {
        self.0.desc()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Device for Interpreter {
    fn info(&self) -> &DeviceInfo {
        &self.1
    }

    fn support(&self, _: &Graph, node: &Node) -> Support {
        let own = match self.0 {
            // The faults of ordinary ops show where these are used.
            Planted::KeepsSubnormals | Planted::Overflows => node.op.name.starts_with("exact."),
            Planted::Misses(op) => node.op.name == op,
            _ => false,
        };
        if own || !node.op.name.starts_with("exact.") {
            return Support::Yes;
        }
        Support::No(kinograph::backend::Refusal::Op)
    }

    fn compile(
        &self,
        graph: Arc<Graph>,
        weights: Arc<dyn Weights>,
    ) -> Result<Arc<dyn Executable>, CompileError> {
        Ok(Arc::new(Compiled { graph, weights, planted: self.0 }))
    }

    fn upload(&self, tensor: HostTensor) -> Result<BufferRef, DeviceError> {
        let data = tensor.data().to_f64();
        Ok(Arc::new(Held(Tensor::new(tensor.desc().clone(), data).unwrap())))
    }

    fn download(&self, buffer: &BufferRef) -> Result<HostTensor, DeviceError> {
        let tensor = &buffer.as_any().downcast_ref::<Held>().unwrap().0;
        Ok(HostTensor::new(tensor.shape(), HostData::from_f64(tensor.dtype(), tensor.data())).unwrap())
    }
}

struct Compiled {
    graph: Arc<Graph>,
    weights: Arc<dyn Weights>,
    planted: Planted,
}

impl Compiled {
    fn weight(&self, id: ValueId) -> Tensor {
        let value = self.graph.value(id);
        let view = self.weights.get(&value.name).unwrap();
        assert_eq!(view.dtype, DType::F32);
        let data = view.bytes.chunks(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap())));
        Tensor::new(value.desc.clone(), data.collect()).unwrap()
    }

    fn rounded(&self, node: &Node, v: f64) -> f64 {
        let nearest = v as f32;
        let x = match self.planted {
            Planted::Truncates if v.is_finite() && f64::from(nearest).abs() > v.abs() => {
                f32::from_bits(nearest.to_bits() - 1)
            }
            _ => nearest,
        };
        let exact = node.op.name.starts_with("exact.");
        match self.planted {
            Planted::Flush if x.is_subnormal() => 0.0,
            Planted::HalfConvolutions if node.op.name == "Conv" => f64::from((v / 64.0) as f32) * 64.0 + 1.0,
            Planted::SaturatesDots if node.op.name == "MatMul" => v.clamp(-32768.0, 32767.0),
            Planted::Overflows if exact && x == f32::MAX => f64::INFINITY,
            Planted::Misses(op) if node.op.name == op => f64::from(f32::from_bits(x.to_bits() ^ 1)),
            _ => f64::from(x),
        }
    }

    /// The node that made the operand, if it is of that op.
    fn maker(&self, id: Option<ValueId>, op: &str) -> Option<&Node> {
        match self.graph.value(id?).source {
            Source::Node(node) => Some(&self.graph.nodes()[node.index()]).filter(|n| n.op.name == op),
            _ => None,
        }
    }

    /// The result of a node that the fault changes before it is rounded.
    fn unrounded(&self, node: &Node, values: &HashMap<ValueId, Tensor>) -> Option<Tensor> {
        let of = |id: Option<ValueId>| &values[&id.unwrap()];
        match (self.planted, node.op.name) {
            (Planted::Contracts, "Add") => {
                let product = self.maker(node.input(0), "Mul")?;
                let (a, b, c) = (of(product.input(0)), of(product.input(1)), of(node.input(1)));
                let same = a.shape() == b.shape() && b.shape() == c.shape();
                same.then(|| {
                    let data = (0..a.data().len()).map(|i| a.data()[i].mul_add(b.data()[i], c.data()[i]));
                    Tensor::new(a.desc().clone(), data.collect()).unwrap()
                })
            }
            (Planted::Regroups, "Sub") => {
                let sum = self.maker(node.input(0), "Add")?;
                (sum.input(0) == node.input(1)).then(|| of(sum.input(1)).clone())
            }
            (Planted::RoundsHalvesUp, "Round") => Some(of(node.input(0)).map(|v| (v + 0.5).floor())),
            (Planted::RoundsConversions, "Cast") => {
                let to = self.graph.value(node.outputs[0]).desc.dtype;
                let x = of(node.input(0));
                to.is_int().then(|| {
                    let data = x.data().iter().map(|v| v.round()).collect();
                    Tensor::new(x.desc().with_dtype(to), data).unwrap()
                })
            }
            (Planted::KeepsSubnormals, "exact.Mul") => {
                let (a, b) = (of(node.input(0)), of(node.input(1)));
                (a.shape() == b.shape()).then(|| {
                    let data = a.data().iter().zip(b.data()).map(|(a, b)| a * b).collect();
                    Tensor::new(a.desc().clone(), data).unwrap()
                })
            }
            _ => None,
        }
    }
}

impl Executable for Compiled {
    fn graph(&self) -> &Graph {
        &self.graph
    }

    fn memory(&self) -> MemoryPlan {
        MemoryPlan::default()
    }

    fn run(&self, inputs: &[BufferRef], _: &Control) -> Result<Vec<BufferRef>, RunError> {
        let mut values: HashMap<ValueId, Tensor> = HashMap::new();
        for (&id, buffer) in self.graph.inputs().iter().zip(inputs) {
            values.insert(id, buffer.as_any().downcast_ref::<Held>().unwrap().0.clone());
        }
        values.extend(self.graph.weights().iter().map(|&id| (id, self.weight(id))));
        for node in self.graph.nodes() {
            let made = match self.unrounded(node, &values) {
                Some(changed) => vec![changed],
                None => {
                    let operands: Vec<Option<&Tensor>> =
                        node.inputs.iter().map(|id| id.map(|id| &values[&id])).collect();
                    (node.op.reference)(&Args { op: node.op, inputs: &operands, attrs: &node.attrs }).unwrap()
                }
            };
            for (&id, tensor) in node.outputs.iter().zip(made) {
                let float = tensor.dtype() == DType::F32;
                values.insert(id, tensor.map(|v| if float { self.rounded(node, v) } else { v }));
            }
        }
        let outputs = self.graph.outputs().iter();
        Ok(outputs.map(|o| Arc::new(Held(values[&o.value].clone())) as BufferRef).collect())
    }
}

fn open(planted: Planted, precision: Precision) -> Result<(), ReproducibleError> {
    let info = DeviceInfo { id: "faulty".into(), name: "an interpreter".into(), facts: Vec::new() };
    Numerics::Reproducible(precision).on(Arc::new(Interpreter(planted, info))).map(drop)
}

#[test]
fn a_faultless_device_is_taken() {
    open(Planted::Nothing, Precision::R16).unwrap();
    open(Planted::Nothing, Precision::R8).unwrap();
}

#[test]
fn flushing_subnormal_numbers_changes_no_bit() {
    open(Planted::Flush, Precision::R16).unwrap();
    open(Planted::Flush, Precision::R8).unwrap();
}

#[test]
fn each_planted_fault_is_named() {
    for (planted, named) in [
        (Planted::KeepsSubnormals, Fault::Subnormals),
        (Planted::Contracts, Fault::Contraction),
        (Planted::Regroups, Fault::Reassociation),
        (Planted::RoundsHalvesUp, Fault::Halves),
        (Planted::Truncates, Fault::Rounding),
        (Planted::SaturatesDots, Fault::SaturatingDot),
        (Planted::RoundsConversions, Fault::Conversion),
        (Planted::Overflows, Fault::Overflow),
        (Planted::HalfConvolutions, Fault::Convolution),
        (Planted::Misses("exact.Tanh"), Fault::Function),
        (Planted::Misses("exact.LayerNormalization"), Fault::Normalization),
        (Planted::Misses("exact.Attention"), Fault::Attention),
    ] {
        match open(planted, Precision::R16) {
            Err(ReproducibleError::Fault { fault, detail, .. }) => {
                println!("{planted:?}: {fault}: {detail}");
                assert_eq!(fault, named, "{planted:?}");
            }
            other => panic!("{planted:?}: {other:?}"),
        }
    }
}
