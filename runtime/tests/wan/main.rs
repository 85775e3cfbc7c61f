//! Wan directories against what diffusers computed with them.
//!
//! `goldens/` beside this file was made by `make.py`, which needs PyTorch and diffusers. More of the kind are tested when
//! KINOGRAPH_WAN_REFERENCES names a directory that holds directories such as `NAME` and `NAME-ref`.
#![allow(missing_docs)]
#![cfg(feature = "tokenizers")]

#[path = "../common/mod.rs"]
mod common;
mod graphs;
mod hostile;
mod jobs;
mod layouts;
mod reference;
mod stages;
mod streams;
