//! Lowers a [`Graph`] to ONNX for libraries that run ONNX.
//!
//! The result is a [`Model`] in memory; whoever hands it to a library writes it as that library wants it. Weights stay
//! where they are: the model only names them. Whether a node can be lowered is answered by lowering it, so that
//! [`support`] and [`lower`] cannot disagree.
//!
//! Where ONNX means something else than the op table (NaN, saturation, empty attention, division by zero), the lowering
//! writes what the table says in ops whose meaning is fixed.
#![forbid(unsafe_code)]

mod builder;
mod lower;
mod model;
mod target;

use kinograph_backend::{CompileError, StoredTypes, Support};
use kinograph_graph::{Graph, Node as GraphNode};

pub use model::{Attr, Data, Initializer, Io, MICROSOFT, Model, Node, ONNX};
pub use target::Target;

use builder::Builder;

/// Whether a node can be lowered for a target.
pub fn support(graph: &Graph, node: &GraphNode, target: &Target) -> Support {
    let mut builder = Builder::new(graph, target, &|_| None);
    match lower::node(&mut builder, node) {
        Ok(()) => Support::Yes,
        Err(refusal) => Support::No(refusal),
    }
}

/// Lowers a graph. `stored` tells the type that each weight is stored in; one that it does not know counts as stored in
/// the type that the graph computes in.
///
/// # Errors
/// [`CompileError::Unsupported`] for the first node that the target does not take, in the name of the device.
pub fn lower(
    graph: &Graph,
    target: &Target,
    stored: StoredTypes<'_>,
    device: &str,
) -> Result<Model, CompileError> {
    let mut builder = Builder::new(graph, target, stored);
    for node in graph.nodes() {
        lower::node(&mut builder, node).map_err(|refusal| CompileError::Unsupported {
            node: node.name.clone(),
            op: node.op.name.to_owned(),
            device: device.to_owned(),
            refusal,
        })?;
    }
    Ok(builder.finish())
}
