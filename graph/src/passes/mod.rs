//! Graph to graph: what every backend wants done before it compiles, and cutting a graph into parts.

mod chains;
mod dead;
mod partition;
mod prelude;
mod reproducible;

pub use chains::{ChainLimits, Membership, Role, chain_inputs, chains};
pub use dead::remove_dead;
pub use partition::{Part, extract, runs_by_owner};
pub use prelude::{Prelude, prelude};
pub use reproducible::{expand, reproducible};
