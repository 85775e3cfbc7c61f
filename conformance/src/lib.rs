//! Whether a device computes what the op table says: cases as data, run on any device, held
//! against the f64 references within each op's own bound.
//!
//! A bound belongs to an op and its data, never to a backend: a violation is a defect of the kernel
//! or of the bound's derivation, and neither is mended by loosening.
//!
//! ```
//! use kinograph_conformance::{Suite, run};
//!
//! let suite = Suite::builtin()?;
//! let case = suite.cases().iter().find(|c| c.op.name == "Add").unwrap();
//! # let device = kinograph_backend::Backend::open(&kinograph_cpu::CpuBackend, "cpu", &Default::default())?;
//! let verdict = run(&*device, case)?;
//! assert!(verdict.passed(), "{verdict}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod case;
mod expectations;
mod qualify;
mod random;
mod run;
mod suite;
mod verdict;

pub use case::{Case, CaseError, Fill, Operand};
pub use expectations::Expectations;
pub use qualify::{Qualified, qualify};
pub use random::{Rng, random_case};
pub use run::{Run, RunFailure, run, run_for_bytes};
pub use suite::Suite;
pub use verdict::{Bad, Verdict};
