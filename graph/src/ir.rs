//! The flat, static, typed graph that backends compile.

use std::collections::{HashMap, HashSet};

use crate::infer::infer;
use crate::{Attr, Attrs, Limits, OpDef, OpError, TensorDesc};

/// A value of one [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(u32);

/// A node of one [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

impl ValueId {
    /// The position in [`Graph::values`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl NodeId {
    /// The position in [`Graph::nodes`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// An input of the graph.
    Input,
    /// A weight, by its name in the weight files.
    Weight,
    /// An output of a node.
    Node(NodeId),
}

/// A tensor that flows through the graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// Its name; of a weight, the name in the weight files.
    pub name: String,
    /// Its type and shape. A weight appears with the type it is computed in (`f32` unless the file
    /// says otherwise); how it is stored is a matter of the weight file and the backend.
    pub desc: TensorDesc,
    /// Where it comes from.
    pub source: Source,
}

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its name, unique in the graph.
    pub name: String,
    /// Its row of the op table.
    pub op: &'static OpDef,
    /// What it reads; `None` where an optional input is left out.
    pub inputs: Vec<Option<ValueId>>,
    /// What it makes.
    pub outputs: Vec<ValueId>,
    /// Its checked attributes.
    pub attrs: Attrs,
    /// The line of the file it came from, 0 when made by a program.
    pub line: usize,
}

impl Node {
    /// The input at a position, if given.
    pub fn input(&self, i: usize) -> Option<ValueId> {
        self.inputs.get(i).copied().flatten()
    }
}

/// An output of the graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The name by which the caller asks for it.
    pub name: String,
    /// The value.
    pub value: ValueId,
}

/// Something that one run leaves for the next.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Its name.
    pub name: String,
    /// Which of the graph's inputs takes it; none where this graph does not read it.
    pub input: Option<usize>,
    /// Which of the graph's outputs is what the next run sees; none where this graph leaves it as it is.
    pub output: Option<usize>,
}

/// A static graph: all shapes known, nodes in an order in which they can run. It can only be built
/// by [`GraphBuilder`], so a graph that exists is valid.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    name: String,
    values: Vec<Value>,
    nodes: Vec<Node>,
    inputs: Vec<ValueId>,
    weights: Vec<ValueId>,
    outputs: Vec<Output>,
    states: Vec<State>,
}

impl Graph {
    /// The graph's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All values; [`ValueId::index`] is the position.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// All nodes, each after those whose outputs it reads.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The inputs in the order of the file.
    pub fn inputs(&self) -> &[ValueId] {
        &self.inputs
    }

    /// The weights in the order of the file.
    pub fn weights(&self) -> &[ValueId] {
        &self.weights
    }

    /// What a run leaves for the next. The inputs and outputs that carry it come after those of the file, and to a device
    /// they are like any other: whoever calls it hands outputs of one run to the next, beginning with zeros.
    pub fn states(&self) -> &[State] {
        &self.states
    }

    /// The outputs in the order of the file.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// A value of this graph.
    ///
    /// # Panics
    /// When the id belongs to another, larger graph.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.index()]
    }

    /// The number of parameters: elements of all weights.
    pub fn parameters(&self) -> u64 {
        self.weights.iter().map(|&w| self.value(w).desc.elements() as u64).sum()
    }

    /// Floating-point operations of one run, a multiply and an add counting as two.
    pub fn flops(&self) -> u64 {
        self.nodes.iter().map(|n| self.node_flops(n)).fold(0, u64::saturating_add)
    }

    /// Floating-point operations of one node.
    pub fn node_flops(&self, node: &Node) -> u64 {
        let inputs: Vec<Option<&TensorDesc>> =
            node.inputs.iter().map(|id| id.map(|id| &self.value(id).desc)).collect();
        let outputs: Vec<TensorDesc> = node.outputs.iter().map(|&id| self.value(id).desc.clone()).collect();
        (node.op.flops)(&crate::Args { op: node.op, inputs: &inputs, attrs: &node.attrs }, &outputs)
    }
}

