use std::sync::{Arc, Mutex, PoisonError};

use kinograph_backend::{
    BufferRef, Control, DeviceError, Executable, MemoryPlan, RunError, Weights, check_inputs,
};
use kinograph_graph::Graph;
use kinograph_onnx::Model;
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{RunOptions, Session};

use crate::buffer::OrtBuffer;
use crate::internal;
use crate::session::Aligned;

/// A session. Fields are dropped in order: the session before what it reads.
pub(crate) struct OrtExecutable {
    graph: Arc<Graph>,
    /// Runs one after the other: each uses all threads of the session.
    session: Mutex<Session>,
    inputs: Vec<String>,
    outputs: Vec<String>,
    memory: MemoryPlan,
    /// Where outputs stay.
    place: MemoryInfo<'static>,
    _copies: Vec<Aligned>,
    _weights: Arc<dyn Weights>,
}

impl OrtExecutable {
    pub(crate) fn new(
        graph: Arc<Graph>,
        model: &Model,
        session: Session,
        copies: Vec<Aligned>,
        weights: Arc<dyn Weights>,
        memory: MemoryPlan,
    ) -> Result<Self, DeviceError> {
        let place = MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Device, MemoryType::CPUOutput);
        Ok(Self {
            graph,
            session: Mutex::new(session),
            inputs: model.inputs.iter().map(|io| io.name.clone()).collect(),
            outputs: model.outputs.iter().map(|io| io.name.clone()).collect(),
            memory,
            place: place.map_err(internal)?,
            _copies: copies,
            _weights: weights,
        })
    }

    fn bound(&self, session: &Session, inputs: &[BufferRef]) -> Result<ort::session::IoBinding, RunError> {
        let fail = |e: ort::Error| RunError::Device(DeviceError::Internal(e.to_string()));
        let mut binding = session.create_binding().map_err(fail)?;
        for (name, buffer) in self.inputs.iter().zip(inputs) {
            let buffer = OrtBuffer::of(buffer).ok_or_else(|| RunError::Input {
                name: name.clone(),
                reason: "is a buffer of another device".into(),
            })?;
            binding.bind_input(name.as_str(), &buffer.value).map_err(fail)?;
        }
        for name in &self.outputs {
            binding.bind_output_to_device(name.as_str(), &self.place).map_err(fail)?;
        }
        Ok(binding)
    }
}

impl Executable for OrtExecutable {
    fn graph(&self) -> &Graph {
        &self.graph
    }

    fn memory(&self) -> MemoryPlan {
        self.memory
    }

    fn run(&self, inputs: &[BufferRef], control: &Control) -> Result<Vec<BufferRef>, RunError> {
        check_inputs(&self.graph, inputs)?;
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if control.is_cancelled() {
            return Err(RunError::Cancelled);
        }
        let fail = |e: ort::Error| RunError::Device(DeviceError::Internal(e.to_string()));
        let options = Arc::new(RunOptions::new().map_err(fail)?);
        let binding = self.bound(&session, inputs)?;
        let _guard = control.on_cancel({
            let options = options.clone();
            move || drop(options.terminate())
        });
        let made = session.run_binding_with_options(&binding, &options);
        if control.is_cancelled() {
            return Err(RunError::Cancelled);
        }
        let mut made = made.map_err(|e| self.blame(&e))?;
        let take = |(name, output): (&String, &kinograph_graph::Output)| {
            let value =
                made.remove(name).ok_or_else(|| internal(format!("ONNX Runtime gave no output `{name}`")))?;
            let desc = self.graph.value(output.value).desc.clone();
            Ok(Arc::new(OrtBuffer::new(desc, value)) as BufferRef)
        };
        self.outputs.iter().zip(self.graph.outputs()).map(take).collect()
    }
}

impl OrtExecutable {
    /// An index outside a table is the caller's data; everything else is the device's failure.
    fn blame(&self, error: &ort::Error) -> RunError {
        let message = error.to_string();
        let node = self.graph.nodes().iter().find(|node| message.contains(&format!("Name:'{}'", node.name)));
        match node {
            Some(node) if message.contains("indices element out of data bounds") => {
                RunError::Data { node: node.name.clone(), reason: message }
            }
            _ if message.contains("Failed to allocate") => {
                RunError::Device(DeviceError::OutOfMemory { bytes: self.memory.run })
            }
            _ => RunError::Device(DeviceError::Internal(message)),
        }
    }
}
