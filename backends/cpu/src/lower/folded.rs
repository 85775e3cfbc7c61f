//! Nodes that are no steps of their own, as the convolution that alone reads what they make finds its way in what they are made of.

use kinograph_backend::attributes::{Resampling, axis_of};
use kinograph_graph::passes::{made_by, use_counts};
use kinograph_graph::{DType, Graph, Node, OpError, Source, ValueId};

/// The numbers of such nodes.
pub(crate) struct Folded(Vec<bool>);

/// What a convolution reads.
pub(super) enum Reads {
    /// Its first input.
    One(ValueId),
    /// Two tensors, the second behind the first along the first of three axes.
    Two(ValueId, ValueId),
    /// A smaller tensor, the nearest element along each axis.
    Nearest(ValueId, Vec<Resampling>),
}

impl Reads {
    pub(super) fn first(&self) -> ValueId {
        match self {
            Reads::One(id) | Reads::Two(id, _) | Reads::Nearest(id, _) => *id,
        }
    }
}

impl Folded {
    pub(super) fn of(graph: &Graph) -> Self {
        let uses = use_counts(graph);
        let mut folded = vec![false; graph.nodes().len()];
        for conv in graph.nodes().iter().filter(|node| node.op.name == "Conv") {
            if let Some(at) = maker(graph, conv).filter(|&at| folds(graph, &graph.nodes()[at], conv)) {
                folded[at] = uses[graph.nodes()[at].outputs[0].index()] == 1;
            }
        }
        Self(folded)
    }

    pub(super) fn contains(&self, node: usize) -> bool {
        self.0[node]
    }

    /// What a convolution of the graph reads.
    pub(super) fn reads(&self, graph: &Graph, conv: &Node) -> Result<Reads, OpError> {
        let own = || conv.input(0).ok_or_else(|| OpError::invalid("input 0 is missing"));
        let Some(node) = maker(graph, conv).filter(|&at| self.0[at]).map(|at| &graph.nodes()[at]) else {
            return own().map(Reads::One);
        };
        match node.inputs[..] {
            [Some(first), Some(behind)] if node.op.name == "Concat" => Ok(Reads::Two(first, behind)),
            [Some(x), ..] => {
                let (x_desc, out) = (&graph.value(x).desc, &graph.value(node.outputs[0]).desc);
                Ok(Reads::Nearest(x, Resampling::of(&node.attrs, x_desc, out)?))
            }
            _ => own().map(Reads::One),
        }
    }
}

/// The node that makes what a convolution reads.
fn maker(graph: &Graph, conv: &Node) -> Option<usize> {
    made_by(graph, conv.input(0)?)
}

/// Whether a convolution can read what a node is made of.
fn folds(graph: &Graph, node: &Node, conv: &Node) -> bool {
    let inputs: Vec<_> = node.inputs.iter().flatten().map(|&id| graph.value(id)).collect();
    if !inputs.iter().all(|value| value.desc.dtype == DType::F32 && value.source != Source::Weight) {
        return false;
    }
    match node.op.name {
        // A convolution without taps reads its one input where it lies.
        "Concat" => {
            let taps = conv.input(1).map(|id| &graph.value(id).desc.shape);
            let along_first = axis_of(&node.attrs, inputs[0].desc.rank()).is_ok_and(|axis| axis == 2);
            inputs.len() == 2 && along_first && taps.is_some_and(|w| w.len() == 5 && w[2] > 1)
        }
        "Resize" => node.attrs.str("mode").is_ok_and(|mode| mode == "nearest"),
        _ => false,
    }
}
