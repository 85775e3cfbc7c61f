use std::collections::HashMap;

use crate::{Graph, GraphBuilder, Limits, Node, OpError, Source, ValueId};

/// Makes a graph of some nodes of another, in the order in which they are added. It has those weights that are read.
pub(super) struct Cut<'g> {
    graph: &'g Graph,
    builder: GraphBuilder,
    map: HashMap<ValueId, ValueId>,
}

impl<'g> Cut<'g> {
    pub(super) fn new(graph: &'g Graph) -> Self {
        // The graph was within its host's limits, which may be wider than the default ones.
        let builder = GraphBuilder::with_limits(graph.name(), Limits::none());
        Self { graph, builder, map: HashMap::new() }
    }

    /// Takes a value as an input of that name.
    pub(super) fn input(&mut self, id: ValueId, name: &str) -> Result<(), OpError> {
        let own = self.builder.input(name, self.graph.value(id).desc.clone())?;
        self.map.insert(id, own);
        Ok(())
    }

    /// Takes a value as a weight of that name.
    pub(super) fn weight(&mut self, id: ValueId, name: &str) -> Result<ValueId, OpError> {
        let own = self.builder.weight(name, self.graph.value(id).desc.clone())?;
        self.map.insert(id, own);
        Ok(own)
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
        mut self,
        outputs: impl IntoIterator<Item = (String, ValueId)>,
    ) -> Result<Graph, OpError> {
        let outputs = outputs.into_iter().map(|(name, id)| Ok((name, self.own(id)?)));
        let outputs = outputs.collect::<Result<Vec<_>, OpError>>()?;
        self.builder.finish(outputs)
    }

    fn own(&mut self, id: ValueId) -> Result<ValueId, OpError> {
        let value = self.graph.value(id);
        match self.map.get(&id) {
            Some(&own) => Ok(own),
            None if value.source == Source::Weight => self.weight(id, &value.name),
            None => Err(OpError::invalid(format!("`{}` is read where it is not made", value.name))),
        }
    }
}
