use super::emit::{Emit, Made};
use crate::exact::Slices;
use crate::{Graph, Node, OpError};

/// The graph with each `exact.` op that `keep` does not name written in ordinary ops: those of `f32` whose results are
/// exact or rounded once to nearest even, however a device computes them (docs/reproducible.md, "The primitives").
///
/// # Errors
/// An op that cannot be written so.
pub fn expand(graph: &Graph, keep: impl Fn(&Graph, &Node) -> bool) -> Result<Graph, OpError> {
    let mut emit = Emit::new(graph)?;
    for node in graph.nodes() {
        emit.begin(node);
        if !node.op.name.starts_with("exact.") || keep(graph, node) {
            emit.copy(node)?;
            continue;
        }
        let made = written(&mut emit, node)?;
        emit.set(node.outputs[0], made);
    }
    emit.finish()
}

/// One op in ordinary ops.
fn written(emit: &mut Emit<'_>, node: &Node) -> Made {
    let slices = || {
        Slices::from_count(node.attrs.int("slices")?)
            .ok_or_else(|| OpError::invalid("there are 1 or 2 slices"))
    };
    let first = emit.required(node, 0)?;
    match node.op.name {
        "exact.Flush" => emit.clean(first),
        "exact.Add" => emit.required(node, 1).and_then(|b| emit.clean_add(first, b)),
        "exact.Sub" => emit.required(node, 1).and_then(|b| emit.clean_sub(first, b)),
        "exact.Mul" => emit.required(node, 1).and_then(|b| emit.clean_mul(first, b)),
        "exact.Sigmoid" => emit.sigmoid(first),
        "exact.Swish" => emit.swish(first, crate::exact::flush(node.attrs.float("alpha")? as f32)),
        "exact.Exp" => emit.exp_wide(first),
        "exact.Tanh" => emit.tanh(first),
        "exact.Gelu" if node.attrs.str("approximate")? == "tanh" => emit.gelu_tanh(first),
        "exact.Gelu" => emit.gelu(first),
        "exact.Sin" => emit.wave(first, false),
        "exact.Cos" => emit.wave(first, true),
        "exact.Linear" => emit.linear(node, slices()?),
        "exact.MatMul" => emit.mat_mul(node, slices()?),
        "exact.Conv" => emit.conv(node, slices()?),
        "exact.RMSNormalization" => emit.norm(node, slices()?, false),
        "exact.LayerNormalization" => emit.norm(node, slices()?, true),
        "exact.Attention" => emit.attention(node, slices()?),
        "exact.Softmax" => emit.softmax(node, slices()?),
        other => Err(OpError::invalid(format!("{other} is not written in ordinary ops"))),
    }
}
