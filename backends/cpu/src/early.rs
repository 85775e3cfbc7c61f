//! What is computed of weights alone, such as a text encoder's bias of positions, when a graph is compiled.

use kinograph_graph::passes::{self, Prelude};
use kinograph_graph::{Graph, ValueId};

/// The most bytes of what is made, all together: else it stays in the weight file, and is computed in every run.
const BYTES: usize = 1 << 20;
/// The most operations: nobody can cancel a compilation.
const FLOPS: u64 = 1 << 27;

/// A graph without what can be made once, when all of that is small.
pub(crate) fn small(graph: &Graph) -> Option<Prelude> {
    let live = passes::remove_dead(graph).ok()?;
    let prelude = passes::prelude(&live).ok()??;
    let part = &prelude.part.graph;
    let bytes = |id: ValueId| part.value(id).desc.bytes();
    let made = part.nodes().iter().flat_map(|node| &node.outputs).map(|&id| bytes(id));
    let fits = made.fold(0, usize::saturating_add) <= BYTES && part.flops() <= FLOPS;
    fits.then_some(prelude)
}