/// Builds a [`Graph`] node by node; each is inferred and checked as it is added.
///
/// ```
/// use kinograph_graph::{Attr, DType, GraphBuilder, TensorDesc, ops};
///
/// let mut b = GraphBuilder::new("double");
/// let x = b.input("x", TensorDesc::new(DType::F32, [2, 3]))?;
/// let y = b.node(ops::find("Add").unwrap(), &[Some(x), Some(x)], [], "sum")?[0];
/// let graph = b.finish([("y", y)])?;
/// assert_eq!(graph.nodes().len(), 1);
/// # Ok::<(), kinograph_graph::OpError>(())
/// ```
#[derive(Debug)]
pub struct GraphBuilder {
    graph: Graph,
    limits: Limits,
    weight_ids: HashMap<String, ValueId>,
    node_names: HashSet<String>,
}

impl GraphBuilder {
    /// An empty graph of that name under the default limits.
    pub fn new(name: impl Into<String>) -> Self {
        Self::with_limits(name, Limits::default())
    }

    /// An empty graph of that name under these limits.
    pub fn with_limits(name: impl Into<String>, limits: Limits) -> Self {
        let graph = Graph {
            name: name.into(),
            values: Vec::new(),
            nodes: Vec::new(),
            inputs: Vec::new(),
            weights: Vec::new(),
            outputs: Vec::new(),
            states: Vec::new(),
        };
        Self { graph, limits, weight_ids: HashMap::new(), node_names: HashSet::new() }
    }

    /// Adds an input.
    ///
    /// # Errors
    /// When the name is taken or the description is over a limit.
    pub fn input(&mut self, name: &str, desc: TensorDesc) -> Result<ValueId, OpError> {
        self.limits.check(&desc)?;
        if self.graph.inputs.iter().any(|&id| self.graph.value(id).name == name)
            || self.weight_ids.contains_key(name)
        {
            return Err(OpError::invalid(format!(
                "the input `{name}` is declared twice, or is also a weight"
            )));
        }
        let id = self.push(name, desc, Source::Input)?;
        self.graph.inputs.push(id);
        Ok(id)
    }

    /// Adds a weight, or finds it again: a weight may be declared several times with one shape
    /// (a module used twice under one prefix shares its weights).
    ///
    /// # Errors
    /// When it was declared with another shape, or is over a limit.
    pub fn weight(&mut self, name: &str, desc: TensorDesc) -> Result<ValueId, OpError> {
        if let Some(&id) = self.weight_ids.get(name) {
            let known = &self.graph.value(id).desc;
            return if *known == desc {
                Ok(id)
            } else {
                Err(OpError::invalid(format!("the weight `{name}` is declared as {known} and as {desc}")))
            };
        }
        self.limits.check(&desc)?;
        if self.graph.inputs.iter().any(|&id| self.graph.value(id).name == name) {
            return Err(OpError::invalid(format!("`{name}` is both an input and a weight; rename one")));
        }
        if self.graph.weights.len() >= self.limits.weights {
            return Err(OpError::invalid(format!("more weights than the limit of {}", self.limits.weights)));
        }
        let id = self.push(name, desc, Source::Weight)?;
        self.graph.weights.push(id);
        self.weight_ids.insert(name.to_owned(), id);
        Ok(id)
    }

    /// Adds a node and returns its outputs.
    ///
    /// # Errors
    /// When the op refuses its inputs or attributes, a value is not of this graph, the name is taken, or a limit is
    /// reached.
    pub fn node(
        &mut self,
        op: &'static OpDef,
        inputs: &[Option<ValueId>],
        attrs: impl IntoIterator<Item = (String, Attr)>,
        name: &str,
    ) -> Result<Vec<ValueId>, OpError> {
        let attrs = Attrs::check(op.attrs, attrs)?;
        self.checked_node(op, inputs, attrs, name, &[], 0)
    }

