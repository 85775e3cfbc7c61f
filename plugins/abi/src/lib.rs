#![doc = include_str!("rules.md")]
#![doc = ""]
#![doc = "This crate holds the types alone; `include/kinograph_plugin.h` is generated from it. Hosts in Rust use"]
#![doc = "`kinograph-plugin-host`, plugins in Rust `kinograph-plugin-sdk`."]
#![no_std]
#![forbid(unsafe_code)]

mod codes;
mod graph;
mod host;
mod objects;
mod table;

pub use codes::*;
pub use graph::*;
pub use host::*;
pub use objects::*;
pub use table::*;

/// The exported symbol, with the NUL that loaders want.
pub const ENTRY_SYMBOL: &[u8] = b"kinograph_plugin_entry\0";
