//! A device that gives each run to the next of several devices.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kinograph::backend::{
    Buffer, BufferRef, CompileError, Control, Device, DeviceError, DeviceInfo, Executable, HostTensor,
    MemoryPlan, RunError, Support, Weights,
};
use kinograph::graph::{Graph, Node, TensorDesc};

/// A device and what it compiled.
type Compiled = (Arc<dyn Device>, Arc<dyn Executable>);

pub struct Alternating {
    devices: Vec<Arc<dyn Device>>,
    runs: Arc<AtomicUsize>,
}

impl Alternating {
    pub fn new(devices: Vec<Arc<dyn Device>>) -> Self {
        Self { devices, runs: Arc::default() }
    }

    pub fn runs(&self) -> usize {
        self.runs.load(Ordering::Relaxed)
    }
}

impl Device for Alternating {
    fn info(&self) -> &DeviceInfo {
        self.devices[0].info()
    }

    fn support(&self, graph: &Graph, node: &Node) -> Support {
        let answers = self.devices.iter().map(|device| device.support(graph, node));
        answers.into_iter().find(|support| !support.is_yes()).unwrap_or(Support::Yes)
    }

    fn compile(
        &self,
        graph: Arc<Graph>,
        weights: Arc<dyn Weights>,
    ) -> Result<Arc<dyn Executable>, CompileError> {
        let compile = |device: &Arc<dyn Device>| -> Result<Compiled, CompileError> {
            Ok((device.clone(), device.compile(graph.clone(), weights.clone())?))
        };
        let each = self.devices.iter().map(compile).collect::<Result<_, _>>()?;
        Ok(Arc::new(Turns { graph: graph.clone(), each, runs: self.runs.clone() }))
    }

    fn upload(&self, tensor: HostTensor) -> Result<BufferRef, DeviceError> {
        Ok(Arc::new(Host(tensor)))
    }

    fn download(&self, buffer: &BufferRef) -> Result<HostTensor, DeviceError> {
        Ok(host(buffer).clone())
    }
}

struct Host(HostTensor);

fn host(buffer: &BufferRef) -> &HostTensor {
    &buffer.as_any().downcast_ref::<Host>().expect("a buffer of this device").0
}

impl Buffer for Host {
    fn desc(&self) -> &TensorDesc {
        self.0.desc()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

struct Turns {
    graph: Arc<Graph>,
    each: Vec<(Arc<dyn Device>, Arc<dyn Executable>)>,
    runs: Arc<AtomicUsize>,
}

impl Executable for Turns {
    fn graph(&self) -> &Graph {
        &self.graph
    }

    fn memory(&self) -> MemoryPlan {
        MemoryPlan::default()
    }

    fn run(&self, inputs: &[BufferRef], control: &Control) -> Result<Vec<BufferRef>, RunError> {
        let turn = self.runs.fetch_add(1, Ordering::Relaxed);
        let (device, executable) = &self.each[turn % self.each.len()];
        let inputs =
            inputs.iter().map(|buffer| device.upload(host(buffer).clone())).collect::<Result<Vec<_>, _>>()?;
        let made = executable.run(&inputs, control)?;
        made.iter().map(|buffer| Ok(Arc::new(Host(device.download(buffer)?)) as BufferRef)).collect()
    }
}
