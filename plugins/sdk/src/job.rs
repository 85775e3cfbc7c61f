//! A run in a thread of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use kinograph_backend::{BufferRef, Control, Executable, RunError};
use kinograph_plugin_abi::*;

use crate::codes::Failure;
use crate::guard::panicked;

/// A run. Dropping it waits for its thread.
pub(crate) struct Job {
    executable: Arc<dyn Executable>,
    control: Control,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    over: Condvar,
}

#[derive(Default)]
enum State {
    #[default]
    Running,
    Done(Vec<BufferRef>),
    Failed(RunError),
    Panicked(String),
}

impl Job {
    pub(crate) fn start(executable: Arc<dyn Executable>, inputs: Vec<BufferRef>) -> Result<Self, Failure> {
        let (control, shared) = (Control::new(), Arc::new(Shared::default()));
        let (run, stop, told) = (executable.clone(), control.clone(), shared.clone());
        let work = move || {
            let state = match catch_unwind(AssertUnwindSafe(|| run.run(&inputs, &stop))) {
                Ok(Ok(outputs)) => State::Done(outputs),
                Ok(Err(error)) => State::Failed(error),
                Err(panic) => State::Panicked(panicked(&*panic).message),
            };
            // Given back before the end is told: the host may free them then.
            drop((run, inputs));
            *told.lock() = state;
            told.over.notify_all();
        };
        let thread = Builder::new().name("kinograph-job".into()).spawn(work);
        let thread = thread
            .map_err(|e| Failure::new(KINOGRAPH_PLUGIN_INTERNAL, format!("no thread was started: {e}")))?;
        Ok(Self { executable, control, shared, thread: Some(thread) })
    }

    pub(crate) fn cancel(&self) {
        self.control.cancel();
    }

    pub(crate) fn wait(&self, timeout: Duration) -> Result<KinographPluginStatus, Failure> {
        let started = Instant::now();
        let mut state = self.shared.lock();
        loop {
            match &*state {
                State::Running => {}
                State::Done(_) => return Ok(KINOGRAPH_PLUGIN_OK),
                State::Failed(error) => return Err(Failure::of_run(error, self.executable.graph())),
                State::Panicked(message) => return Err(Failure::new(KINOGRAPH_PLUGIN_INTERNAL, message)),
            }
            let Some(left) = timeout.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) else {
                return Ok(KINOGRAPH_PLUGIN_PENDING);
            };
            state = self.shared.over.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The outputs, once; they stay where they are when there is no room for all of them.
    pub(crate) fn outputs(&self, room: usize) -> Result<Vec<BufferRef>, Failure> {
        match &mut *self.shared.lock() {
            State::Done(outputs) if outputs.len() > room => {
                Err(Failure::invalid(format!("there are {} outputs, and room for {room}", outputs.len())))
            }
            State::Done(outputs) => Ok(std::mem::take(outputs)),
            _ => Err(Failure::invalid("the job is not done")),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.control.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use kinograph_backend::{Backend, DeviceOptions, HostTensor, MemoryWeights};
    use kinograph_cpu::CpuBackend;
    use kinograph_graph::{DType, GraphBuilder, TensorDesc, ops};

    use super::*;

    #[test]
    fn outputs_are_handed_out_once_and_all_together() {
        let mut builder = GraphBuilder::new("g");
        let x = builder.input("x", TensorDesc::new(DType::F32, [2])).unwrap();
        let y = builder.node(ops::find("Neg").unwrap(), &[Some(x)], [], "node").unwrap()[0];
        let graph = Arc::new(builder.finish([("y", y)]).unwrap());
        let device = CpuBackend.open("cpu", &DeviceOptions::default()).unwrap();
        let executable = device.compile(graph, Arc::new(MemoryWeights::new())).unwrap();
        let x = device.upload(HostTensor::f32([2], vec![1.0, 2.0]).unwrap()).unwrap();
        let job = Job::start(executable, vec![x]).unwrap();
        assert_eq!(job.wait(Duration::from_secs(60)).unwrap(), KINOGRAPH_PLUGIN_OK);
        let refused = job.outputs(0).err().unwrap();
        assert_eq!(refused.message, "there are 1 outputs, and room for 0");
        assert_eq!(job.outputs(1).unwrap().len(), 1);
        assert!(job.outputs(1).unwrap().is_empty());
    }
}
