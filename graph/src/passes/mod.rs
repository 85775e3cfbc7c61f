//! Graph to graph: what every backend wants done before it compiles, and cutting a graph into parts.

mod chains;
mod cut;
mod dead;
mod invariant;
mod partition;
mod prelude;
mod reproducible;

pub use chains::{ChainLimits, Membership, Role, chain_inputs, chains, use_counts};
pub use dead::remove_dead;
pub use invariant::{Invariant, invariant};
pub use partition::{Part, extract, runs_by_owner};
pub use prelude::{Prelude, prelude};
pub use reproducible::{expand, reproducible};

use crate::{Graph, Source, ValueId};

/// The position of the node that makes a value.
pub fn made_by(graph: &Graph, id: ValueId) -> Option<usize> {
    match graph.value(id).source {
        Source::Node(node) => Some(node.index()),
        _ => None,
    }
}
