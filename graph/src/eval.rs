//! The reference run of a whole graph, node by node in f64.

use crate::{Args, Graph, OpError, Tensor, ValueId};

/// Evaluates a graph with the references of its ops. `feed` gives the tensor of each input and
/// weight. Slow by design: it is the meaning of a graph, to hold backends against.
///
/// # Errors
/// Those of `feed` and of the ops' references; a tensor of another shape than the graph's.
pub fn evaluate(
    graph: &Graph,
    mut feed: impl FnMut(&str) -> Result<Tensor, OpError>,
) -> Result<Vec<Tensor>, OpError> {
    let mut values: Vec<Option<Tensor>> = vec![None; graph.values().len()];
    for &id in graph.inputs().iter().chain(graph.weights()) {
        let value = graph.value(id);
        let tensor = feed(&value.name)?;
        if tensor.shape() != value.desc.shape {
            return Err(OpError::invalid(format!(
                "`{}` must be {}, but {} was fed",
                value.name,
                value.desc,
                tensor.desc()
            )));
        }
        values[id.index()] = Some(tensor);
    }
    for node in graph.nodes() {
        let inputs: Vec<Option<&Tensor>> =
            node.inputs.iter().map(|id| id.and_then(|id: ValueId| values[id.index()].as_ref())).collect();
        let outputs = (node.op.reference)(&Args { op: node.op, inputs: &inputs, attrs: &node.attrs })?;
        for (&id, tensor) in node.outputs.iter().zip(outputs) {
            values[id.index()] = Some(tensor);
        }
    }
    let take = |id: ValueId| {
        values[id.index()]
            .clone()
            .ok_or_else(|| OpError::invalid(format!("`{}` was not computed", graph.value(id).name)))
    };
    graph.outputs().iter().map(|o| take(o.value)).collect()
}
