//! Running a component's graph by itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use kinograph::backend::{BufferRef, Control, Executable, MemoryWeights, Weights};
use kinograph::graph::{Bindings, Graph, Number};
use kinograph::package::{ComponentSpec, ParamValue};
use kinograph::{Device, HostTensor, Package};
use safetensors::{Dtype, SafeTensors};

use crate::reference::{Files, floats};

pub(crate) struct Part {
    device: Arc<dyn Device>,
    spec: ComponentSpec,
    package: Package,
    weights: Arc<dyn Weights>,
}

pub(crate) type States = BTreeMap<String, BufferRef>;

impl Part {
    pub(crate) fn new(
        device: &Arc<dyn Device>,
        files: &Files,
        package: &Package,
        spec: ComponentSpec,
    ) -> Self {
        let mut weights = MemoryWeights::default();
        for name in &spec.weights {
            let file = SafeTensors::deserialize(&files[name]).unwrap();
            for (name, view) in file.iter() {
                assert_eq!(view.dtype(), Dtype::F32);
                weights.insert_f32(name, view.shape(), &floats(view.data()));
            }
        }
        Self { device: device.clone(), spec, package: package.clone(), weights: Arc::new(weights) }
    }

    /// The graph with these sizes, and with values of the file itself as further outputs.
    pub(crate) fn graph(&self, sizes: &[(&str, usize)], params: &[(&str, i64)], more: &[&str]) -> Graph {
        let mut file = self.package.graph(&self.spec.graph).unwrap();
        file.outputs.extend(more.iter().map(|name| ((*name).to_owned(), (*name).to_owned())));
        let mut bindings = Bindings::new();
        for (name, value) in &self.spec.params {
            let number = match *value {
                ParamValue::Bool(v) => Number::Int(i64::from(v)),
                ParamValue::Int(v) => Number::Int(v),
                ParamValue::Float(v) => Number::Float(v),
            };
            bindings = bindings.number(name, number);
        }
        bindings = params.iter().fold(bindings, |b, (name, value)| b.param(*name, *value));
        bindings = sizes.iter().fold(bindings, |b, (name, size)| b.symbol(*name, *size));
        file.bind(&bindings).unwrap()
    }

    pub(crate) fn compile(&self, graph: Graph) -> Arc<dyn Executable> {
        self.device.compile(Arc::new(graph), self.weights.clone()).unwrap()
    }

    /// The outputs by their names.
    pub(crate) fn run(
        &self,
        executable: &dyn Executable,
        inputs: &[HostTensor],
        states: &mut States,
    ) -> BTreeMap<String, Vec<f32>> {
        let graph = executable.graph();
        let mut buffers: Vec<BufferRef> =
            inputs.iter().map(|t| self.device.upload(t.clone()).unwrap()).collect();
        for &id in &graph.inputs()[inputs.len()..] {
            let value = graph.value(id);
            let zeros =
                || HostTensor::f32(value.desc.shape.clone(), vec![0.0; value.desc.elements()]).unwrap();
            let known = states.get(&value.name).cloned();
            buffers.push(known.unwrap_or_else(|| self.device.upload(zeros()).unwrap()));
        }
        let made = executable.run(&buffers, &Control::new()).unwrap();
        for state in graph.states() {
            if let Some(at) = state.output {
                states.insert(state.name.clone(), made[at].clone());
            }
        }
        let named = graph.outputs().iter().zip(&made);
        named
            .map(|(output, buffer)| (output.name.clone(), f32s(&self.device.download(buffer).unwrap())))
            .collect()
    }
}

pub(crate) fn f32s(tensor: &HostTensor) -> Vec<f32> {
    tensor.as_f32().unwrap().to_vec()
}
