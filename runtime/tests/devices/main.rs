//! Every device that this build has: the bundled model on each, several as one, and choosing one.
#![allow(missing_docs)]

#[path = "../common/mod.rs"]
mod common;

mod apart;
mod choice;
mod fallback;
mod flipbook;
mod picky;
mod placement;
