//! From a graph to the list of steps that computes it.

mod builder;
mod compute;
mod elementwise;
mod exact;
mod folded;
mod make;
mod movement;
mod packed;
mod reduce;

use kinograph_backend::{CompileError, DeviceError, Refusal, Support};
use kinograph_graph::passes::{self, Membership};
use kinograph_graph::{Graph, Node};

pub(crate) use packed::PackedWeights;

pub(crate) use builder::{Builder, LowerError, Mapped, Origin, Step, Val, Value, WeightSource};

use crate::memory::Constant;

/// A lowered graph.
pub(crate) struct Lowered {
    pub(crate) values: Vec<Value>,
    pub(crate) steps: Vec<Step>,
    pub(crate) constants: Vec<Constant>,
    pub(crate) mapped: Vec<Mapped>,
    /// Bytes of all constants.
    pub(crate) copied: u64,
    /// The outputs of the graph.
    pub(crate) outputs: Vec<Val>,
}

/// Adds the steps of one node.
type Rule = fn(&mut Builder<'_>, &Node) -> Result<(), LowerError>;

/// The rule for an op that is not elementwise.
fn rule(op: &str) -> Option<Rule> {
    Some(match op {
        "MatMul" => compute::mat_mul,
        "Linear" => compute::linear,
        "Conv" => compute::conv,
        "ConvTranspose" => compute::conv_transpose,
        "Attention" => compute::attention,
        "RotaryEmbedding" => compute::rotary,
        "Softmax" => reduce::softmax,
        "RMSNormalization" => reduce::rms_norm,
        "LayerNormalization" => reduce::layer_norm,
        "GroupNormalization" => reduce::group_norm,
        "ReduceSum" | "ReduceMean" | "ReduceMax" | "ReduceMin" => reduce::reduce,
        "ArgMax" => reduce::arg_max,
        "Gather" => movement::gather,
        "Identity" | "Reshape" => movement::alias,
        "Transpose" => movement::transpose,
        "Concat" => movement::concat,
        "Slice" => movement::slice,
        "Split" => movement::split,
        "Pad" => movement::pad,
        "Tile" => movement::tile,
        "Expand" => movement::expand,
        "Resize" => movement::resize,
        "Constant" => make::constant,
        "Iota" => make::iota,
        "video.SinusoidalEmbedding" => make::sinusoidal,
        "video.RelativeBuckets" => make::relative_buckets,
        "exact.Linear" => exact::linear,
        "exact.Conv" => exact::conv,
        "exact.Attention" => exact::attention,
        "exact.RMSNormalization" => exact::rms_norm,
        "exact.LayerNormalization" => exact::layer_norm,
        _ => return None,
    })
}

/// Whether there is a kernel for a node.
pub(crate) fn support(graph: &Graph, node: &Node) -> Support {
    // What has no kernel of its own is written in ordinary ops.
    if node.op.name.starts_with("exact.")
        || rule(node.op.name).is_some()
        || elementwise::is_elementwise(graph, node)
    {
        return Support::Yes;
    }
    Support::No(Refusal::Op)
}

/// Lowers a graph whose dead nodes are gone.
pub(crate) fn lower(
    graph: &Graph,
    weights: WeightSource<'_>,
    packed: &PackedWeights,
    device: &str,
) -> Result<Lowered, CompileError> {
    let live = passes::remove_dead(graph).map_err(|e| DeviceError::Internal(e.to_string()))?;
    let live = passes::expand(&live, exact::has_kernel).map_err(|e| DeviceError::Internal(e.to_string()))?;
    let mut builder = Builder::new(&live, weights, packed);
    let chains = elementwise::chains(&live);
    for (at, node) in live.nodes().iter().enumerate() {
        if builder.folded.contains(at) {
            continue;
        }
        let lowered = match &chains[at] {
            Membership::Alone => match rule(node.op.name) {
                Some(rule) => rule(&mut builder, node),
                None => elementwise::other(&mut builder, node),
            },
            Membership::Inner => Ok(()),
            Membership::Last(members) => elementwise::chain(&mut builder, members),
        };
        lowered.map_err(|error| match error {
            LowerError::Compile(error) => error,
            LowerError::Refused(refusal) => CompileError::Unsupported {
                node: node.name.clone(),
                op: node.op.name.to_owned(),
                device: device.to_owned(),
                refusal,
            },
        })?;
    }
    let outputs = live.outputs().iter().map(|o| builder.value(o.value)).collect::<Result<_, _>>()?;
    let Builder { values, steps, constants, mapped, copied, .. } = builder;
    Ok(Lowered { values, steps, constants, mapped, copied, outputs })
}
