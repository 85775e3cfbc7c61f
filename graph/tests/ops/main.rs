//! The op table against PyTorch, against hostile graphs, and against its own documentation.

mod case;
mod docs;
mod goldens;
mod hostile;
mod refusals;
