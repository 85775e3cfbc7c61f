use std::sync::Arc;

use kinograph_backend::{
    BufferRef, CompileError, Control, Device, DeviceError, DeviceInfo, Executable, HostTensor, MemoryPlan,
    OverlaidWeights, Refusal, RunError, StoredTypes, Support, Weights,
};
use kinograph_graph::passes::{self, Prelude};
use kinograph_graph::{Graph, Node, OpError, exact};

use super::{Precision, ReproducibleError, selftest};

/// A device with reproducible numerics: graphs are written in ops that are defined to the bit, those that the device has no
/// kernel for in ordinary ops, and what depends on weights alone is computed once.
pub struct Reproducible {
    inner: Arc<dyn Device>,
    info: DeviceInfo,
    precision: Precision,
}

impl Reproducible {
    /// Tests a device, which takes some milliseconds, and takes it if it computes every bit as docs/reproducible.md says.
    ///
    /// # Errors
    /// The first thing that it does otherwise, by name.
    pub fn open(inner: Arc<dyn Device>, precision: Precision) -> Result<Self, ReproducibleError> {
        let mut info = inner.info().clone();
        let bits = match precision {
            Precision::R8 => "r8",
            Precision::R16 => "r16",
        };
        info.facts.push(("numerics".into(), format!("reproducible {bits}, version {}", exact::VERSION)));
        let device = Self { inner, info, precision };
        selftest::run(&device)?;
        Ok(device)
    }

    pub(super) fn slices(&self) -> exact::Slices {
        self.precision.slices()
    }

    /// The graph as the device gets it.
    fn written(&self, graph: &Graph) -> Result<Graph, OpError> {
        let exact = passes::reproducible(graph, self.precision.slices())?;
        self.expanded(&exact)
    }

    /// A graph of exact ops as the device gets it.
    pub(super) fn expanded(&self, exact: &Graph) -> Result<Graph, OpError> {
        passes::expand(exact, |graph, node| self.inner.support(graph, node).is_yes())
    }

    /// Compiles a graph that is written for the device.
    pub(super) fn compile_written(
        &self,
        written: Graph,
        weights: Arc<dyn Weights>,
    ) -> Result<Arc<dyn Executable>, CompileError> {
        let Some(Prelude { part, names, rest }) = passes::prelude(&written).map_err(|e| defect(&e))? else {
            return self.inner.compile_separately(Arc::new(written), weights);
        };
        let early = self.inner.compile_separately(Arc::new(part.graph), weights.clone())?;
        let all = OverlaidWeights::computed(weights, &names, &*early, &*self.inner).map_err(|e| match e {
            RunError::Device(error) => CompileError::Device(error),
            other => {
                CompileError::Device(DeviceError::Internal(format!("weights could not be prepared: {other}")))
            }
        })?;
        self.inner.compile_separately(Arc::new(rest), Arc::new(all))
    }
}

fn defect(error: &OpError) -> CompileError {
    CompileError::Device(DeviceError::Internal(error.to_string()))
}

impl Device for Reproducible {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn support(&self, graph: &Graph, node: &Node) -> Support {
        let at = graph.nodes().iter().position(|n| n.name == node.name);
        let alone = at.ok_or_else(|| OpError::invalid("the node is not of the graph"));
        let written =
            alone.and_then(|at| passes::extract(graph, &[at])).and_then(|part| self.written(&part.graph));
        let written = match written {
            Ok(written) => written,
            Err(error) => return Support::No(Refusal::Other(error.to_string())),
        };
        for node in written.nodes() {
            if let Support::No(refusal) = self.inner.support(&written, node) {
                return Support::No(refusal);
            }
        }
        Support::Yes
    }

    fn compile(
        &self,
        graph: Arc<Graph>,
        weights: Arc<dyn Weights>,
    ) -> Result<Arc<dyn Executable>, CompileError> {
        let live = passes::remove_dead(&graph).map_err(|e| defect(&e))?;
        let inner = self.compile_written(self.written(&live).map_err(|e| defect(&e))?, weights)?;
        Ok(Arc::new(Written { graph, inner }))
    }

    fn plan(&self, graph: &Graph, stored: StoredTypes<'_>) -> Result<MemoryPlan, CompileError> {
        let live = passes::remove_dead(graph).map_err(|e| defect(&e))?;
        let written = self.written(&live).map_err(|e| defect(&e))?;
        match passes::prelude(&written).map_err(|e| defect(&e))? {
            None => self.inner.plan(&written, stored),
            Some(prelude) => {
                self.inner.plan(&prelude.rest, &|name: &str| prelude.made(name).or_else(|| stored(name)))
            }
        }
    }

    fn partitions(&self, graph: &Graph) -> Vec<(String, usize)> {
        match self.written(graph) {
            Ok(written) => self.inner.partitions(&written),
            Err(_) => vec![(self.info.id.clone(), graph.nodes().len())],
        }
    }

    fn trim(&self) {
        self.inner.trim();
    }

    fn upload(&self, tensor: HostTensor) -> Result<BufferRef, DeviceError> {
        self.inner.upload(tensor)
    }

    fn download(&self, buffer: &BufferRef) -> Result<HostTensor, DeviceError> {
        self.inner.download(buffer)
    }
}

/// A graph compiled as it was written for the device.
struct Written {
    graph: Arc<Graph>,
    inner: Arc<dyn Executable>,
}

impl Executable for Written {
    fn graph(&self) -> &Graph {
        &self.graph
    }

    fn memory(&self) -> MemoryPlan {
        self.inner.memory()
    }

    fn run(&self, inputs: &[BufferRef], control: &Control) -> Result<Vec<BufferRef>, RunError> {
        self.inner.run(inputs, control)
    }

    fn run_owned(&self, inputs: Vec<BufferRef>, control: &Control) -> Result<Vec<BufferRef>, RunError> {
        self.inner.run_owned(inputs, control)
    }
}