    /// Adds a node whose attributes are checked, naming its outputs (the node's own name where
    /// there is no other).
    pub(crate) fn checked_node(
        &mut self,
        op: &'static OpDef,
        inputs: &[Option<ValueId>],
        attrs: Attrs,
        name: &str,
        output_names: &[String],
        line: usize,
    ) -> Result<Vec<ValueId>, OpError> {
        if self.graph.nodes.len() >= self.limits.nodes {
            return Err(OpError::invalid(format!("more nodes than the limit of {}", self.limits.nodes)));
        }
        inputs.iter().flatten().try_for_each(|&id| self.check_own(id))?;
        let descs: Vec<Option<&TensorDesc>> =
            inputs.iter().map(|id| id.map(|id| &self.graph.value(id).desc)).collect();
        let outputs = infer(op, &descs, &attrs, &self.limits)?;
        if !self.node_names.insert(name.to_owned()) {
            return Err(OpError::invalid(format!("there is a node `{name}` already")));
        }
        let source = Source::Node(NodeId(self.graph.nodes.len() as u32));
        let ids = outputs
            .into_iter()
            .enumerate()
            .map(|(i, desc)| self.push(output_names.get(i).map_or(name, String::as_str), desc, source))
            .collect::<Result<Vec<ValueId>, _>>()?;
        self.graph.nodes.push(Node {
            name: name.to_owned(),
            op,
            inputs: inputs.to_vec(),
            outputs: ids.clone(),
            attrs,
            line,
        });
        Ok(ids)
    }

    /// The type and shape of a value so far.
    pub fn desc(&self, id: ValueId) -> &TensorDesc {
        &self.graph.value(id).desc
    }

    /// The name, or if a node has it already, the name with the first number behind it that is free.
    pub(crate) fn free_name(&self, name: String) -> String {
        if !self.node_names.contains(&name) {
            return name;
        }
        // Counting from the number of nodes makes one step the rule.
        let count = self.graph.nodes.len();
        (count..).map(|n| format!("{name}#{n}")).find(|n| !self.node_names.contains(n)).unwrap_or(name)
    }

    fn check_own(&self, id: ValueId) -> Result<(), OpError> {
        if id.index() < self.graph.values.len() {
            return Ok(());
        }
        Err(OpError::invalid("a value of another graph was given"))
    }

    /// Names the outputs and gives the graph.
    ///
    /// # Errors
    /// When there is none, or a name stands twice.
    pub fn finish<S: Into<String>>(
        mut self,
        outputs: impl IntoIterator<Item = (S, ValueId)>,
    ) -> Result<Graph, OpError> {
        for (name, value) in outputs {
            let name = name.into();
            self.check_own(value)?;
            if self.graph.outputs.iter().any(|o| o.name == name) {
                return Err(OpError::invalid(format!("the output `{name}` is declared twice")));
            }
            self.graph.outputs.push(Output { name, value });
        }
        if self.graph.outputs.is_empty() {
            return Err(OpError::invalid("a graph needs at least one output"));
        }
        Ok(self.graph)
    }

    /// As [`finish`](Self::finish), with states: their names, the inputs that carry them, and what they become.
    pub(crate) fn finish_with_states(
        self,
        outputs: Vec<(String, ValueId)>,
        states: Vec<(String, Option<ValueId>, Option<ValueId>)>,
    ) -> Result<Graph, OpError> {
        let written = states.iter().filter_map(|(name, _, next)| Some((name.clone(), (*next)?)));
        let mut graph = self.finish(outputs.into_iter().chain(written).collect::<Vec<_>>())?;
        let place = |(name, input, next): (String, Option<ValueId>, Option<ValueId>)| State {
            input: input.and_then(|id| graph.inputs.iter().position(|&known| known == id)),
            output: next.and_then(|_| graph.outputs.iter().position(|known| known.name == name)),
            name,
        };
        graph.states = states.into_iter().map(place).collect();
        Ok(graph)
    }

    fn push(&mut self, name: &str, desc: TensorDesc, source: Source) -> Result<ValueId, OpError> {
        let count = self.graph.values.len();
        let id = u32::try_from(count).ok().filter(|_| count < self.limits.values).map(ValueId);
        let id = id.ok_or_else(|| {
            OpError::invalid(format!("more values than the limit of {}", self.limits.values))
        })?;
        self.graph.values.push(Value { name: name.to_owned(), desc, source });
        Ok(id)
    }
}
