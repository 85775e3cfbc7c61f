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
    /// The most of them beside those of its head, where it has one.
    pub beside_head: usize,
}

/// How a node may take part in a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Not at all.
    None,
    /// It makes an element of its result from an element of each operand: anywhere in a chain.
    Member,
    /// It computes in another way, and a chain may work on its elements before they are stored: at most one in a chain.
    Head,
}

/// For each node, what it is to a chain: nodes that a backend computes in one pass, without storing what lies between. A
/// node joins the chain of the one node that reads its result when the roles of both allow it and their output shapes
/// are equal.
pub fn chains(graph: &Graph, limits: ChainLimits, role: impl Fn(&Node) -> Role) -> Vec<Membership> {
    let nodes = graph.nodes();
    let uses = use_counts(graph);
    let roles: Vec<Role> = nodes.iter().map(role).collect();
    let fits =
        |members: &[usize]| members.len() <= limits.nodes && inputs_fit(graph, limits, &roles, members);
    let mut chains: Vec<Option<Vec<usize>>> = Vec::with_capacity(nodes.len());
    let mut inner = vec![false; nodes.len()];
    for (at, node) in nodes.iter().enumerate() {
        let mut members = vec![at];
        let joinable = if roles[at] == Role::Member { &node.inputs[..] } else { &[] };
        for id in joinable.iter().flatten() {
            let Source::Node(maker) = graph.value(*id).source else { continue };
            let same = graph.value(*id).desc.shape == graph.value(node.outputs[0]).desc.shape;
            let Some(chain) = chains[maker.index()].as_ref().filter(|_| same && uses[id.index()] == 1) else {
                continue;
            };
            let mut joined: Vec<usize> = chain.iter().chain(&members).copied().collect();
            joined.sort_unstable();
            if fits(&joined) {
                members = joined;
                inner[maker.index()] = true;
            }
        }
        chains.push((roles[at] != Role::None).then_some(members));
    }
    let ends = chains.into_iter().zip(inner);
    ends.map(|(chain, inner)| match chain {
        None => Membership::Alone,
        Some(_) if inner => Membership::Inner,
        Some(members) => Membership::Last(members),
    })
    .collect()
}

/// Whether these nodes have at most one head and read no more than a chain may.
fn inputs_fit(graph: &Graph, limits: ChainLimits, roles: &[Role], members: &[usize]) -> bool {
    let heads = members.iter().filter(|&&m| roles[m] == Role::Head).count();
    if heads == 0 {
        return chain_inputs(graph, members).len() <= limits.inputs;
    }
    let made = |id: &ValueId| members.iter().any(|&m| graph.nodes()[m].outputs[0] == *id);
    let others: Vec<usize> = members.iter().copied().filter(|&m| roles[m] != Role::Head).collect();
    let beside = chain_inputs(graph, &others).iter().filter(|id| !made(id)).count();
    heads == 1 && beside <= limits.beside_head
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

/// How often each value is read. To be an output of the graph counts twice, so that what is read once is read by one node alone.
pub fn use_counts(graph: &Graph) -> Vec<usize> {
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
        let found = chains(&graph, ChainLimits { nodes: 8, inputs: 4, beside_head: 0 }, |_| Role::Member);
        assert_eq!(found, [Membership::Last(vec![0]), Membership::Inner, Membership::Last(vec![1, 2])]);
        assert_eq!(chain_inputs(&graph, &[1, 2]), [e]);
        let short = chains(&graph, ChainLimits { nodes: 1, inputs: 4, beside_head: 0 }, |_| Role::Member);
        assert_eq!(short[1], Membership::Last(vec![1]));
    }

    /// silu(x w) * (x v): two heads, of which one joins.
    #[test]
    fn a_chain_has_one_head_and_reads_little_beside_it() {
        let op = |name| ops::find(name).unwrap();
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", TensorDesc::new(DType::F32, [4, 4])).unwrap();
        let gate = b.node(op("MatMul"), &[Some(x), Some(x)], [], "gate").unwrap()[0];
        let opened = b.node(op("Swish"), &[Some(gate)], [], "opened").unwrap()[0];
        let up = b.node(op("MatMul"), &[Some(x), Some(x)], [], "up").unwrap()[0];
        let product = b.node(op("Mul"), &[Some(opened), Some(up)], [], "product").unwrap()[0];
        let graph = b.finish([("product", product)]).unwrap();
        let role = |node: &Node| if node.op.name == "MatMul" { Role::Head } else { Role::Member };
        let found = |beside_head| chains(&graph, ChainLimits { nodes: 8, inputs: 0, beside_head }, role);
        let (alone, inner) = (|at| Membership::Last(vec![at]), Membership::Inner);
        assert_eq!(found(1), [inner.clone(), inner.clone(), alone(2), Membership::Last(vec![0, 1, 3])]);
        assert_eq!(found(0), [inner, Membership::Last(vec![0, 1]), alone(2), alone(3)]);
    }
}
