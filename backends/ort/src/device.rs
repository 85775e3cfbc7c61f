use std::sync::Arc;

use kinograph_backend::{
    BufferRef, CompileError, Device, DeviceError, DeviceInfo, DeviceOptions, Executable, HostTensor,
    MemoryPlan, StoredTypes, Support, Weights,
};
use kinograph_graph::{DType, Graph, Node};
use kinograph_onnx::Target;

use crate::buffer::OrtBuffer;
use crate::exec::OrtExecutable;
use crate::library::Loaded;
use crate::options::Options;
use crate::provider::Provider;
use crate::session::{self, Built};

/// An execution provider of the loaded library.
pub(crate) struct OrtDevice {
    info: DeviceInfo,
    target: Target,
    pub(crate) runtime: Loaded,
    pub(crate) provider: Provider,
    pub(crate) number: u32,
    pub(crate) options: Options,
}

/// What is known of a provider's device without opening it.
pub(crate) fn info(runtime: &Loaded, provider: Provider, number: u32) -> DeviceInfo {
    let facts = [("version", runtime.version.clone()), ("library", runtime.path.display().to_string())];
    DeviceInfo {
        id: provider.id(number),
        name: provider.title().to_owned(),
        facts: facts.map(|(name, value)| (name.to_owned(), value)).to_vec(),
    }
}

impl OrtDevice {
    pub(crate) fn open(
        runtime: Loaded,
        provider: Provider,
        number: u32,
        given: &DeviceOptions,
    ) -> Result<Self, DeviceError> {
        if !Provider::available().contains(&provider) {
            return Err(DeviceError::Internal(format!(
                "the ONNX Runtime at {} was built without {}; another build of it has it",
                runtime.path.display(),
                provider.name()
            )));
        }
        let options = Options::parse(provider, given)?;
        let mut info = info(&runtime, provider, number);
        if let Some(threads) = options.threads {
            info.facts.push(("threads".into(), threads.to_string()));
        }
        let mut target = Target::onnx_runtime(runtime.minor());
        target.approximate = options.approximate;
        target.multi_head_attention = matches!(provider, Provider::Cpu | Provider::Cuda);
        Ok(Self { info, target, runtime, provider, number, options })
    }

    pub(crate) fn is_cpu(&self) -> bool {
        self.provider == Provider::Cpu
    }

    /// Bytes of the weights as they are stored, and whether the session reads them there.
    fn weights(&self, graph: &Graph, stored: StoredTypes<'_>) -> Result<(u64, bool), CompileError> {
        let bytes = MemoryPlan::estimate(graph, stored)?.weights_in_place;
        // Other providers keep weights on their own device.
        Ok((bytes, self.is_cpu() && self.options.weights.in_place(bytes)))
    }

    /// A session of a graph, which the library may rewrite if it is `optimized`.
    fn build(
        &self,
        graph: Arc<Graph>,
        weights: Arc<dyn Weights>,
        optimized: bool,
    ) -> Result<Arc<dyn Executable>, CompileError> {
        let stored = |name: &str| weights.get(name).map(|view| view.dtype);
        let memory = self.plan(&graph, &stored)?;
        let (_, in_place) = self.weights(&graph, &stored)?;
        let model = kinograph_onnx::lower(&graph, &self.target, &stored, &self.info.id)?;
        let access = session::Access { in_place, optimized };
        let Built { session, copies } = session::build(self, &graph, &model, &*weights, access)?;
        let exec = OrtExecutable::new(graph, &model, session, copies, weights, memory);
        Ok(Arc::new(exec.map_err(CompileError::Device)?))
    }
}

impl Device for OrtDevice {
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
        self.build(graph, weights, true)
    }

    fn compile_separately(
        &self,
        graph: Arc<Graph>,
        weights: Arc<dyn Weights>,
    ) -> Result<Arc<dyn Executable>, CompileError> {
        self.build(graph, weights, false)
    }

    /// Activations as an upper bound; ONNX Runtime plans them itself.
    fn plan(&self, graph: &Graph, stored: StoredTypes<'_>) -> Result<MemoryPlan, CompileError> {
        let plan = MemoryPlan::estimate(graph, stored)?;
        let (bytes, in_place) = self.weights(graph, stored)?;
        if in_place {
            return Ok(plan);
        }
        let computed =
            graph.weights().iter().map(|&id| graph.value(id).desc.with_dtype(DType::F32).bytes() as u64);
        Ok(MemoryPlan { weights_in_place: bytes, weights_copied: computed.sum(), ..plan })
    }

    fn upload(&self, tensor: HostTensor) -> Result<BufferRef, DeviceError> {
        Ok(Arc::new(OrtBuffer::from_host(tensor)?))
    }

    fn download(&self, buffer: &BufferRef) -> Result<HostTensor, DeviceError> {
        OrtBuffer::of(buffer)
            .ok_or_else(|| DeviceError::Internal("the buffer is of another device".into()))?
            .to_host()
    }
}
