use super::cut::Cut;
use super::{Part, extract, made_by, remove_dead};
use crate::{DType, Graph, OpError, Source, ValueId};

/// A graph cut into what depends on weights alone, and the rest.
#[derive(Clone, Debug, PartialEq)]
pub struct Prelude {
    /// What depends on weights alone: it has no inputs, and is run once.
    pub part: Part,
    /// The rest, which reads the outputs of `part` as weights of these names.
    pub names: Vec<String>,
    /// The rest.
    pub rest: Graph,
}

impl Prelude {
    /// The type of something that is made, by its name.
    pub fn made(&self, name: &str) -> Option<DType> {
        let mut outputs = self.names.iter().zip(self.part.graph.outputs());
        let (_, output) = outputs.find(|(known, _)| *known == name)?;
        Some(self.part.graph.value(output.value).desc.dtype)
    }
}

/// Cuts a graph so that what depends on weights alone need not be computed in every run; nothing when there is no such.
///
/// # Errors
/// None for a graph made by this crate; the results are built and checked like any other.
pub fn prelude(graph: &Graph) -> Result<Option<Prelude>, OpError> {
    let early = depends_on_weights(graph);
    let nodes: Vec<usize> = (0..early.len()).filter(|&n| early[n]).collect();
    if nodes.is_empty() {
        return Ok(None);
    }
    let part = extract(graph, &with_constants(graph, &early))?;
    let crossing: Vec<ValueId> =
        part.outputs.iter().copied().filter(|&id| made_by(graph, id).is_some_and(|n| early[n])).collect();
    let part = only(graph, &part, &crossing)?;
    // A graph may be the rest of another.
    let mut prefix = "prepared/".to_owned();
    while graph.weights().iter().any(|&id| graph.value(id).name.starts_with(&prefix)) {
        prefix.push_str("again/");
    }
    let names: Vec<String> = (0..crossing.len()).map(|i| format!("{prefix}{}/{i}", graph.name())).collect();
    let known: Vec<_> = crossing.iter().copied().zip(names.iter().map(String::as_str)).collect();
    let rest = rest(graph, &early, &known)?;
    Ok(Some(Prelude { part, names, rest }))
}

/// For each node, whether it depends on at least one weight and, but for constants, on nothing else.
fn depends_on_weights(graph: &Graph) -> Vec<bool> {
    let mut early = vec![false; graph.nodes().len()];
    for (n, node) in graph.nodes().iter().enumerate() {
        let mut weights = 0;
        let fits = node.inputs.iter().flatten().all(|&id| match graph.value(id).source {
            Source::Input => false,
            Source::Weight => {
                weights += 1;
                true
            }
            Source::Node(maker) => {
                weights += usize::from(early[maker.index()]);
                early[maker.index()] || graph.nodes()[maker.index()].inputs.is_empty()
            }
        });
        early[n] = fits && weights > 0;
    }
    early
}

/// The early nodes with the constants that they read.
fn with_constants(graph: &Graph, early: &[bool]) -> Vec<usize> {
    let mut wanted = early.to_vec();
    for node in graph.nodes().iter().zip(early).filter(|(_, early)| **early).map(|(node, _)| node) {
        node.inputs.iter().flatten().filter_map(|&id| made_by(graph, id)).for_each(|n| wanted[n] = true);
    }
    (0..wanted.len()).filter(|&n| wanted[n]).collect()
}

/// A part with some of its outputs.
fn only(graph: &Graph, part: &Part, outputs: &[ValueId]) -> Result<Part, OpError> {
    let mut cut = Cut::new(&part.graph);
    part.graph.nodes().iter().try_for_each(|node| cut.node(node))?;
    let chosen = part.outputs.iter().zip(part.graph.outputs()).filter(|(id, _)| outputs.contains(id));
    let chosen =
        chosen.map(|(&id, output)| (format!("{}/{}", graph.value(id).name, id.index()), output.value));
    Ok(Part { graph: remove_dead(&cut.finish(chosen)?)?, inputs: Vec::new(), outputs: outputs.to_vec() })
}

/// The nodes that are not early, reading what the early ones make as weights.
fn rest(graph: &Graph, early: &[bool], known: &[(ValueId, &str)]) -> Result<Graph, OpError> {
    let mut cut = Cut::new(graph);
    graph.inputs().iter().try_for_each(|&id| cut.input(id, &graph.value(id).name))?;
    known.iter().try_for_each(|&(id, name)| cut.weight(id, name).map(drop))?;
    let mut late = graph.nodes().iter().zip(early).filter(|(_, early)| !**early);
    late.try_for_each(|(node, _)| cut.node(node))?;
    remove_dead(&cut.finish(graph.outputs().iter().map(|o| (o.name.clone(), o.value)))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, GraphBuilder, TensorDesc, ops};

    #[test]
    fn what_depends_on_weights_alone_comes_first() {
        let mut b = GraphBuilder::new("g");
        let desc = TensorDesc::new(DType::F32, [2]);
        let (x, w) = (b.input("x", desc.clone()).unwrap(), b.weight("w", desc).unwrap());
        let op = |name| ops::find(name).unwrap();
        let one = b
            .node(op("Constant"), &[], [("value".to_owned(), crate::Attr::Floats(vec![1.0]))], "one")
            .unwrap()[0];
        let early = b.node(op("Add"), &[Some(w), Some(one)], [], "early").unwrap()[0];
        let early = b.node(op("Neg"), &[Some(early)], [], "later").unwrap()[0];
        let y = b.node(op("Mul"), &[Some(x), Some(early)], [], "late").unwrap()[0];
        let y = b.node(op("Add"), &[Some(y), Some(one)], [], "last").unwrap()[0];
        let cut = prelude(&b.finish([("y", y)]).unwrap()).unwrap().unwrap();
        assert_eq!(cut.part.graph.nodes().len(), 3);
        assert_eq!(cut.part.graph.outputs().len(), 1);
        assert!(cut.part.graph.inputs().is_empty());
        assert_eq!(cut.rest.nodes().len(), 3);
        assert_eq!(cut.rest.weights().len(), 1);
        assert_eq!(cut.rest.value(cut.rest.weights()[0]).name, cut.names[0]);
    }
}
