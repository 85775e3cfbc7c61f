//! Reproducible numerics: the same bits for any threads, instructions, tiles and devices, and devices that are not so refused.
#![allow(missing_docs, unreachable_pub)]

#[path = "../common/mod.rs"]
mod common;

mod alternating;
mod faults;
mod model;
mod shuffle;
