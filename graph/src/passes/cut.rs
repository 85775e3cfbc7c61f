use std::collections::HashMap;

use super::remove_dead;
use crate::{Graph, GraphBuilder, Limits, Node, OpError, ValueId};

/// Makes a graph of some nodes of another, in the order in which they are added.
pub(super) struct Cut<'g> {
    graph: &'g Graph,
    builder: GraphBuilder,
    map: HashMap<ValueId, ValueId>,
}

impl<'g> Cut<'g> {
    /// With all weights of the graph; those that are not read are dropped in the end.
    pub(super) fn new(graph: &'g Graph) -> Result<Self, OpError> {
        // The graph was within its host's limits, which may be wider than the default ones.
        let builder = GraphBuilder::with_limits(graph.name(), Limits::none());
        let mut cut = Self { graph, builder, map: HashMap::new() };
        for &id in graph.weights() {
            cut.weight(id, &graph.value(id).name)?;
        }
        Ok(cut)
    }

    /// Takes a value as an input of that name.
    pub(super) fn input(&mut self, id: ValueId, name: &str) -> Result<(), OpError> {
        let own = self.builder.input(name, self.graph.value(id).desc.clone())?;
        self.map.insert(id, own);
        Ok(())
    }

    /// Takes a value as a weight of that name.
    pub(super) fn weight(&mut self, id: ValueId, name: &str) -> Result<(), OpError> {
        let own = self.builder.weight(name, self.graph.value(id).desc.clone())?;
        self.map.insert(id, own);
        Ok(())
    }

    /// Adds a node, all of whose inputs are there.
    pub(super) fn node(&mut self, node: &Node) -> Result<(), OpError> {
        let inputs = node.inputs.iter().map(|id| id.map(|id| self.own(id)).transpose());
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        let names: Vec<String> = node.outputs.iter().map(|&id| self.graph.value(id).name.clone()).collect();
        let attrs = node.attrs.clone();
        let made = self.builder.checked_node(node.op, &inputs, attrs, &node.name, &names, node.line)?;
        self.map.extend(node.outputs.iter().copied().zip(made));
        Ok(())
    }

    /// The graph that gives these values under these names.
    pub(super) fn finish(
        self,
        outputs: impl IntoIterator<Item = (String, ValueId)>,
    ) -> Result<Graph, OpError> {
        let outputs = outputs.into_iter().map(|(name, id)| Ok((name, self.own(id)?)));
        let outputs = outputs.collect::<Result<Vec<_>, OpError>>()?;
        remove_dead(&self.builder.finish(outputs)?)
    }

    fn own(&self, id: ValueId) -> Result<ValueId, OpError> {
        let name = || format!("`{}` is read where it is not made", self.graph.value(id).name);
        self.map.get(&id).copied().ok_or_else(|| OpError::invalid(name()))
    }
}
