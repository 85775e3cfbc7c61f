use crate::{Graph, Node, Source, ValueId};

/// What a node is to the chains of a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Membership {
    /// No member.
    Alone,
    /// A member whose result only its chain reads.
    Inner,
    /// The last of a chain of these nodes (positions in [`Graph::nodes`]), in order; it may be the only one.
    Last(Vec<usize>),
}

/// How long a chain may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainLimits {
    /// The most nodes.
    pub nodes: usize,
    /// The most values that it reads and does not make.
    pub inputs: usize,
}

/// For each node, what it is to a chain: nodes that a backend computes in one pass, without storing what lies between. A
/// node joins the chain of the one node that reads its result when `member` says yes to both and their output shapes
/// are equal.
pub fn chains(graph: &Graph, limits: ChainLimits, member: impl Fn(&Node) -> bool) -> Vec<Membership> {
    let nodes = graph.nodes();
    let uses = use_counts(graph);
    let mut chains: Vec<Option<Vec<usize>>> = Vec::with_capacity(nodes.len());
    let mut inner = vec![false; nodes.len()];
    for (at, node) in nodes.iter().enumerate() {
        if !member(node) {
            chains.push(None);
            continue;
        }
        let mut members = vec![at];
        for id in node.inputs.iter().flatten() {
            let Source::Node(maker) = graph.value(*id).source else { continue };
            let same = graph.value(*id).desc.shape == graph.value(node.outputs[0]).desc.shape;
            let Some(chain) = chains[maker.index()].as_ref().filter(|_| same && uses[id.index()] == 1) else {
                continue;
            };
            let joined: Vec<usize> = chain.iter().chain(&members).copied().collect();
            if joined.len() <= limits.nodes && chain_inputs(graph, &joined).len() <= limits.inputs {
                members = joined;
                inner[maker.index()] = true;
            }
        }
        members.sort_unstable();
        chains.push(Some(members));
    }
    let ends = chains.into_iter().zip(inner);
    ends.map(|(chain, inner)| match chain {
        None => Membership::Alone,
        Some(_) if inner => Membership::Inner,
        Some(members) => Membership::Last(members),
    })
    .collect()
}

/// The values that these nodes read and do not make, without repeats, in the order in which they are read first.
pub fn chain_inputs(graph: &Graph, members: &[usize]) -> Vec<ValueId> {
    let made: Vec<ValueId> = members.iter().map(|&m| graph.nodes()[m].outputs[0]).collect();
    let mut inputs = Vec::new();
    for id in members.iter().flat_map(|&m| graph.nodes()[m].inputs.iter().flatten()) {
        if !made.contains(id) && !inputs.contains(id) {
            inputs.push(*id);
        }
    }
    inputs
}

/// How often each value is read, an output of the graph counting as reading it beyond any chain.
fn use_counts(graph: &Graph) -> Vec<usize> {
    let mut uses = vec![0; graph.values().len()];
    for id in graph.nodes().iter().flat_map(|n| n.inputs.iter().flatten()) {
        uses[id.index()] += 1;
    }
    for output in graph.outputs() {
        uses[output.value.index()] += 2;
    }
    uses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, GraphBuilder, TensorDesc, ops};

    #[test]
    fn a_value_read_twice_ends_a_chain() {
        let op = |name| ops::find(name).unwrap();
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", TensorDesc::new(DType::F32, [4])).unwrap();
        let e = b.node(op("Exp"), &[Some(x)], [], "e").unwrap()[0];
        let twice = b.node(op("Add"), &[Some(e), Some(e)], [], "twice").unwrap()[0];
        let n = b.node(op("Neg"), &[Some(twice)], [], "n").unwrap()[0];
        let graph = b.finish([("n", n)]).unwrap();
        let found = chains(&graph, ChainLimits { nodes: 8, inputs: 4 }, |_| true);
        assert_eq!(found, [Membership::Last(vec![0]), Membership::Inner, Membership::Last(vec![1, 2])]);
        assert_eq!(chain_inputs(&graph, &[1, 2]), [e]);
        let short = chains(&graph, ChainLimits { nodes: 1, inputs: 4 }, |_| true);
        assert_eq!(short[1], Membership::Last(vec![1]));
    }
}
