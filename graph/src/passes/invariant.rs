use super::cut::Cut;
use super::{made_by, remove_dead};
use crate::{Graph, Node, OpError, Source, ValueId};

/// A graph cut into what stays the same while some of its inputs vary, and the rest.
#[derive(Clone, Debug, PartialEq)]
pub struct Invariant {
    /// What stays the same. Its inputs are those of the graph that do not vary, in their order.
    pub once: Graph,
    /// The rest. Its inputs are those of the graph, in their order, and behind them the outputs of `once`.
    pub rest: Graph,
}

/// What is kept instead of computed must save at least one part in so many of the graph's operations: keeping it costs
/// memory.
const LEAST_SHARE: u64 = 20;

/// Operations for each number it makes, from which on a node is worth being kept instead of computed again.
const WORTH: u64 = 16;

/// Cuts a graph so that what does not depend on the inputs `varying` need not be computed in every run: in sampling, the
/// keys and values that cross-attention makes of the text. Nothing, when that would save less than a twentieth of the
/// operations, or the graph carries states.
///
/// # Errors
/// None for a graph made by this crate; the results are built and checked like any other.
pub fn invariant(graph: &Graph, varying: &[&str]) -> Result<Option<Invariant>, OpError> {
    if !graph.states().is_empty() {
        return Ok(None);
    }
    let graph = &remove_dead(graph)?;
    let kept = kept(graph, &steadiness(graph, varying));
    let saved = (0..kept.len()).filter(|&n| kept[n]).map(|n| graph.node_flops(&graph.nodes()[n]));
    if saved.fold(0, u64::saturating_add).saturating_mul(LEAST_SHARE) < graph.flops().max(1) {
        return Ok(None);
    }
    let crossing = crossing(graph, &kept);
    Ok(Some(Invariant {
        once: once(graph, varying, &kept, &crossing)?,
        rest: rest(graph, &kept, &crossing)?,
    }))
}

/// On what the outputs of a node depend.
#[derive(Clone, Copy, PartialEq)]
enum Steadiness {
    /// Weights and constants alone, which devices see for themselves.
    Weights,
    /// Inputs, but none that varies.
    Steady,
    Varies,
}

fn steadiness(graph: &Graph, varying: &[&str]) -> Vec<Steadiness> {
    use Steadiness::*;
    let mut found: Vec<Steadiness> = Vec::with_capacity(graph.nodes().len());
    for node in graph.nodes() {
        let of = |id: ValueId| match graph.value(id).source {
            Source::Weight => Weights,
            Source::Input if varying.contains(&graph.value(id).name.as_str()) => Varies,
            Source::Input => Steady,
            Source::Node(maker) => found[maker.index()],
        };
        let most = node.inputs.iter().flatten().map(|&id| of(id)).fold(Weights, |a, b| match (a, b) {
            (Varies, _) | (_, Varies) => Varies,
            (Steady, _) | (_, Steady) => Steady,
            _ => Weights,
        });
        found.push(most);
    }
    found
}

/// The steady nodes that are worth it, all steady ones that they need, and those behind them that make no more of it.
fn kept(graph: &Graph, steadiness: &[Steadiness]) -> Vec<bool> {
    let steady = |n: usize| steadiness[n] == Steadiness::Steady;
    let mut kept: Vec<bool> =
        graph.nodes().iter().enumerate().map(|(n, node)| steady(n) && is_worth(graph, node)).collect();
    for (n, node) in graph.nodes().iter().enumerate().rev().filter(|(n, _)| steady(*n)) {
        if kept[n] {
            let makers = node.inputs.iter().flatten().filter_map(|&id| made_by(graph, id));
            makers.filter(|&maker| steady(maker)).for_each(|maker| kept[maker] = true);
        }
    }
    for (n, node) in graph.nodes().iter().enumerate().filter(|(n, _)| steady(*n)) {
        let read = node.inputs.iter().flatten().filter(|&&id| graph.value(id).source != Source::Weight);
        let known = |id: ValueId| made_by(graph, id).is_some_and(|maker| kept[maker]);
        let (mut all, mut bytes) = (true, 0);
        for &id in read {
            all &= known(id);
            bytes += graph.value(id).desc.bytes();
        }
        let makes: usize = node.outputs.iter().map(|&id| graph.value(id).desc.bytes()).sum();
        kept[n] |= all && makes <= bytes;
    }
    kept
}

fn is_worth(graph: &Graph, node: &Node) -> bool {
    let makes: u64 = node.outputs.iter().map(|&id| graph.value(id).desc.elements() as u64).sum();
    graph.node_flops(node) >= makes.saturating_mul(WORTH).max(1)
}

/// The values made by kept nodes that others read, or the graph gives, with names that nothing else has.
fn crossing(graph: &Graph, kept: &[bool]) -> Vec<(ValueId, String)> {
    let mut read = vec![false; graph.values().len()];
    let others = graph.nodes().iter().zip(kept).filter(|(_, kept)| !**kept);
    others.flat_map(|(node, _)| node.inputs.iter().flatten()).for_each(|id| read[id.index()] = true);
    graph.outputs().iter().for_each(|output| read[output.value.index()] = true);
    let made = graph.nodes().iter().zip(kept).filter(|(_, kept)| **kept).flat_map(|(node, _)| &node.outputs);
    let crossing = made.filter(|id| read[id.index()]);
    crossing.map(|&id| (id, format!("{}@{}", graph.value(id).name, id.index()))).collect()
}

