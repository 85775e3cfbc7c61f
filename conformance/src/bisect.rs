//! Which node goes wrong first.
//!
//! A prefix of the graph, run alone with all that later nodes would read as its outputs, tells whether the fault lies in it.
//! Halving finds the shortest wrong prefix; its last node is then run by itself on exact inputs.

use std::fmt;

use kinograph_backend::Device;
use kinograph_graph::OpError;
use serde::{Deserialize, Serialize};

use crate::oracle::{Mode, Values};
use crate::problem::{Problem, Spread};

/// The first node whose result is out of bounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Divergence {
    /// Its name.
    pub node: String,
    /// Its op.
    pub op: String,
    /// Its position among the nodes, from 0, and their number.
    pub position: (usize, usize),
    /// True when the device gets it wrong by itself too, on exact inputs; false when only what runs before or beside it
    /// makes it wrong.
    pub alone: bool,
    /// What it makes.
    pub made: String,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (position, count) = self.position;
        let how = if self.alone { "wrong by itself too" } else { "right by itself, wrong in this graph" };
        write!(
            f,
            "the first wrong node is `{}` ({}), {} of {count}, {}: {how}",
            self.node,
            self.op,
            position.saturating_add(1),
            self.made
        )
    }
}

/// Finds the first wrong node. `None` when every prefix is right, as when the device is only wrong about a graph as a whole.
///
/// # Errors
/// When the reference refuses the data. A prefix that the device does not run counts as wrong.
pub fn bisect(problem: &Problem, device: &dyn Device) -> Result<Option<Divergence>, OpError> {
    let values = problem.evaluate(Mode::Exact)?;
    let spreads = problem.spreads(&values)?;
    let search = Search { problem, device, values, spreads };
    let count = problem.graph().nodes().len();
    // Shortest wrong prefix in (right, wrong].
    let (mut right, mut wrong) = (0, count);
    if !search.is_wrong(count)? {
        return search.first_alone(count);
    }
    while wrong - right > 1 {
        let middle = usize::midpoint(right, wrong);
        if search.is_wrong(middle)? {
            wrong = middle;
        } else {
            right = middle;
        }
    }
    let position = wrong - 1;
    if search.is_wrong_alone(position)? {
        return Ok(Some(search.divergence(position, true)));
    }
    // The bounds of a prefix grow with it, and may have hidden a small fault before.
    match search.first_alone(position)? {
        Some(earlier) => Ok(Some(earlier)),
        None => Ok(Some(search.divergence(position, false))),
    }
}

struct Search<'a> {
    problem: &'a Problem,
    device: &'a dyn Device,
    values: Values,
    spreads: Vec<Spread>,
}

impl Search<'_> {
    /// Whether a value that leaves the first nodes is out of bounds.
    fn is_wrong(&self, nodes: usize) -> Result<bool, OpError> {
        let nodes: Vec<usize> = (0..nodes).collect();
        let (part, outputs) = self.problem.part(&nodes, &self.values)?;
        let Ok(answer) = part.on(self.device) else { return Ok(true) };
        let is_wrong = |(id, found): (&kinograph_graph::ValueId, &kinograph_backend::HostTensor)| {
            let Some(exact) = &self.values[id.index()] else { return false };
            let rounded = exact.map(|v| exact.dtype().quantize(v));
            let found = found.data().to_f64();
            // Rounding alone is no fault, even where nothing else may happen.
            let same = |(r, f): (&f64, &f64)| r == f || (r.is_nan() && f.is_nan());
            !rounded.data().iter().zip(&found).all(same)
                && self.spreads[id.index()].share(Spread::between(exact.data(), &found)) > 1.0
        };
        Ok(outputs.iter().zip(&answer.outputs).any(is_wrong))
    }

    /// Whether a node by itself, on exact inputs rounded to their types, is out of the bound of its op.
    fn is_wrong_alone(&self, node: usize) -> Result<bool, OpError> {
        let (part, _) = self.problem.part(&[node], &self.values)?;
        let due = part.due()?;
        let Ok(answer) = part.on(self.device) else { return Ok(true) };
        Ok(!due.judge(String::new(), &answer.outputs).passed())
    }

    fn first_alone(&self, nodes: usize) -> Result<Option<Divergence>, OpError> {
        for node in 0..nodes {
            if self.is_wrong_alone(node)? {
                return Ok(Some(self.divergence(node, true)));
            }
        }
        Ok(None)
    }

    fn divergence(&self, position: usize, alone: bool) -> Divergence {
        let graph = self.problem.graph();
        let node = &graph.nodes()[position];
        let made: Vec<String> = node.outputs.iter().map(|&id| graph.value(id).desc.to_string()).collect();
        Divergence {
            node: node.name.clone(),
            op: node.op.name.to_owned(),
            position: (position, graph.nodes().len()),
            alone,
            made: made.join(", "),
        }
    }
}
