//! Whether a device computes Movie Gen models rightly: cases as data, run on any device, held against the exact answer within
//! bounds that follow from the op and its data.
//!
//! There are cases of single ops, of graphs with several nodes, and of pipelines: tiles of the autoencoder, sampling, attention
//! of many tokens, the arithmetic of the host, a whole model. A bound belongs to an op and its data, never to a backend: a
//! violation is a defect of the kernel or of the bound's derivation, and neither is mended by loosening.
//!
//! ```
//! use kinograph_conformance::{Catalogue, Selection, Settings, Subject, test};
//!
//! # let device = kinograph_backend::Backend::open(&kinograph_cpu::CpuBackend, "cpu", &Default::default())?;
//! let subject = Subject::new(device);
//! let some = Selection { filters: vec!["op/Add/".into()], ..Selection::default() };
//! for item in Catalogue::builtin()?.select(&some) {
//!     let record = test(&subject, &item, &Settings::default());
//!     assert!(!record.outcome.is_failure(), "{record}");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `docs/conformance.md` tells how a device is qualified with the program.
#![forbid(unsafe_code)]

mod bisect;
mod case;
mod catalogue;
mod expectations;
mod graphs;
pub mod oracle;
mod outcome;
mod pipelines;
mod problem;

#[cfg(feature = "program")]
pub mod program;
mod qualify;
mod random;
pub mod replay;
pub mod report;
mod run;
mod runner;
mod shrink;
mod statistics;
mod suite;
mod verdict;

pub use bisect::{Divergence, bisect};
pub use case::{Case, CaseError, Fill, Operand};
pub use catalogue::{Catalogue, Item, Kind, Selection, random_items};
pub use expectations::Expectations;
pub use graphs::GraphCase;
pub use outcome::{Failure, HeatMap, Outcome, Record};
#[cfg(feature = "flipbook")]
pub use pipelines::flipbook_goldens;
pub use pipelines::{Host, PipelineCase, RuntimeHost, Subject, Velocity};
pub use problem::{Answer, Due, Problem, Spread, digest};
pub use qualify::{Qualified, qualify};
pub use random::{Rng, random_case};
pub use run::{Run, RunFailure, run, run_for_bytes};
pub use runner::{Settings, Timing, exact_digest, perf, replay as run_replay, support, test};
pub use shrink::shrink;
pub use suite::Suite;
pub use verdict::{Bad, Verdict};
