use std::sync::Arc;

use kinograph_backend::{
    BufferRef, CompileError, Control, DeviceError, Executable, MemoryPlan, RunError, Weights, check_inputs,
};
use kinograph_graph::Graph;
use kinograph_onnx::Model;
use tract_linalg::multithread::{Executor, multithread_tract_scope};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::plan;
use tract_onnx::tract_hir::internal::*;

use crate::buffer::TractBuffer;
use crate::{guarded, proto};

/// A graph as tract's plan. Each run has a state of its own, so that threads do not wait for each other.
pub(crate) struct TractExecutable {
    graph: Arc<kinograph_graph::Graph>,
    plan: Arc<TypedSimplePlan>,
    memory: MemoryPlan,
    executor: Executor,
}

impl TractExecutable {
    pub(crate) fn new(
        graph: Arc<kinograph_graph::Graph>,
        model: &Model,
        weights: &dyn Weights,
        memory: MemoryPlan,
        executor: Executor,
    ) -> Result<Self, CompileError> {
        let proto = proto::model(model, &graph, weights)?;
        let plan = guarded(|| {
            let parsed = tract_onnx::onnx().parse(&proto, None)?.model;
            // The message holds the weights once more.
            drop(proto);
            let typed = parsed.into_typed()?;
            // Some rewrites of the library fail on graphs that it computes rightly without them.
            match typed.clone().into_optimized() {
                Ok(optimised) => optimised.into_runnable(),
                Err(error) => {
                    log::debug!("{}: as it is, as tract cannot optimise it: {error:#}", graph.name());
                    typed.into_runnable()
                }
            }
        });
        Ok(Self { graph, plan: plan.map_err(CompileError::Device)?, memory, executor })
    }
}

impl Executable for TractExecutable {
    fn graph(&self) -> &kinograph_graph::Graph {
        &self.graph
    }

    fn memory(&self) -> MemoryPlan {
        self.memory
    }

    fn run(&self, inputs: &[BufferRef], control: &Control) -> Result<Vec<BufferRef>, RunError> {
        check_inputs(&self.graph, inputs)?;
        let values = inputs.iter().map(|buffer| {
            let buffer = TractBuffer::of(buffer)?;
            Some(buffer.tensor.clone().into_tvalue())
        });
        let values: TVec<TValue> = values.collect::<Option<_>>().ok_or_else(|| RunError::Input {
            name: self.graph.name().to_owned(),
            reason: "takes buffers of this device only".into(),
        })?;
        let run = || {
            self.plan.spawn()?.run_plan_with_eval(values, |context, state, node, inputs| {
                if control.is_cancelled() {
                    bail!("cancelled");
                }
                plan::eval(context, state, node, inputs)
            })
        };
        let made = guarded(|| multithread_tract_scope(self.executor.clone(), run));
        if control.is_cancelled() {
            return Err(RunError::Cancelled);
        }
        let made = made.map_err(RunError::Device)?;
        let outputs = self.graph.outputs().iter().zip(made);
        outputs.map(|(output, value)| self.buffer(output, value)).collect()
    }
}

impl TractExecutable {
    /// An output as a buffer, checked against what the graph says.
    fn buffer(&self, output: &kinograph_graph::Output, value: TValue) -> Result<BufferRef, RunError> {
        let desc: &Graph = &self.graph;
        let desc = desc.value(output.value).desc.clone();
        let mut tensor = value.into_arc_tensor();
        if desc.dtype == kinograph_graph::DType::I64 && tensor.datum_type() != i64::datum_type() {
            // tract computes with integers that may be shapes in a type of its own.
            let cast = guarded(|| Ok(tensor.cast_to::<i64>()?.into_owned())).map_err(RunError::Device)?;
            tensor = Arc::new(cast);
        }
        if tensor.shape() != desc.shape {
            let reason =
                format!("tract gave `{}` the shape {:?} instead of {desc}", output.name, tensor.shape());
            return Err(RunError::Device(DeviceError::Internal(reason)));
        }
        Ok(Arc::new(TractBuffer::new(desc, tensor)))
    }
}
