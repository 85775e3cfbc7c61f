//! What is computed of weights alone, such as a text encoder's bias of positions, when a graph is compiled.

use kinograph_graph::passes::{self, Prelude};
use kinograph_graph::{Graph, ValueId};

/// The most bytes of what is made: what is large stays in the weight file, and is computed in every run.
const BYTES: usize = 1 << 20;
/// The most operations: nobody can cancel a compilation.
const FLOPS: u64 = 1 << 27;

/// The bytes of what the rest of a graph reads of it.
pub(crate) fn bytes(prelude: &Prelude) -> usize {
    let part = &prelude.part.graph;
    part.outputs().iter().map(|output| part.value(output.value).desc.bytes()).sum()
}

/// A graph without what can be made once, when that is small.
pub(crate) fn small(graph: &Graph) -> Option<Prelude> {
    let live = passes::remove_dead(graph).ok()?;
    let prelude = passes::prelude(&live).ok()??;
    let part = &prelude.part.graph;
    let bytes = |id: ValueId| part.value(id).desc.bytes();
    let made = part.nodes().iter().flat_map(|node| &node.outputs).map(|&id| bytes(id));
    let fits = made.fold(0, usize::saturating_add) <= BYTES && part.flops() <= FLOPS;
    fits.then_some(prelude)
}
