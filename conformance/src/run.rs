//! Running a case on a device.

use std::sync::Arc;

use kinograph_backend::{
    CompileError, Control, Device, DeviceError, HostTensor, MemoryWeights, Refusal, RunError, Support,
};
use kinograph_graph::{Args, Bound, Graph, GraphBuilder, OpError, Tensor, ValueId};

use crate::case::Case;
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
    graph: Arc<Graph>,
    weights: Arc<MemoryWeights>,
    inputs: Vec<HostTensor>,
    tensors: Vec<Option<Tensor>>,
}

impl Run {
    /// Prepares a case.
    ///
    /// # Errors
    /// When the op does not take the case's operands.
    pub fn new(case: &Case) -> Result<Self, OpError> {
        let tensors = case.tensors();
        let mut builder = GraphBuilder::new("case");
        let mut weights = MemoryWeights::new();
        let mut inputs = Vec::new();
        let mut ids: Vec<Option<ValueId>> = Vec::new();
        for (i, (operand, tensor)) in case.operands.iter().zip(&tensors).enumerate() {
            let (Some(operand), Some(tensor)) = (operand, tensor) else {
                ids.push(None);
                continue;
            };
            let name = format!("operand{i}");
            ids.push(Some(match operand.stored {
                Some(stored) => {
                    let bytes = HostTensor::from_reference(tensor, stored).data().as_bytes().to_vec();
                    weights.insert(&name, stored, operand.desc.shape.clone(), bytes);
                    builder.weight(&name, operand.desc.clone())?
                }
                None => {
                    inputs.push(HostTensor::from_reference(tensor, operand.desc.dtype));
                    builder.input(&name, operand.desc.clone())?
                }
            }));
        }
        let made = builder.node(case.op, &ids, case.given.clone(), "node")?;
        let outputs = made.into_iter().enumerate().map(|(i, id)| (format!("out{i}"), id));
        let graph = Arc::new(builder.finish(outputs)?);
        Ok(Self { graph, weights: Arc::new(weights), inputs, tensors })
    }

    /// Runs it on a device.
    ///
    /// # Errors
    /// When the device refuses it or fails.
    pub fn on(&self, device: &dyn Device) -> Result<Vec<HostTensor>, RunFailure> {
        for node in self.graph.nodes() {
            if let Support::No(refusal) = device.support(&self.graph, node) {
                return Err(RunFailure::Refused(refusal));
            }
        }
        let executable = device.compile(self.graph.clone(), self.weights.clone())?;
        let inputs = self.inputs.iter().map(|t| device.upload(t.clone())).collect::<Result<Vec<_>, _>>()?;
        let outputs = executable.run(&inputs, &Control::new())?;
        Ok(outputs.iter().map(|buffer| device.download(buffer)).collect::<Result<_, _>>()?)
    }

    /// Holds the outputs of a device against the reference.
    ///
    /// # Errors
    /// When the reference or the bound refuses the data.
    pub fn judge(&self, case: &Case, outputs: &[HostTensor]) -> Result<Verdict, OpError> {
        let inputs: Vec<Option<&Tensor>> = self.tensors.iter().map(Option::as_ref).collect();
        let args = Args { op: case.op, inputs: &inputs, attrs: &case.attrs };
        let expected = (case.op.reference)(&args)?;
        let bounds = match case.op.bound {
            Bound::Exact => None,
            Bound::Scaled(bound) => Some(bound(&args, &expected)?),
        };
        let mut verdict = Verdict::new(case.to_string());
        if expected.len() != outputs.len() {
            return Err(OpError::invalid(format!(
                "{} outputs, but {} are due",
                outputs.len(),
                expected.len()
            )));
        }
        for (o, (tensor, output)) in expected.iter().zip(outputs).enumerate() {
            if tensor.desc() != output.desc() {
                return Err(OpError::invalid(format!(
                    "output {o} is {}, due is {}",
                    output.desc(),
                    tensor.desc()
                )));
            }
            let dtype = tensor.dtype();
            let units = |i: usize| bounds.as_ref().map(|b| b[o][i] * dtype.unit_roundoff());
            for (i, (&expected, found)) in tensor.data().iter().zip(output.data().to_f64()).enumerate() {
                // Integers have no roundoff to count in.
                let bound = if dtype.is_float() { units(i) } else { None };
                verdict.compare(dtype, (o, i), expected, found, bound);
            }
        }
        Ok(verdict)
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
