//! The full-size graphs of Movie Gen, `graph/models/movie-gen`: what they hold and cost on paper, and narrow instances of them
//! against PyTorch.

#[path = "movie_gen/goldens.rs"]
mod goldens;
#[path = "movie_gen/paper.rs"]
mod paper;

use std::path::Path;

use kinograph_graph::{Bindings, Graph, GraphFile, Limits};

/// The text of a file of the models.
fn text(name: &str) -> Result<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/movie-gen").join(name);
    std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))
}

/// A graph of the models.
fn bind(name: &str, bindings: &Bindings) -> Graph {
    let file = GraphFile::parse_with(name, &text(name).unwrap(), &Limits::default(), &text);
    file.and_then(|file| file.bind(bindings)).unwrap_or_else(|e| panic!("{e}"))
}
