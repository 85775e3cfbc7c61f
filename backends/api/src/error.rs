use kinograph_graph::DType;

/// Why a device does not take a node.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It has no kernel for the op.
    #[error("no kernel for this op")]
    Op,
    /// It has no kernel for an element type.
    #[error("no kernel for {0}")]
    DType(DType),
    /// It has no kernel for tensors of that rank.
    #[error("no kernel for rank {0}")]
    Rank(usize),
    /// It has no kernel for the value of an attribute.
    #[error("attribute `{name}`: {reason}")]
    Attribute {
        /// The attribute.
        name: String,
        /// What it lacks.
        reason: String,
    },
    /// Another reason, in words.
    #[error("{0}")]
    Other(String),
}

/// What can happen to a device.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// It has no room for so many bytes.
    #[error("the device is out of memory: {bytes} more bytes are needed")]
    OutOfMemory {
        /// What was asked for.
        bytes: u64,
    },
    /// It is gone; preparing again may open a new one.
    #[error("the device was lost: {0}")]
    Lost(String),
    /// Anything else.
    #[error("{0}")]
    Internal(String),
}

/// Why a graph was not compiled.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The device does not take a node.
    #[error("node `{node}` ({op}): {device} does not take it: {refusal}")]
    Unsupported {
        /// The node.
        node: String,
        /// Its op.
        op: String,
        /// The device's id.
        device: String,
        /// Why.
        refusal: Refusal,
    },
    /// The weight files lack a tensor.
    #[error("the weight `{0}` is not in the weight files; the graph needs it")]
    MissingWeight(String),
    /// A tensor in the weight files does not fit the graph.
    #[error("the weight `{name}`: {reason}")]
    Weight {
        /// The weight.
        name: String,
        /// What does not fit.
        reason: String,
    },
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// Why a run ended without a result.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// It was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// An input does not fit the graph.
    #[error("the input `{name}` {reason}")]
    Input {
        /// The input.
        name: String,
        /// What does not fit.
        reason: String,
    },
    /// The data of an input is outside what an op takes, such as an index beyond a table.
    #[error("node `{node}`: {reason}")]
    Data {
        /// The node.
        node: String,
        /// What is wrong.
        reason: String,
    },
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
}
