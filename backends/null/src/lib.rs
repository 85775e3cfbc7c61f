//! The null backend: it takes every node, checks everything, moves tensors, and computes zeros.
//!
//! It is the template to copy for a new backend, and measures what the runtime costs without kernels.
#![forbid(unsafe_code)]

use std::any::Any;
use std::sync::Arc;

use kinograph_backend::{
    Backend, Buffer, BufferRef, CompileError, Control, Device, DeviceError, DeviceInfo, DeviceOptions,
    Executable, HostData, HostTensor, MemoryPlan, RunError, Support, Weights, check_inputs, check_weight,
};
use kinograph_graph::{Graph, Node, TensorDesc};

/// The backend, with one device of id `null`.
#[derive(Clone, Copy, Debug, Default)]
pub struct NullBackend;

impl Backend for NullBackend {
    fn name(&self) -> &str {
        "null"
    }

    fn devices(&self) -> Result<Vec<DeviceInfo>, DeviceError> {
        Ok(vec![info()])
    }

    fn open(&self, id: &str, options: &DeviceOptions) -> Result<Arc<dyn Device>, DeviceError> {
        if id != "null" {
            return Err(DeviceError::Internal(format!("there is no device `{id}`; there is `null`")));
        }
        if let Some(option) = options.extra.keys().next() {
            return Err(DeviceError::Internal(format!("the null device has no option `{option}`")));
        }
        Ok(Arc::new(NullDevice { info: info() }))
    }
}

fn info() -> DeviceInfo {
    DeviceInfo { id: "null".into(), name: "computes zeros".into(), facts: Vec::new() }
}

struct NullDevice {
    info: DeviceInfo,
}

impl Device for NullDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn support(&self, _: &Graph, _: &Node) -> Support {
        Support::Yes
    }

    fn compile(
        &self,
        graph: Arc<Graph>,
        weights: Arc<dyn Weights>,
    ) -> Result<Arc<dyn Executable>, CompileError> {
        for &id in graph.weights() {
            let value = graph.value(id);
            check_weight(&*weights, &value.name, &value.desc)?;
        }
        Ok(Arc::new(NullExecutable { graph }))
    }

    fn upload(&self, tensor: HostTensor) -> Result<BufferRef, DeviceError> {
        Ok(Arc::new(NullBuffer(tensor)))
    }

    fn download(&self, buffer: &BufferRef) -> Result<HostTensor, DeviceError> {
        match buffer.as_any().downcast_ref::<NullBuffer>() {
            Some(buffer) => Ok(buffer.0.clone()),
            None => Err(DeviceError::Internal("the buffer is of another device".into())),
        }
    }
}

struct NullBuffer(HostTensor);

impl Buffer for NullBuffer {
    fn desc(&self) -> &TensorDesc {
        self.0.desc()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

struct NullExecutable {
    graph: Arc<Graph>,
}

impl Executable for NullExecutable {
    fn graph(&self) -> &Graph {
        &self.graph
    }

    fn memory(&self) -> MemoryPlan {
        MemoryPlan::default()
    }

    fn run(&self, inputs: &[BufferRef], control: &Control) -> Result<Vec<BufferRef>, RunError> {
        check_inputs(&self.graph, inputs)?;
        if control.is_cancelled() {
            return Err(RunError::Cancelled);
        }
        let zeros = |desc: &TensorDesc| {
            let data = HostData::from_f64(desc.dtype, &vec![0.0; desc.elements()]);
            HostTensor::new(desc.shape.clone(), data)
                .map(|t| Arc::new(NullBuffer(t)) as BufferRef)
                .map_err(|e| RunError::Device(DeviceError::Internal(e.to_string())))
        };
        self.graph.outputs().iter().map(|o| zeros(&self.graph.value(o.value).desc)).collect()
    }
}
