//! Graph to graph: what every backend wants done before it compiles.

mod dead;

pub use dead::remove_dead;
