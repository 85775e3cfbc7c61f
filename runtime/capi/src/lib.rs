//! Kinograph for C and C++ hosts: the functions of `include/kinograph.h`, which is generated from this crate.
//!
//! The header says what every object and function is for, which thread may use it and who frees it;
//! `examples/embed_c` is a whole host. A Rust host uses the crate `kinograph` itself.
//!
//! All that a caller in C may get wrong and that can be seen is an error: null, text that is not UTF-8, lengths, sizes of
//! structs. Every entry catches panics. What cannot be seen is asked of the caller in the header: pointers are valid, objects
//! alive, and threads do what they may.
// What each function asks of its caller stands once, in the header, in the words of C.
#![allow(clippy::missing_safety_doc)]
#![deny(unsafe_op_in_unsafe_fn)]

mod callbacks;
mod codec;
mod compose;
mod control;
mod device;
mod failure;
mod generate;
mod graph;
mod model;
mod plan;
mod plugins;
mod pointers;
mod policy;
mod request;
mod status;
mod tensor;
mod version;
mod video;
mod writer;

pub use callbacks::*;
pub use codec::*;
pub use compose::*;
pub use control::*;
pub use device::*;
pub use failure::{KinographError, kinograph_error_free, kinograph_error_message, kinograph_error_status};
pub use generate::*;
pub use graph::*;
pub use model::*;
pub use plan::*;
pub use plugins::*;
pub use policy::*;
pub use request::*;
pub use status::{KinographStatus, kinograph_status_text};
pub use tensor::*;
pub use version::*;
pub use video::*;
pub use writer::*;

/// Objects that the header lets several threads use at once.
#[allow(dead_code)]
fn shared_objects_are_sync() {
    fn check<T: Send + Sync>() {}
    check::<KinographControl>();
    check::<KinographDevice>();
    check::<KinographDeviceList>();
    check::<KinographError>();
    check::<KinographExecutable>();
    check::<KinographModel>();
    check::<KinographPlan>();
    check::<KinographRequest>();
    check::<KinographRuntime>();
    check::<KinographTensor>();
    check::<KinographVideo>();
}

/// Objects that may at least go from thread to thread.
#[allow(dead_code)]
fn other_objects_are_send() {
    fn check<T: Send>() {}
    check::<KinographWriter>();
}
