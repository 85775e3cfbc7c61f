//! Whole jobs: what a request means, tiles, checkpoints, batches, limits.

#[path = "../common/mod.rs"]
mod common;

mod batch;
mod checkpoint;
mod generate;
mod movie_gen;
mod plan;
mod tiles;
