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
        let thread =
            thread.map_err(|e| Failure::new(KINOGRAPH_INTERNAL, format!("no thread was started: {e}")))?;
        Ok(Self { executable, control, shared, thread: Some(thread) })
    }

    pub(crate) fn cancel(&self) {
        self.control.cancel();
    }

    pub(crate) fn wait(&self, timeout: Duration) -> Result<KinographStatus, Failure> {
        let started = Instant::now();
        let mut state = self.shared.lock();
        loop {
            match &*state {
                State::Running => {}
                State::Done(_) => return Ok(KINOGRAPH_OK),
                State::Failed(error) => return Err(Failure::of_run(error, self.executable.graph())),
                State::Panicked(message) => return Err(Failure::new(KINOGRAPH_INTERNAL, message)),
            }
            let Some(left) = timeout.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) else {
                return Ok(KINOGRAPH_PENDING);
            };
            state = self.shared.over.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The outputs, once.
    pub(crate) fn outputs(&self) -> Result<Vec<BufferRef>, Failure> {
        match &mut *self.shared.lock() {
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
