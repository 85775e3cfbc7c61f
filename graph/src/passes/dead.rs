use super::cut::Cut;
use crate::{Graph, OpError};

/// The graph without the nodes and weights that no output depends on. Inputs stay, so that the
/// graph is called as before.
///
/// # Errors
/// None for a graph made by this crate; the result is built and checked like any other.
pub fn remove_dead(graph: &Graph) -> Result<Graph, OpError> {
    let mut cut = Cut::new(graph);
    graph.inputs().iter().try_for_each(|&id| cut.input(id, &graph.value(id).name))?;
    let mut live = graph.nodes().iter().zip(live_nodes(graph)).filter(|(_, live)| *live);
    live.try_for_each(|(node, _)| cut.node(node))?;
    cut.finish(graph.outputs().iter().map(|o| (o.name.clone(), o.value)))
}

/// For each node, whether an output depends on it.
fn live_nodes(graph: &Graph) -> Vec<bool> {
    let mut wanted = vec![false; graph.values().len()];
    for output in graph.outputs() {
        wanted[output.value.index()] = true;
    }
    let mut live = vec![false; graph.nodes().len()];
    for (i, node) in graph.nodes().iter().enumerate().rev() {
        live[i] = node.outputs.iter().any(|o| wanted[o.index()]);
        if live[i] {
            node.inputs.iter().flatten().for_each(|id| wanted[id.index()] = true);
        }
    }
    live
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, GraphBuilder, TensorDesc, ops};

    #[test]
    fn drops_what_nothing_reads() {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", TensorDesc::new(DType::F32, [2])).unwrap();
        let w = b.weight("unused", TensorDesc::new(DType::F32, [2])).unwrap();
        let add = ops::find("Add").unwrap();
        b.node(add, &[Some(x), Some(w)], [], "dead").unwrap();
        let y = b.node(add, &[Some(x), Some(x)], [], "live").unwrap()[0];
        let graph = remove_dead(&b.finish([("y", y)]).unwrap()).unwrap();
        assert_eq!(graph.nodes().len(), 1);
        assert_eq!(graph.nodes()[0].name, "live");
        assert!(graph.weights().is_empty());
        assert_eq!(graph.inputs().len(), 1);
    }
}
