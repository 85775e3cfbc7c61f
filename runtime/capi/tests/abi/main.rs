//! The functions of the header as C calls them.

mod devices;
mod graphs;
mod jobs;
mod plugins;
mod refusals;
mod support;
#[path = "../tools/mod.rs"]
mod tools;
