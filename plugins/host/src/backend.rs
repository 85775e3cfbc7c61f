//! The backend's traits over a plugin.

use std::any::Any;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use kinograph_backend::{
    Backend, Buffer, BufferRef, CompileError, Control, Device, DeviceError, DeviceInfo, DeviceOptions,
    Executable, HostTensor, MemoryPlan, Refusal, RunError, StoredTypes, Support, Weights, check_inputs,
};
use kinograph_graph::{Graph, Node, TensorDesc};

use crate::error::{Failure, FailureKind, PluginErrorKind};
use crate::flat::{FlatGraph, Stored};
use crate::job;
use crate::objects::{RawBuffer, RawDevice, RawExecutable};
use crate::plugin::Plugin;

/// The backend that a plugin is.
pub struct PluginBackend {
    plugin: Arc<Plugin>,
}

impl fmt::Debug for PluginBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginBackend")
            .field("name", &self.name())
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

impl PluginBackend {
    /// The backend, when the plugin can list its devices.
    pub(crate) fn new(plugin: Arc<Plugin>) -> Result<Self, PluginErrorKind> {
        plugin.devices()?;
        Ok(Self { plugin })
    }

    /// The version that the plugin tells of itself.
    pub fn version(&self) -> &str {
        &self.plugin.version
    }

    /// The file that it was loaded from.
    pub fn path(&self) -> &Path {
        &self.plugin.path
    }
}

impl Backend for PluginBackend {
    fn name(&self) -> &str {
        &self.plugin.name
    }

    fn devices(&self) -> Result<Vec<DeviceInfo>, DeviceError> {
        self.plugin.devices().map_err(Failure::device_error)
    }

    fn open(&self, id: &str, options: &DeviceOptions) -> Result<Arc<dyn Device>, DeviceError> {
        Ok(Arc::new(self.open_own(id, options)?))
    }
}

impl PluginBackend {
    /// Opens a device of which more can be asked.
    pub(crate) fn open_own(&self, id: &str, options: &DeviceOptions) -> Result<PluginDevice, DeviceError> {
        let devices = self.devices()?;
        let Some(info) = devices.iter().find(|device| device.id == id).cloned() else {
            let known: Vec<&str> = devices.iter().map(|device| device.id.as_str()).collect();
            return Err(DeviceError::Internal(format!(
                "there is no device `{id}`; there are: {}",
                known.join(", ")
            )));
        };
        let raw = RawDevice::open(&self.plugin, id, options).map_err(Failure::device_error)?;
        Ok(PluginDevice { info, raw })
    }
}

/// An opened device.
pub(crate) struct PluginDevice {
    info: DeviceInfo,
    raw: Arc<RawDevice>,
}

impl PluginDevice {
    /// Why it does not take a node, or that it does.
    ///
    /// # Errors
    /// When it has no answer.
    pub(crate) fn asked(&self, graph: &Graph, node: &Node) -> Result<Option<String>, Failure> {
        let (part, at) = FlatGraph::of_node(graph, node)?;
        match self.raw.support(&part, at) {
            Ok(()) => Ok(None),
            Err(failure) if matches!(failure.kind, FailureKind::Unsupported { .. }) => {
                Ok(Some(failure.message))
            }
            Err(failure) => Err(failure),
        }
    }

    fn refusal(&self, graph: &Graph, node: &Node) -> Option<Refusal> {
        let answer = self.asked(graph, node);
        answer.unwrap_or_else(|failure| Some(failure.device_error().to_string())).map(Refusal::Other)
    }

    fn unsupported(&self, node: &Node, refusal: Refusal) -> CompileError {
        let (node, op) = (node.name.clone(), node.op.name.to_owned());
        CompileError::Unsupported { node, op, device: self.info.id.clone(), refusal }
    }

    /// An error of `compile` or `plan`.
    fn compile_error(&self, graph: &Graph, failure: Failure) -> CompileError {
        match failure.kind {
            FailureKind::Unsupported { node: Some(at) } if at < graph.nodes().len() => {
                self.unsupported(&graph.nodes()[at], Refusal::Other(failure.message))
            }
            _ => CompileError::Device(failure.device_error()),
        }
    }

    fn check_support(&self, graph: &Graph) -> Result<(), CompileError> {
        for node in graph.nodes() {
            if let Some(refusal) = self.refusal(graph, node) {
                return Err(self.unsupported(node, refusal));
            }
        }
        Ok(())
    }

