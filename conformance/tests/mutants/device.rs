//! A device that runs a graph node by node on the CPU device, and does one thing wrong.

use std::any::Any;
use std::sync::{Arc, Mutex};

use kinograph_backend::{
    Backend, Buffer, BufferRef, CompileError, Control, Device, DeviceError, DeviceInfo, DeviceOptions,
    Executable, HostTensor, MemoryPlan, RunError, Support, Weights, check_inputs, check_weight,
};
use kinograph_cpu::CpuBackend;
use kinograph_graph::{Attr, DType, Graph, GraphBuilder, Node, OpDef, Tensor, TensorDesc};

/// A node that is about to run.
pub(crate) struct Step<'a> {
    cpu: &'a dyn Device,
    pub(crate) node: &'a Node,
    pub(crate) op: &'static OpDef,
    pub(crate) attrs: Vec<(String, Attr)>,
    pub(crate) inputs: Vec<Option<Tensor>>,
}

impl Step<'_> {
    pub(crate) fn is(&self, op: &str) -> bool {
        self.op.name == op
    }

    pub(crate) fn input(&self, i: usize) -> Option<&Tensor> {
        self.inputs.get(i).and_then(Option::as_ref)
    }

    pub(crate) fn ints(&self, name: &str) -> Option<Vec<i64>> {
        self.attrs.iter().find_map(|(n, value)| match value {
            Attr::Ints(v) if n == name => Some(v.clone()),
            _ => None,
        })
    }

    pub(crate) fn word(&self, name: &str) -> Option<&str> {
        self.attrs.iter().find_map(|(n, value)| match value {
            Attr::Str(v) if n == name => Some(v.as_str()),
            _ => None,
        })
    }

    /// Sets an attribute that is there; false when it is not, or has this value already.
    pub(crate) fn set(&mut self, name: &str, to: Attr) -> bool {
        match self.attrs.iter_mut().find(|(n, value)| n == name && *value != to) {
            Some((_, value)) => {
                *value = to;
                true
            }
            None => false,
        }
    }

    /// Adds or changes an attribute.
    pub(crate) fn put(&mut self, name: &str, to: Attr) {
        self.attrs.retain(|(n, _)| n != name);
        self.attrs.push((name.to_owned(), to));
    }

    /// What the CPU makes of the step as it stands; nothing when the op does not take it any more.
    pub(crate) fn run(&self) -> Option<Vec<Tensor>> {
        on_cpu(self.cpu, self.op, &self.inputs, &self.attrs)
    }
}

fn on_cpu(
    cpu: &dyn Device,
    op: &'static OpDef,
    inputs: &[Option<Tensor>],
    attrs: &[(String, Attr)],
) -> Option<Vec<Tensor>> {
    let mut builder = GraphBuilder::new("step");
    let (mut ids, mut buffers) = (Vec::new(), Vec::new());
    for (i, tensor) in inputs.iter().enumerate() {
        ids.push(match tensor {
            None => None,
            Some(tensor) => {
                buffers.push(cpu.upload(HostTensor::from_reference(tensor, tensor.dtype())).ok()?);
                Some(builder.input(&format!("i{i}"), tensor.desc().clone()).ok()?)
            }
        });
    }
    let made = builder.node(op, &ids, attrs.to_vec(), "step").ok()?;
    let outputs = made.into_iter().enumerate().map(|(i, id)| (format!("o{i}"), id));
    let graph = Arc::new(builder.finish(outputs).ok()?);
    let weights = Arc::new(kinograph_backend::MemoryWeights::new());
    let made = cpu.compile(graph, weights).ok()?.run(&buffers, &Control::new()).ok()?;
    made.iter().map(|buffer| Some(cpu.download(buffer).ok()?.to_reference())).collect()
}

/// Makes of a step what it should not; `None` leaves it alone.
pub(crate) type Fault = Arc<dyn Fn(&mut Step<'_>) -> Option<Vec<Tensor>> + Send + Sync>;

/// What a mutant does besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Habits {
    /// Answers the second run of an executable with the first one's outputs.
    pub(crate) stale: bool,
    /// Reads weights in f16 as if they were bf16.
    pub(crate) mistakes_f16: bool,
    /// Takes every node, and fails.
    pub(crate) errs: bool,
}

pub(crate) struct MutantDevice {
    cpu: Arc<dyn Device>,
    info: DeviceInfo,
    fault: Fault,
    habits: Habits,
}

impl MutantDevice {
    pub(crate) fn open(fault: Fault, habits: Habits) -> Arc<dyn Device> {
        let options = DeviceOptions { threads: Some(1), ..DeviceOptions::default() };
        let cpu = CpuBackend.open("cpu", &options).unwrap();
        let info = DeviceInfo { id: "mutant".into(), name: "does one thing wrong".into(), facts: Vec::new() };
        Arc::new(Self { cpu, info, fault, habits })
    }
}

