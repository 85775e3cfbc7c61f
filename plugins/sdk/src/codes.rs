//! Codes of the interface, and errors as statuses.

use kinograph_backend::{CompileError, DeviceError, RunError};
use kinograph_graph::{DType, Graph};
use kinograph_plugin_abi::*;

/// A failure as the interface tells it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: KinographPluginStatus,
    pub(crate) message: String,
    pub(crate) bytes: u64,
    /// The position of a node.
    pub(crate) node: Option<usize>,
}

impl Failure {
    pub(crate) fn new(status: KinographPluginStatus, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), bytes: 0, node: None }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(KINOGRAPH_PLUGIN_INVALID, message)
    }

    /// What a backend says while it compiles a graph.
    pub(crate) fn of_compile(error: &CompileError, graph: &Graph) -> Self {
        match error {
            CompileError::Unsupported { node, refusal, .. } => Self {
                node: position(graph, node),
                ..Self::new(KINOGRAPH_PLUGIN_UNSUPPORTED, refusal.to_string())
            },
            CompileError::Device(error) => error.clone().into(),
            other => Self::invalid(other.to_string()),
        }
    }

    /// What a backend says while it runs a graph.
    pub(crate) fn of_run(error: &RunError, graph: &Graph) -> Self {
        match error {
            RunError::Cancelled => Self::new(KINOGRAPH_PLUGIN_CANCELLED, error.to_string()),
            RunError::Data { node, reason } => {
                Self { node: position(graph, node), ..Self::new(KINOGRAPH_PLUGIN_DATA, reason) }
            }
            RunError::Device(error) => error.clone().into(),
            other => Self::invalid(other.to_string()),
        }
    }
}

fn position(graph: &Graph, name: &str) -> Option<usize> {
    graph.nodes().iter().position(|node| node.name == name)
}

impl From<DeviceError> for Failure {
    fn from(error: DeviceError) -> Self {
        match error {
            DeviceError::OutOfMemory { bytes } => {
                Self { bytes, ..Self::new(KINOGRAPH_PLUGIN_OUT_OF_MEMORY, error.to_string()) }
            }
            DeviceError::Lost(reason) => Self::new(KINOGRAPH_PLUGIN_LOST, reason),
            other => Self::new(KINOGRAPH_PLUGIN_INTERNAL, other.to_string()),
        }
    }
}

pub(crate) fn dtype_code(dtype: DType) -> KinographPluginDType {
    match dtype {
        DType::F32 => KINOGRAPH_PLUGIN_DTYPE_F32,
        DType::F16 => KINOGRAPH_PLUGIN_DTYPE_F16,
        DType::BF16 => KINOGRAPH_PLUGIN_DTYPE_BF16,
        DType::I8 => KINOGRAPH_PLUGIN_DTYPE_I8,
        DType::U8 => KINOGRAPH_PLUGIN_DTYPE_U8,
        DType::I32 => KINOGRAPH_PLUGIN_DTYPE_I32,
        DType::I64 => KINOGRAPH_PLUGIN_DTYPE_I64,
        DType::Bool => KINOGRAPH_PLUGIN_DTYPE_BOOL,
    }
}

pub(crate) fn dtype_of(code: KinographPluginDType) -> Result<DType, Failure> {
    let found = DType::ALL.into_iter().find(|&dtype| dtype_code(dtype) == code);
    found.ok_or_else(|| Failure::invalid(format!("{code} is no element type")))
}