fn once(
    graph: &Graph,
    varying: &[&str],
    kept: &[bool],
    crossing: &[(ValueId, String)],
) -> Result<Graph, OpError> {
    let mut cut = Cut::new(graph);
    for &id in graph.inputs() {
        let name = graph.value(id).name.as_str();
        if !varying.contains(&name) {
            cut.input(id, name)?;
        }
    }
    let wanted = with_weights_only(graph, kept);
    let mut nodes = graph.nodes().iter().zip(&wanted).filter(|(_, wanted)| **wanted);
    nodes.try_for_each(|(node, _)| cut.node(node))?;
    cut.finish(crossing.iter().map(|(id, name)| (name.clone(), *id)))
}

/// The kept nodes with all that they read: what depends on weights alone is computed on both sides.
fn with_weights_only(graph: &Graph, kept: &[bool]) -> Vec<bool> {
    let mut wanted = kept.to_vec();
    for n in (0..wanted.len()).rev() {
        if wanted[n] {
            let makers = graph.nodes()[n].inputs.iter().flatten().filter_map(|&id| made_by(graph, id));
            makers.for_each(|maker| wanted[maker] = true);
        }
    }
    wanted
}

fn rest(graph: &Graph, kept: &[bool], crossing: &[(ValueId, String)]) -> Result<Graph, OpError> {
    let mut cut = Cut::new(graph);
    graph.inputs().iter().try_for_each(|&id| cut.input(id, &graph.value(id).name))?;
    crossing.iter().try_for_each(|(id, name)| cut.input(*id, name))?;
    let mut nodes = graph.nodes().iter().zip(kept).filter(|(_, kept)| !**kept);
    nodes.try_for_each(|(node, _)| cut.node(node))?;
    // What depends on weights alone may have been for the others only.
    remove_dead(&cut.finish(graph.outputs().iter().map(|o| (o.name.clone(), o.value)))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Attr, DType, GraphBuilder, Tensor, TensorDesc, eval, ops};

    struct Builder(GraphBuilder);

    impl Builder {
        fn node(&mut self, op: &str, inputs: &[ValueId], attrs: &[(&str, i64)], name: &str) -> ValueId {
            let inputs: Vec<_> = inputs.iter().map(|&id| Some(id)).collect();
            let attrs = attrs.iter().map(|&(name, value)| (name.to_owned(), Attr::Int(value)));
            self.0.node(ops::find(op).unwrap(), &inputs, attrs, name).unwrap()[0]
        }
    }

    /// y = x w + exp(softmax(text v)) + neg(text): one projection of the text is worth being kept.
    fn graph(width: usize) -> Graph {
        let mut b = Builder(GraphBuilder::new("g"));
        let desc = |rows, columns| TensorDesc::new(DType::F32, [rows, columns]);
        let text = b.0.input("text", desc(4, width)).unwrap();
        let x = b.0.input("x", desc(4, width)).unwrap();
        let (w, v) =
            (b.0.weight("w", desc(width, width)).unwrap(), b.0.weight("v", desc(width, width)).unwrap());
        let sum = b.node("Add", &[v, v], &[], "of_weights");
        let kept = b.node("MatMul", &[text, sum], &[], "projection");
        let kept = b.node("Softmax", &[kept], &[("axis", 1)], "softmax");
        let kept = b.node("Exp", &[kept], &[], "exp");
        let light = b.node("Neg", &[text], &[], "light");
        let moving = b.node("MatMul", &[x, w], &[], "moving");
        let y = b.node("Add", &[moving, kept], &[], "first");
        let y = b.node("Add", &[y, light], &[], "second");
        b.0.finish([("y", y)]).unwrap()
    }

    fn names(graph: &Graph) -> Vec<&str> {
        graph.nodes().iter().map(|node| node.name.as_str()).collect()
    }

    #[test]
    fn what_the_text_alone_decides_is_computed_once() {
        let cut = invariant(&graph(64), &["x"]).unwrap().unwrap();
        assert_eq!(names(&cut.once), ["of_weights", "projection", "softmax", "exp"]);
        assert_eq!(names(&cut.rest), ["light", "moving", "first", "second"]);
        let inputs =
            |graph: &Graph| graph.inputs().iter().map(|&id| graph.value(id).name.clone()).collect::<Vec<_>>();
        assert_eq!(inputs(&cut.once), ["text"]);
        assert_eq!(inputs(&cut.rest)[..2], ["text", "x"]);
        assert_eq!(cut.rest.inputs().len(), 3);
        assert_eq!(cut.rest.weights().len(), 1);
    }

    #[test]
    fn little_is_not_worth_the_memory() {
        // Eight operations a number, and a graph in which nothing varies is no less a graph.
        assert_eq!(invariant(&graph(4), &["x"]).unwrap(), None);
        assert_eq!(invariant(&graph(64), &["x", "text"]).unwrap(), None);
    }

    #[test]
    fn both_sides_make_what_the_whole_makes() {
        let whole = graph(64);
        let cut = invariant(&whole, &["x"]).unwrap().unwrap();
        let feed = |graph: &Graph, name: &str| {
            let id = graph.inputs().iter().chain(graph.weights()).find(|&&id| graph.value(id).name == name);
            let desc = graph.value(*id.unwrap()).desc.clone();
            let seed = usize::from(name.as_bytes()[0]);
            Ok(Tensor::from_fn(desc, |at| ((at[0] * 37 + at[1] * 11 + seed) % 19) as f64 / 19.0 - 0.5))
        };
        let kept = eval::evaluate(&cut.once, |name| feed(&cut.once, name)).unwrap();
        let rest = eval::evaluate(&cut.rest, |name| match name.starts_with("exp@") {
            true => Ok(kept[0].clone()),
            false => feed(&cut.rest, name),
        });
        assert_eq!(rest.unwrap(), eval::evaluate(&whole, |name| feed(&whole, name)).unwrap());
    }
}
