//! An embeddable runtime for media foundation models: text-to-image and text-to-video by a text
//! encoder, a flow-matching backbone and a temporal autoencoder, each a declarative op graph in TOML
//! run by a backend that is chosen at load time.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use kinograph::media::{self, FrameRate, WriteOptions};
//! use kinograph::{DeviceOptions, Model, Package, Request, Runtime};
//!
//! let runtime = Runtime::new();
//! let device = runtime.open("cpu", &DeviceOptions::default())?;
//! let model = Model::load(Package::open("models/flipbook".as_ref())?, device)?;
//! let request = Request::new("a red circle moves left").seed(7);
//! let video = model.generate(&request, |p| {
//!     eprintln!("{} {}/{}", p.stage, p.step, p.of);
//!     ControlFlow::Continue(())
//! })?;
//! media::write("out.mp4".as_ref(), &video.frames, FrameRate::new(16, 1)?, &WriteOptions::default())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Nothing is process-global: runtimes, models and jobs are independent values, and a [`Model`] may
//! generate in several threads at once.
#![deny(unsafe_code)]

mod error;
mod fallback;
pub mod family;
mod files;
pub mod guidance;
pub mod latents;
pub mod media;
mod model;
pub mod noise;
mod numerics;
pub mod package;
mod placement;
#[cfg(feature = "plugins")]
pub mod plugins;
mod policy;
mod progress;
mod registry;
#[cfg(feature = "replay")]
pub mod replay;
mod request;
pub mod sampler;
pub mod schedule;
pub mod tiling;
pub mod tokenize;
mod weights;

pub use error::{Error, RequestError};
pub use fallback::Fallback;
pub use family::{Family, FamilyError};
pub use kinograph_backend::{Backend, Control, Device, DeviceInfo, DeviceOptions, HostData, HostTensor};
pub use model::{
    CheckpointError, CodecOptions, Component, Encoded, Generated, Model, Plan, StagePlan, Streamed, Tactics,
    plan,
};
pub use numerics::{Fault, Numerics, Precision, Reproducible, ReproducibleError};
pub use package::{Package, PackageError};
pub use placement::Placement;
pub use policy::{Choice, Policy};
pub use progress::{Progress, Stage};
pub use registry::{Runtime, RuntimeError};
#[cfg(feature = "replay")]
pub use replay::{Replay, ReplayError};
pub use request::Request;
pub use {kinograph_backend as backend, kinograph_graph as graph};
