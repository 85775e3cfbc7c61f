//! From a graph to the list of dispatches that computes it.

mod attention;
mod builder;
mod conv;
mod elementwise;
mod exact;
mod expression;
mod movement;
mod operands;
mod products;
mod reduce;
mod weight;

use kinograph_backend::{CompileError, DeviceError, Refusal, Support};
use kinograph_graph::passes::{self, ChainLimits, Membership, Role};
use kinograph_graph::{Graph, Node, OpError};

use builder::{Builder, LowerError, Lowered};
pub(crate) use builder::{Halves, Origin, Step, Storage, Traits};
pub(crate) use exact::Form;
pub(crate) use weight::{Lay, WeightPart, WeightSource, WholeWeight};

use crate::layout::{Root, View};
use crate::shader::Tail;
use crate::words::device_bytes;

/// A lowered graph.
pub(crate) struct Plan {
    pub(crate) storages: Vec<Storage>,
    pub(crate) steps: Vec<Step>,
    pub(crate) constants: Vec<Vec<u8>>,
    /// The storage of each output, which is whole and dense.
    pub(crate) outputs: Vec<Root>,
    pub(crate) status: Option<Root>,
}

/// Adds the steps of one node.
type Rule = fn(&mut Builder<'_>, &Node) -> Lowered;

fn rule(op: &str) -> Option<Rule> {
    Some(match op {
        "MatMul" => products::mat_mul,
        "Linear" => products::linear,
        "Conv" => conv::conv,
        "ConvTranspose" => conv::conv_transpose,
        "Attention" => attention::attention,
        "RotaryEmbedding" => attention::rotary,
        "Softmax" => reduce::softmax,
        "RMSNormalization" => reduce::rms_norm,
        "LayerNormalization" => reduce::layer_norm,
        "GroupNormalization" => reduce::group_norm,
        "ReduceSum" | "ReduceMean" | "ReduceMax" | "ReduceMin" => reduce::reduce,
        "ArgMax" => reduce::arg_max,
        "Gather" => movement::gather,
        "Identity" | "Reshape" => movement::reshape,
        "Transpose" => movement::transpose,
        "Concat" => movement::concat,
        "Slice" => movement::slice,
        "Split" => movement::split,
        "Pad" => movement::pad,
        "Tile" => movement::tile,
        "Expand" => movement::expand,
        "Resize" => movement::resize,
        "Constant" | "Iota" | "video.RelativeBuckets" => movement::made,
        "video.SinusoidalEmbedding" => movement::sinusoidal,
        "exact.Linear" => exact::linear,
        "exact.MatMul" => exact::mat_mul,
        "exact.Conv" => exact::conv,
        "exact.Attention" => exact::attend,
        "exact.RMSNormalization" => exact::rms_norm,
        "exact.LayerNormalization" => exact::layer_norm,
        _ => return None,
    })
}

fn lower_alone(b: &mut Builder<'_>, node: &Node) -> Lowered {
    match rule(node.op.name) {
        Some(rule) => rule(b, node),
        None if expression::is_member(b.graph, node) => elementwise::chain(b, &[node]),
        None => Err(Refusal::Op.into()),
    }
}

/// How a node takes part in chains.
fn role(graph: &Graph, node: &Node) -> Role {
    if rule(node.op.name).is_none() {
        return if expression::is_member(graph, node) { Role::Member } else { Role::None };
    }
    if takes_tail(graph, node) { Role::Head } else { Role::None }
}

/// Whether a node's kernel works on its results before it stores them, and is all that its rule adds.
fn takes_tail(graph: &Graph, node: &Node) -> bool {
    let shape = |i: usize| node.input(i).map(|id| &graph.value(id).desc.shape[..]).unwrap_or_default();
    let some = |elements: &[usize]| !elements.is_empty() && !elements.contains(&0);
    let made = node.outputs.first().is_some_and(|&out| some(&graph.value(out).desc.shape));
    made && match node.op.name {
        "Linear" | "MatMul" | "exact.Linear" | "exact.MatMul" => {
            shape(0).last().is_some_and(|&inner| inner > 0)
        }
        "Conv" | "exact.Conv" => shape(1).get(1..).is_some_and(some),
        "RMSNormalization" | "LayerNormalization" | "exact.RMSNormalization" | "exact.LayerNormalization" => {
            reduce::in_place(node, shape(0).len())
        }
        "GroupNormalization" => true,
        _ => false,
    }
}

/// Adds the steps of a chain: one, where its head's kernel takes the rest as a tail.
fn lower_chain(b: &mut Builder<'_>, members: &[&Node]) -> Lowered {
    let head = members.iter().position(|node| rule(node.op.name).is_some());
    let (Some(head), Some(last)) = (head, members.last()) else { return elementwise::chain(b, members) };
    let mut others = members.to_vec();
    let head = others.remove(head);
    if others.is_empty() {
        return lower_alone(b, head);
    }
    let (own, result) = (head.outputs[0], last.outputs[0]);
    if !b.desc(own).dtype.is_float() || !b.desc(result).dtype.is_float() {
        lower_alone(b, head)?;
        return elementwise::chain(b, &others);
    }
    let tail = elementwise::tail(b, &others, own)?;
    // The head's kernel writes the chain's result.
    let out = b.view(result)?;
    b.set(own, View { dtype: b.desc(own).dtype, ..out });
    b.with_tail(tail, |b| lower_alone(b, head))
}

/// Whether there are kernels for a node: whether lowering it alone succeeds.
pub(crate) fn support(graph: &Graph, node: &Node, traits: Traits) -> Support {
    let mut builder = Builder::new(graph, WeightSource::Declared, traits);
    match lower_alone(&mut builder, node) {
        Ok(()) => Support::Yes,
        Err(LowerError::Refused(refusal)) => Support::No(refusal),
        Err(LowerError::Compile(error)) => Support::No(Refusal::Other(error.to_string())),
    }
}

/// Lowers a graph.
pub(crate) fn lower(
    graph: &Graph,
    weights: WeightSource<'_>,
    traits: Traits,
    device: &str,
) -> Result<Plan, CompileError> {
    let internal = |e: OpError| CompileError::Device(DeviceError::Internal(e.to_string()));
    let live = passes::remove_dead(graph).map_err(internal)?;
    let bindings = traits.bindings.min(8);
    let beside_head = bindings.saturating_sub(Tail::FIRST - 1);
    let limits = ChainLimits { nodes: 24, inputs: bindings.saturating_sub(1), beside_head };
    let chains = passes::chains(&live, limits, |node| role(&live, node));
    let mut builder = Builder::new(&live, weights, traits);
    for (at, node) in live.nodes().iter().enumerate() {
        let lowered = match &chains[at] {
            Membership::Alone => lower_alone(&mut builder, node),
            Membership::Inner => Ok(()),
            Membership::Last(members) => {
                let members: Vec<&Node> = members.iter().map(|&m| &live.nodes()[m]).collect();
                lower_chain(&mut builder, &members)
            }
        };
        lowered.map_err(|error| unsupported(error, node, device))?;
    }
    let outputs = outputs(&mut builder, device)?;
    let status = builder.status_root();
    let Builder { storages, steps, constants, .. } = builder;
    Ok(Plan { storages, steps, constants, outputs, status })
}

fn unsupported(error: LowerError, node: &Node, device: &str) -> CompileError {
    match error {
        LowerError::Compile(error) => error,
        LowerError::Refused(refusal) => CompileError::Unsupported {
            node: node.name.clone(),
            op: node.op.name.to_owned(),
            device: device.to_owned(),
            refusal,
        },
    }
}

/// The storages of the outputs: what no step made, what is part of another or is given twice is copied.
fn outputs(builder: &mut Builder<'_>, device: &str) -> Result<Vec<Root>, CompileError> {
    let mut roots: Vec<Root> = Vec::new();
    for output in builder.graph.outputs() {
        // A node stands for the copy in messages; a graph of inputs alone has none, and copies nothing that could fail.
        let node = builder.graph.nodes().last();
        let copied = |builder: &mut Builder<'_>| -> Result<Root, LowerError> {
            let view = builder.view(output.value)?;
            let own = matches!(builder.storages[view.root].origin, Origin::Step);
            // As a buffer of its type keeps it.
            let half = builder.traits.halves.of(view.dtype);
            let bytes = device_bytes(view.dtype, half, view.elements());
            let whole = view.start == 0 && builder.storages[view.root].bytes == bytes && view.half == half;
            if own && whole && view.is_dense() && !roots.contains(&view.root) {
                return Ok(view.root);
            }
            let out = builder.temporary(view.dtype, half, &view.shape)?;
            elementwise::copy(builder, node.map_or("output", |n| n.name.as_str()), &view, &out)?;
            Ok(out.root)
        };
        let root = copied(builder).map_err(|error| match (error, node) {
            (error, Some(node)) => unsupported(error, node, device),
            (LowerError::Compile(error), None) => error,
            (LowerError::Refused(refusal), None) => DeviceError::Internal(refusal.to_string()).into(),
        })?;
        roots.push(root);
    }
    Ok(roots)
}
