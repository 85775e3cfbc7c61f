use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

use crate::{Graph, GraphBuilder, OpError, Source, ValueId};

/// A part of a graph as a graph of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The part. Its inputs and outputs are those below, in this order; weights keep their names.
    pub graph: Graph,
    /// The values of the whole graph that it reads.
    pub inputs: Vec<ValueId>,
    /// The values of the whole graph that it makes for others.
    pub outputs: Vec<ValueId>,
}

/// Orders the nodes of a graph so that few changes of owner happen, and gives the runs of one owner: the owner and the
/// positions of its nodes. `owner` tells whose each node is, by its position.
///
/// Of all nodes that could run, those of the present owner go first, so that each run is as long as it can be.
pub fn runs_by_owner(graph: &Graph, owner: &[usize]) -> Vec<(usize, Vec<usize>)> {
    let (mut waiting, readers) = dependencies(graph);
    let mut ready: BTreeSet<usize> = (0..graph.nodes().len()).filter(|&n| waiting[n] == 0).collect();
    let mut runs: Vec<(usize, Vec<usize>)> = Vec::new();
    while let Some(&first) = ready.first() {
        let own = runs.last().map(|(owner, _)| *owner);
        let next = ready.iter().copied().find(|&n| Some(owner[n]) == own).unwrap_or(first);
        ready.remove(&next);
        match runs.last_mut() {
            Some((last, nodes)) if *last == owner[next] => nodes.push(next),
            _ => runs.push((owner[next], vec![next])),
        }
        for &reader in &readers[next] {
            waiting[reader] -= 1;
            if waiting[reader] == 0 {
                ready.insert(reader);
            }
        }
    }
    runs
}

/// For each node how many inputs come from nodes, and which nodes read it (as often as they do).
fn dependencies(graph: &Graph) -> (Vec<usize>, Vec<Vec<usize>>) {
    let count = graph.nodes().len();
    let (mut waiting, mut readers) = (vec![0; count], vec![Vec::new(); count]);
    for (n, node) in graph.nodes().iter().enumerate() {
        for &id in node.inputs.iter().flatten() {
            if let Source::Node(maker) = graph.value(id).source {
                waiting[n] += 1;
                readers[maker.index()].push(n);
            }
        }
    }
    (waiting, readers)
}

/// Some nodes of a graph as a graph of its own.
///
/// # Errors
/// When a position is beyond the nodes, or the nodes are in no order in which they can run.
pub fn extract(graph: &Graph, nodes: &[usize]) -> Result<Part, OpError> {
    let mut builder = GraphBuilder::with_limits(graph.name(), crate::Limits::none());
    let mut known: HashMap<ValueId, ValueId> = HashMap::new();
    let mut inputs = Vec::new();
    for &n in nodes {
        let node = graph.nodes().get(n).ok_or_else(|| OpError::invalid(format!("there is no node {n}")))?;
        let mut operands = Vec::with_capacity(node.inputs.len());
        for input in &node.inputs {
            let Some(id) = *input else {
                operands.push(None);
                continue;
            };
            let own = match known.entry(id) {
                Entry::Occupied(entry) => *entry.get(),
                Entry::Vacant(entry) => {
                    let value = graph.value(id);
                    *entry.insert(match value.source {
                        Source::Weight => builder.weight(&value.name, value.desc.clone())?,
                        _ => {
                            inputs.push(id);
                            // Values of one name are told apart by their position.
                            builder.input(&format!("{}@{}", value.name, id.index()), value.desc.clone())?
                        }
                    })
                }
            };
            operands.push(Some(own));
        }
        let attrs = node.attrs.iter().map(|(name, value)| (name.to_owned(), value.clone()));
        let made = builder.node(node.op, &operands, attrs, &node.name)?;
        known.extend(node.outputs.iter().copied().zip(made));
    }
    let outputs = read_outside(graph, nodes);
    let named = outputs.iter().map(|id| (format!("{}@{}", graph.value(*id).name, id.index()), known[id]));
    Ok(Part { graph: builder.finish(named)?, inputs, outputs })
}

/// The values made by some nodes that others read, or the graph gives.
fn read_outside(graph: &Graph, nodes: &[usize]) -> Vec<ValueId> {
    let inside: BTreeSet<usize> = nodes.iter().copied().collect();
    let others = graph.nodes().iter().enumerate().filter(|(n, _)| !inside.contains(n));
    let mut wanted: BTreeSet<ValueId> =
        others.flat_map(|(_, node)| node.inputs.iter().flatten().copied()).collect();
    wanted.extend(graph.outputs().iter().map(|output| output.value));
    let made = nodes.iter().flat_map(|&n| graph.nodes()[n].outputs.iter().copied());
    made.filter(|id| wanted.contains(id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, TensorDesc, ops};

    /// a = exp(x), b = sqrt(x), c = exp(a), d = sqrt(b), y = c * w + d.
    fn graph() -> Graph {
        let mut b = GraphBuilder::new("two");
        let desc = TensorDesc::new(DType::F32, [2]);
        let x = b.input("x", desc.clone()).unwrap();
        let w = b.weight("w", desc).unwrap();
        let mut node = |op, inputs: &[ValueId], name| {
            let inputs: Vec<_> = inputs.iter().map(|&i| Some(i)).collect();
            b.node(ops::find(op).unwrap(), &inputs, [], name).unwrap()[0]
        };
        let (a, r) = (node("Exp", &[x], "a"), node("Sqrt", &[x], "b"));
        let (c, d) = (node("Exp", &[a], "c"), node("Sqrt", &[r], "d"));
        let p = node("Mul", &[c, w], "p");
        let y = node("Add", &[p, d], "y");
        b.finish([("y", y)]).unwrap()
    }

    #[test]
    fn runs_are_as_long_as_dependencies_allow() {
        // Sqrt belongs to 1, the rest to 0: all of one, all of the other, then the end.
        let runs = runs_by_owner(&graph(), &[0, 1, 0, 1, 0, 0]);
        assert_eq!(runs, [(0, vec![0, 2, 4]), (1, vec![1, 3]), (0, vec![5])]);
        assert_eq!(runs_by_owner(&graph(), &[7; 6]), [(7, vec![0, 1, 2, 3, 4, 5])]);
    }

    #[test]
    fn a_part_reads_and_gives_what_crosses_its_border() {
        let whole = graph();
        let part = extract(&whole, &[0, 2, 4]).unwrap();
        let names = |ids: &[ValueId]| ids.iter().map(|&id| whole.value(id).name.clone()).collect::<Vec<_>>();
        assert_eq!((names(&part.inputs), names(&part.outputs)), (vec!["x".into()], vec!["p".to_string()]));
        assert_eq!(part.graph.value(part.graph.weights()[0]).name, "w");
        let last = extract(&whole, &[5]).unwrap();
        assert_eq!(names(&last.inputs), ["p", "d"]);
    }
}
