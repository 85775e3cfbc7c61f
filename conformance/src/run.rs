//! Running a case on a device.

use std::collections::BTreeMap;

use kinograph_backend::{CompileError, Device, DeviceError, HostTensor, Refusal, RunError};
use kinograph_graph::{Graph, GraphBuilder, OpError, ValueId};

use crate::case::Case;
use crate::problem::Problem;
use crate::verdict::Verdict;

/// Why a case has no verdict.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RunFailure {
    /// The case itself is wrong.
    #[error("the case is wrong: {0}")]
    Case(#[from] OpError),
    /// The device refuses the op.
    #[error("the device refuses: {0}")]
    Refused(Refusal),
    /// The device gave other outputs than the graph has.
    #[error("the outputs are {found}, due are {due}")]
    Outputs {
        /// What the graph says.
        due: String,
        /// What came.
        found: String,
    },
    /// The graph was not compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The run failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// A case as a graph of one node, with its data.
pub struct Run {
    problem: Problem,
}

impl Run {
    /// Prepares a case.
    ///
    /// # Errors
    /// When the op does not take the case's operands.
    pub fn new(case: &Case) -> Result<Self, OpError> {
        let mut builder = GraphBuilder::new("case");
        let (mut feed, mut stored) = (BTreeMap::new(), BTreeMap::new());
        let mut ids: Vec<Option<ValueId>> = Vec::new();
        for (i, (operand, tensor)) in case.operands.iter().zip(case.tensors()).enumerate() {
            let (Some(operand), Some(tensor)) = (operand, tensor) else {
                ids.push(None);
                continue;
            };
            let name = format!("operand{i}");
            ids.push(Some(match operand.stored {
                Some(dtype) => {
                    stored.insert(name.clone(), dtype);
                    builder.weight(&name, operand.desc.clone())?
                }
                None => builder.input(&name, operand.desc.clone())?,
            }));
            feed.insert(name, tensor);
        }
        let made = builder.node(case.op, &ids, case.given.clone(), "node")?;
        let outputs = made.into_iter().enumerate().map(|(i, id)| (format!("out{i}"), id));
        Ok(Self { problem: Problem::new(builder.finish(outputs)?, feed, &stored)? })
    }

    /// Its graph.
    pub fn graph(&self) -> &Graph {
        self.problem.graph()
    }

    /// The graph with its data.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// Runs it on a device.
    ///
    /// # Errors
    /// When the device refuses it or fails.
    pub fn on(&self, device: &dyn Device) -> Result<Vec<HostTensor>, RunFailure> {
        Ok(self.problem.on(device)?.outputs)
    }

    /// Holds the outputs of a device against the reference.
    ///
    /// # Errors
    /// When the reference or the bound refuses the data.
    pub fn judge(&self, case: &Case, outputs: &[HostTensor]) -> Result<Verdict, OpError> {
        Ok(self.problem.due()?.judge(case.to_string(), outputs))
    }
}

/// Runs a case on a device and holds it against the reference.
///
/// # Errors
/// When there is no verdict: a refusal, a failure, a wrong case.
pub fn run(device: &dyn Device, case: &Case) -> Result<Verdict, RunFailure> {
    let run = Run::new(case)?;
    let outputs = run.on(device)?;
    Ok(run.judge(case, &outputs)?)
}

/// Runs a case on a device and gives the bytes of its outputs, for comparing runs.
///
/// # Errors
/// As [`run`].
pub fn run_for_bytes(device: &dyn Device, case: &Case) -> Result<Vec<Vec<u8>>, RunFailure> {
    Ok(Run::new(case)?.on(device)?.iter().map(|t| t.data().as_bytes().to_vec()).collect())
}
