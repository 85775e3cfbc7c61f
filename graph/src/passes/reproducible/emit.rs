//! Writing nodes one after the other.

use std::collections::HashMap;

use crate::{
    Attr, DType, Graph, GraphBuilder, Limits, Node, OpError, Source, TensorDesc, ValueId, exact, ops,
};

/// A graph under construction out of the nodes of another.
pub(super) struct Emit<'g> {
    pub(super) graph: &'g Graph,
    pub(super) builder: GraphBuilder,
    map: Vec<Option<ValueId>>,
    constants: HashMap<u32, ValueId>,
    /// The node that is being written anew.
    name: String,
    count: usize,
}

pub(super) type Made = Result<ValueId, OpError>;

impl<'g> Emit<'g> {
    pub(super) fn new(graph: &'g Graph) -> Result<Self, OpError> {
        // The graph was within its host's limits, which may be wider than the default ones.
        let mut builder = GraphBuilder::with_limits(graph.name(), Limits::none());
        let mut map = vec![None; graph.values().len()];
        for &id in graph.inputs() {
            let value = graph.value(id);
            map[id.index()] = Some(builder.input(&value.name, value.desc.clone())?);
        }
        for &id in graph.weights() {
            let value = graph.value(id);
            map[id.index()] = Some(builder.weight(&value.name, value.desc.clone())?);
        }
        Ok(Self { graph, builder, map, constants: HashMap::new(), name: String::new(), count: 0 })
    }

    /// Begins with a node: what is made from now on carries its name.
    pub(super) fn begin(&mut self, node: &Node) {
        (self.name, self.count) = (node.name.clone(), 0);
    }

    /// What stands for a value of the old graph.
    pub(super) fn new_of(&self, id: ValueId) -> Made {
        self.map[id.index()].ok_or_else(|| OpError::invalid("a value is read before it is made"))
    }

    /// Says what stands for a value of the old graph.
    pub(super) fn set(&mut self, id: ValueId, new: ValueId) {
        self.map[id.index()] = Some(new);
    }

    /// What stands for an input of a node, if it is given.
    pub(super) fn input(&self, node: &Node, i: usize) -> Result<Option<ValueId>, OpError> {
        node.input(i).map(|id| self.new_of(id)).transpose()
    }

    /// What stands for a required input of a node.
    pub(super) fn required(&self, node: &Node, i: usize) -> Made {
        self.input(node, i)?.ok_or_else(|| OpError::invalid(format!("input {i} is missing")))
    }

    pub(super) fn shape(&self, id: ValueId) -> Vec<usize> {
        self.builder.desc(id).shape.clone()
    }

    pub(super) fn desc(&self, id: ValueId) -> &TensorDesc {
        self.builder.desc(id)
    }

    /// Copies a node as it is.
    pub(super) fn copy(&mut self, node: &Node) -> Result<(), OpError> {
        let inputs = self.inputs(node)?;
        let names: Vec<String> = node.outputs.iter().map(|&id| self.graph.value(id).name.clone()).collect();
        // What an earlier node was written as may have this very name.
        let own = self.builder.free_name(node.name.clone());
        let made =
            self.builder.checked_node(node.op, &inputs, node.attrs.clone(), &own, &names, node.line)?;
        node.outputs.iter().zip(made).for_each(|(&old, new)| self.set(old, new));
        Ok(())
    }

    /// What stands for all inputs of a node.
    pub(super) fn inputs(&self, node: &Node) -> Result<Vec<Option<ValueId>>, OpError> {
        (0..node.inputs.len()).map(|i| self.input(node, i)).collect()
    }

    /// Adds a node with one output.
    pub(super) fn op(&mut self, op: &str, inputs: &[ValueId], attrs: &[(&str, Attr)]) -> Made {
        let inputs: Vec<Option<ValueId>> = inputs.iter().copied().map(Some).collect();
        Ok(self.ops(op, &inputs, attrs)?[0])
    }

    /// Adds a node.
    pub(super) fn ops(
        &mut self,
        op: &str,
        inputs: &[Option<ValueId>],
        attrs: &[(&str, Attr)],
    ) -> Result<Vec<ValueId>, OpError> {
        let op = ops::find(op).ok_or_else(|| OpError::invalid(format!("there is no op {op}")))?;
        self.count += 1;
        let name = self.builder.free_name(format!("{}/{}", self.name, self.count));
        let attrs = attrs.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        self.builder.node(op, inputs, attrs, &name)
    }

    /// Ends with the outputs of the old graph.
    pub(super) fn finish(self) -> Result<Graph, OpError> {
        let outputs: Vec<(String, ValueId)> = self
            .graph
            .outputs()
            .iter()
            .map(|o| Ok((o.name.clone(), self.new_of(o.value)?)))
            .collect::<Result<_, OpError>>()?;
        super::super::remove_dead(&self.builder.finish(outputs)?)
    }

    /// A number.
    pub(super) fn number(&mut self, value: f32) -> Made {
        if let Some(&known) = self.constants.get(&value.to_bits()) {
            return Ok(known);
        }
        let made = self.tensor(&[value], &[])?;
        self.constants.insert(value.to_bits(), made);
        Ok(made)
    }

    /// Numbers.
    pub(super) fn tensor(&mut self, values: &[f32], shape: &[usize]) -> Made {
        let values = values.iter().map(|&v| f64::from(v)).collect();
        self.op("Constant", &[], &[("value", Attr::Floats(values)), ("shape", ints(shape))])
    }

