use std::sync::Arc;

use kinograph_backend::{
    BufferRef, CompileError, Device, DeviceError, DeviceInfo, Executable, HostTensor, MemoryPlan,
    StoredTypes, Support, Weights,
};
use kinograph_graph::{Graph, Node};
use kinograph_onnx::Target;
use tract_linalg::multithread::Executor;

use crate::buffer::TractBuffer;
use crate::exec::TractExecutable;
use crate::{ID, VERSION, internal};

/// tract on this machine's processor.
pub(crate) struct TractDevice {
    info: DeviceInfo,
    target: Target,
    executor: Executor,
}

/// What is known of the device with so many threads.
pub(crate) fn info(threads: usize) -> DeviceInfo {
    let facts = [("version", VERSION.to_owned()), ("threads", threads.to_string())];
    DeviceInfo {
        id: ID.to_owned(),
        name: "tract on the processor, pure Rust".into(),
        facts: facts.map(|(name, value)| (name.to_owned(), value)).to_vec(),
    }
}

/// The threads used when the host does not say: one for each processor that it may use.
pub(crate) fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

impl TractDevice {
    pub(crate) fn new(threads: usize) -> Self {
        let executor = if threads > 1 { Executor::multithread(threads) } else { Executor::SingleThread };
        Self { info: info(threads), target: Target::tract(), executor }
    }
}

impl Device for TractDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn support(&self, graph: &Graph, node: &Node) -> Support {
        kinograph_onnx::support(graph, node, &self.target)
    }

    fn compile(
        &self,
        graph: Arc<Graph>,
        weights: Arc<dyn Weights>,
    ) -> Result<Arc<dyn Executable>, CompileError> {
        let stored = |name: &str| weights.get(name).map(|view| view.dtype);
        let memory = self.plan(&graph, &stored)?;
        let model = kinograph_onnx::lower(&graph, &self.target, &stored, ID)?;
        let executor = self.executor.clone();
        Ok(Arc::new(TractExecutable::new(graph, &model, &*weights, memory, executor)?))
    }

    /// Activations as an upper bound; weights become tract's own, in the type that is computed in.
    fn plan(&self, graph: &Graph, stored: StoredTypes<'_>) -> Result<MemoryPlan, CompileError> {
        let plan = MemoryPlan::estimate(graph, stored)?;
        let copied = graph.weights().iter().map(|&id| graph.value(id).desc.bytes() as u64).sum();
        Ok(MemoryPlan { weights_in_place: 0, weights_copied: copied, ..plan })
    }

    fn upload(&self, tensor: HostTensor) -> Result<BufferRef, DeviceError> {
        Ok(Arc::new(TractBuffer::from_host(&tensor)?))
    }

    fn download(&self, buffer: &BufferRef) -> Result<HostTensor, DeviceError> {
        TractBuffer::of(buffer).ok_or_else(|| internal("the buffer is of another device"))?.to_host()
    }
}