    fn compiled(
        &self,
        graph: Arc<Graph>,
        weights: Arc<dyn Weights>,
        separately: bool,
    ) -> Result<Arc<dyn Executable>, CompileError> {
        self.check_support(&graph)?;
        let flat = FlatGraph::whole(&graph, Stored::Data(&*weights))?;
        let compiled = self.raw.compile(&flat, weights, separately);
        let raw = compiled.map_err(|f| self.compile_error(&graph, f))?;
        let memory = raw.memory().map_err(|f| CompileError::Device(f.device_error()))?;
        Ok(Arc::new(PluginExecutable { graph, memory, raw: Arc::new(raw) }))
    }
}

impl Device for PluginDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn support(&self, graph: &Graph, node: &Node) -> Support {
        self.refusal(graph, node).map_or(Support::Yes, Support::No)
    }

    fn compile(
        &self,
        graph: Arc<Graph>,
        weights: Arc<dyn Weights>,
    ) -> Result<Arc<dyn Executable>, CompileError> {
        self.compiled(graph, weights, false)
    }

    fn compile_separately(
        &self,
        graph: Arc<Graph>,
        weights: Arc<dyn Weights>,
    ) -> Result<Arc<dyn Executable>, CompileError> {
        self.compiled(graph, weights, true)
    }

    fn plan(&self, graph: &Graph, stored: StoredTypes<'_>) -> Result<MemoryPlan, CompileError> {
        self.check_support(graph)?;
        if !self.raw.plans() {
            return MemoryPlan::estimate(graph, stored);
        }
        let flat = FlatGraph::whole(graph, Stored::Types(stored))?;
        self.raw.plan(&flat).map_err(|f| self.compile_error(graph, f))
    }

    fn trim(&self) {
        self.raw.trim();
    }

    fn upload(&self, tensor: HostTensor) -> Result<BufferRef, DeviceError> {
        let raw = self.raw.upload(&tensor).map_err(Failure::device_error)?;
        Ok(Arc::new(PluginBuffer { desc: tensor.desc().clone(), raw }))
    }

    fn download(&self, buffer: &BufferRef) -> Result<HostTensor, DeviceError> {
        let buffer = own(buffer, &self.raw)
            .ok_or_else(|| DeviceError::Internal("the buffer is of another device".into()))?;
        self.raw.download(&buffer.raw, &buffer.desc).map_err(Failure::device_error)
    }
}

/// The buffer, when it is one of this very device.
fn own<'a>(buffer: &'a BufferRef, device: &Arc<RawDevice>) -> Option<&'a PluginBuffer> {
    let buffer = buffer.as_any().downcast_ref::<PluginBuffer>()?;
    Arc::ptr_eq(&buffer.raw.device, device).then_some(buffer)
}

/// A tensor on a plugin's device.
pub(crate) struct PluginBuffer {
    desc: TensorDesc,
    pub(crate) raw: RawBuffer,
}

impl Buffer for PluginBuffer {
    fn desc(&self) -> &TensorDesc {
        &self.desc
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

struct PluginExecutable {
    graph: Arc<Graph>,
    memory: MemoryPlan,
    raw: Arc<RawExecutable>,
}

impl PluginExecutable {
    fn run_error(&self, failure: Failure) -> RunError {
        match failure.kind {
            FailureKind::Cancelled => RunError::Cancelled,
            FailureKind::Data { node: Some(at) } if at < self.graph.nodes().len() => {
                RunError::Data { node: self.graph.nodes()[at].name.clone(), reason: failure.message }
            }
            _ => RunError::Device(failure.device_error()),
        }
    }
}

impl Executable for PluginExecutable {
    fn graph(&self) -> &Graph {
        &self.graph
    }

    fn memory(&self) -> MemoryPlan {
        self.memory
    }

    fn run(&self, inputs: &[BufferRef], control: &Control) -> Result<Vec<BufferRef>, RunError> {
        check_inputs(&self.graph, inputs)?;
        if control.is_cancelled() {
            return Err(RunError::Cancelled);
        }
        let handles = inputs.iter().map(|buffer| own(buffer, &self.raw.device)).collect::<Option<Vec<_>>>();
        let handles =
            handles.ok_or_else(|| DeviceError::Internal("an input lies on another device".into()))?;
        let due = self.graph.outputs();
        let outputs =
            job::run(&self.raw, inputs, &handles, control, due.len()).map_err(|f| self.run_error(f))?;
        let finish = |(raw, output): (RawBuffer, &kinograph_graph::Output)| {
            let desc = self.graph.value(output.value).desc.clone();
            raw.check("job_outputs", &desc).map_err(Failure::device_error)?;
            Ok(Arc::new(PluginBuffer { desc, raw }) as BufferRef)
        };
        outputs.into_iter().zip(due).map(finish).collect()
    }
}