    pub(super) fn add(&mut self, a: ValueId, b: ValueId) -> Made {
        self.op("Add", &[a, b], &[])
    }

    pub(super) fn sub(&mut self, a: ValueId, b: ValueId) -> Made {
        self.op("Sub", &[a, b], &[])
    }

    pub(super) fn mul(&mut self, a: ValueId, b: ValueId) -> Made {
        self.op("Mul", &[a, b], &[])
    }

    pub(super) fn times(&mut self, a: ValueId, factor: f32) -> Made {
        let factor = self.number(factor)?;
        self.mul(a, factor)
    }

    pub(super) fn plus(&mut self, a: ValueId, term: f32) -> Made {
        let term = self.number(term)?;
        self.add(a, term)
    }

    /// term - a.
    pub(super) fn minus_from(&mut self, term: f32, a: ValueId) -> Made {
        let term = self.number(term)?;
        self.sub(term, a)
    }

    pub(super) fn one(&mut self, op: &str, a: ValueId) -> Made {
        self.op(op, &[a], &[])
    }

    pub(super) fn below(&mut self, a: ValueId, limit: f32) -> Made {
        let limit = self.number(limit)?;
        self.op("Less", &[a, limit], &[])
    }

    pub(super) fn at_least(&mut self, a: ValueId, limit: f32) -> Made {
        let limit = self.number(limit)?;
        self.op("Max", &[a, limit], &[])
    }

    pub(super) fn at_most(&mut self, a: ValueId, limit: f32) -> Made {
        let limit = self.number(limit)?;
        self.op("Min", &[a, limit], &[])
    }

    pub(super) fn select(&mut self, condition: ValueId, yes: ValueId, no: ValueId) -> Made {
        self.op("Where", &[condition, yes, no], &[])
    }

    /// One of two numbers.
    pub(super) fn choose(&mut self, condition: ValueId, yes: f32, no: f32) -> Made {
        let (yes, no) = (self.number(yes)?, self.number(no)?);
        self.select(condition, yes, no)
    }

    /// F, of a number that is not NaN.
    pub(super) fn flush(&mut self, a: ValueId) -> Made {
        let most = f64::from(f32::MAX);
        let a = self.op("Clip", &[a], &[("min", Attr::Float(-most)), ("max", Attr::Float(most))])?;
        let magnitude = self.one("Abs", a)?;
        let tiny = self.below(magnitude, exact::TINY)?;
        let zero = self.number(0.0)?;
        self.select(tiny, zero, a)
    }

    pub(super) fn clean_add(&mut self, a: ValueId, b: ValueId) -> Made {
        let sum = self.add(a, b)?;
        self.flush(sum)
    }

    pub(super) fn clean_sub(&mut self, a: ValueId, b: ValueId) -> Made {
        let difference = self.sub(a, b)?;
        self.flush(difference)
    }

    pub(super) fn clean_mul(&mut self, a: ValueId, b: ValueId) -> Made {
        let product = self.mul(a, b)?;
        self.flush(product)
    }

    /// F of anything.
    pub(super) fn clean(&mut self, a: ValueId) -> Made {
        let number = self.op("Equal", &[a, a], &[])?;
        let zero = self.number(0.0)?;
        let a = self.select(number, a, zero)?;
        self.flush(a)
    }

    pub(super) fn reshape(&mut self, a: ValueId, shape: &[usize]) -> Made {
        if self.builder.desc(a).shape == shape {
            return Ok(a);
        }
        self.op("Reshape", &[a], &[("shape", ints(shape))])
    }

    pub(super) fn transpose(&mut self, a: ValueId, perm: &[usize]) -> Made {
        if perm.windows(2).all(|pair| pair[0] < pair[1]) {
            return Ok(a);
        }
        self.op("Transpose", &[a], &[("perm", ints(perm))])
    }

    /// With the last two axes exchanged.
    pub(super) fn flip(&mut self, a: ValueId) -> Made {
        let rank = self.builder.desc(a).rank();
        let mut perm: Vec<usize> = (0..rank).collect();
        perm.swap(rank - 2, rank - 1);
        self.transpose(a, &perm)
    }

    pub(super) fn expand(&mut self, a: ValueId, shape: &[usize]) -> Made {
        if self.builder.desc(a).shape == shape {
            return Ok(a);
        }
        self.op("Expand", &[a], &[("shape", ints(shape))])
    }

    /// A range along an axis.
    pub(super) fn slice(&mut self, a: ValueId, axis: usize, range: std::ops::Range<usize>) -> Made {
        if range == (0..self.builder.desc(a).shape[axis]) {
            return Ok(a);
        }
        let attrs = [("starts", ints(&[range.start])), ("ends", ints(&[range.end])), ("axes", ints(&[axis]))];
        self.op("Slice", &[a], &attrs)
    }

    pub(super) fn reduce(&mut self, op: &str, a: ValueId, axes: &[usize]) -> Made {
        self.op(op, &[a], &[("axes", ints(axes)), ("keepdims", Attr::Bool(true))])
    }

    pub(super) fn cast(&mut self, a: ValueId, to: DType) -> Made {
        self.op("Cast", &[a], &[("to", Attr::Str(to.name().to_owned()))])
    }

    /// Whether a value of the old graph is a weight.
    pub(super) fn is_weight(&self, id: ValueId) -> bool {
        self.graph.value(id).source == Source::Weight
    }
}

/// Sizes as an attribute.
pub(super) fn ints(values: &[usize]) -> Attr {
    Attr::Ints(values.iter().map(|&v| v as i64).collect())
}
