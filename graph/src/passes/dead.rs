use crate::{Graph, GraphBuilder, Limits, OpError, Source, ValueId};

/// The graph without the nodes and weights that no output depends on. Inputs stay, so that the
/// graph is called as before.
///
/// # Errors
/// None for a graph made by this crate; the result is built and checked like any other.
pub fn remove_dead(graph: &Graph) -> Result<Graph, OpError> {
    let live = live_nodes(graph);
    // The graph was within its host's limits, which may be wider than the default ones.
    let mut builder = GraphBuilder::with_limits(graph.name(), Limits::none());
    let mut map: Vec<Option<ValueId>> = vec![None; graph.values().len()];
    for &id in graph.inputs() {
        let value = graph.value(id);
        map[id.index()] = Some(builder.input(&value.name, value.desc.clone())?);
    }
    for (node, _) in graph.nodes().iter().zip(live).filter(|(_, live)| *live) {
        for id in node.inputs.iter().flatten() {
            let value = graph.value(*id);
            if value.source == Source::Weight && map[id.index()].is_none() {
                map[id.index()] = Some(builder.weight(&value.name, value.desc.clone())?);
            }
        }
        let inputs: Vec<Option<ValueId>> =
            node.inputs.iter().map(|id| id.and_then(|id| map[id.index()])).collect();
        let names: Vec<String> = node.outputs.iter().map(|&id| graph.value(id).name.clone()).collect();
        let made =
            builder.checked_node(node.op, &inputs, node.attrs.clone(), &node.name, &names, node.line)?;
        for (old, new) in node.outputs.iter().zip(made) {
            map[old.index()] = Some(new);
        }
    }
    let mut outputs = Vec::new();
    for output in graph.outputs() {
        let value = graph.value(output.value);
        let id = match map[output.value.index()] {
            Some(id) => id,
            None => builder.weight(&value.name, value.desc.clone())?,
        };
        outputs.push((output.name.clone(), id));
    }
    builder.finish(outputs)
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
    use crate::{DType, TensorDesc, ops};

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