impl Device for MutantDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn support(&self, graph: &Graph, node: &Node) -> Support {
        self.cpu.support(graph, node)
    }

    fn compile(
        &self,
        graph: Arc<Graph>,
        weights: Arc<dyn Weights>,
    ) -> Result<Arc<dyn Executable>, CompileError> {
        let mut read = Vec::new();
        for &id in graph.weights() {
            let value = graph.value(id);
            let view = check_weight(&*weights, &value.name, &value.desc)?;
            let dtype = match view.dtype {
                DType::F16 if self.habits.mistakes_f16 => DType::BF16,
                other => other,
            };
            read.push((id, decode(dtype, value.desc.clone(), view.bytes)));
        }
        Ok(Arc::new(MutantExecutable {
            graph,
            weights: read,
            cpu: self.cpu.clone(),
            fault: self.fault.clone(),
            habits: self.habits,
            first: Mutex::default(),
        }))
    }

    fn upload(&self, tensor: HostTensor) -> Result<BufferRef, DeviceError> {
        Ok(Arc::new(Held(tensor)))
    }

    fn download(&self, buffer: &BufferRef) -> Result<HostTensor, DeviceError> {
        let held = buffer.as_any().downcast_ref::<Held>();
        held.map(|held| held.0.clone()).ok_or_else(|| DeviceError::Internal("another device's".into()))
    }
}

fn decode(dtype: DType, desc: TensorDesc, bytes: &[u8]) -> Tensor {
    let values: Vec<f64> = match dtype {
        DType::F32 => bytes.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
        DType::F16 => bytes.as_chunks().0.iter().map(|b| half::f16::from_le_bytes(*b).to_f64()).collect(),
        DType::BF16 => bytes.as_chunks().0.iter().map(|b| half::bf16::from_le_bytes(*b).to_f64()).collect(),
        DType::I64 => bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as f64).collect(),
        DType::I32 => bytes.as_chunks().0.iter().map(|b| f64::from(i32::from_le_bytes(*b))).collect(),
        DType::I8 => bytes.iter().map(|b| f64::from(*b as i8)).collect(),
        DType::U8 | DType::Bool => bytes.iter().map(|b| f64::from(*b)).collect(),
    };
    Tensor::new(desc, values).unwrap()
}

struct Held(HostTensor);

impl Buffer for Held {
    fn desc(&self) -> &TensorDesc {
        self.0.desc()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

struct MutantExecutable {
    graph: Arc<Graph>,
    weights: Vec<(kinograph_graph::ValueId, Tensor)>,
    cpu: Arc<dyn Device>,
    fault: Fault,
    habits: Habits,
    first: Mutex<Option<Vec<BufferRef>>>,
}

impl Executable for MutantExecutable {
    fn graph(&self) -> &Graph {
        &self.graph
    }

    fn memory(&self) -> MemoryPlan {
        MemoryPlan::default()
    }

    fn run(&self, inputs: &[BufferRef], _: &Control) -> Result<Vec<BufferRef>, RunError> {
        check_inputs(&self.graph, inputs)?;
        if self.habits.errs {
            return Err(DeviceError::Internal("no luck today".into()).into());
        }
        if let Some(first) = self.first.lock().unwrap().as_ref().filter(|_| self.habits.stale) {
            return Ok(first.clone());
        }
        let mut values: Vec<Option<Tensor>> = vec![None; self.graph.values().len()];
        for (&id, buffer) in self.graph.inputs().iter().zip(inputs) {
            let held = buffer.as_any().downcast_ref::<Held>().unwrap();
            values[id.index()] = Some(held.0.to_reference());
        }
        self.weights.iter().for_each(|(id, tensor)| values[id.index()] = Some(tensor.clone()));
        for node in self.graph.nodes() {
            let inputs = node.inputs.iter().map(|id| id.and_then(|id| values[id.index()].clone())).collect();
            let attrs: Vec<(String, Attr)> =
                node.attrs.iter().map(|(n, v)| (n.to_owned(), v.clone())).collect();
            let right = Step { cpu: &*self.cpu, node, op: node.op, attrs, inputs };
            let due: Vec<TensorDesc> =
                node.outputs.iter().map(|&id| self.graph.value(id).desc.clone()).collect();
            let mut step = Step { attrs: right.attrs.clone(), inputs: right.inputs.clone(), ..right };
            let wrong = (self.fault)(&mut step);
            // A fault that changes what comes out in form would be refused, not wrong.
            let fits = |made: &Vec<Tensor>| made.iter().map(|t| t.desc().clone()).collect::<Vec<_>>() == due;
            let made =
                wrong.filter(fits).or_else(|| on_cpu(&*self.cpu, right.op, &right.inputs, &right.attrs));
            let data = |reason: &str| RunError::Data { node: node.name.clone(), reason: reason.to_owned() };
            for (&id, tensor) in node.outputs.iter().zip(made.ok_or_else(|| data("the CPU does not run it"))?)
            {
                values[id.index()] = Some(tensor);
            }
        }
        let output = |id: kinograph_graph::ValueId| {
            let tensor = values[id.index()].as_ref().unwrap();
            Arc::new(Held(HostTensor::from_reference(tensor, tensor.dtype()))) as BufferRef
        };
        let made: Vec<BufferRef> = self.graph.outputs().iter().map(|o| output(o.value)).collect();
        self.first.lock().unwrap().get_or_insert_with(|| made.clone());
        Ok(made)
    }
}
