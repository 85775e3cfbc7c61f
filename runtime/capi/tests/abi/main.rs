//! The functions of the header as C calls them.

mod graphs;
mod jobs;
mod refusals;
mod support;
