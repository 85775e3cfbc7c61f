//! Runs: start, wait, cancel, take the outputs; and giving up.
#![allow(unsafe_code)]

use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kinograph_backend::{BufferRef, Control};
use kinograph_plugin_abi::*;

use crate::backend::PluginBuffer;
use crate::error::{Failure, FailureKind};
use crate::objects::{RawBuffer, RawExecutable};

/// How long a wait lasts before the host looks whether it was cancelled.
const SLICE: Duration = Duration::from_millis(5);

/// A run under way, with what must stay as long as it runs.
struct Job {
    executable: Arc<RawExecutable>,
    inputs: Vec<BufferRef>,
    pointer: NonNull<KinographPluginJob>,
    /// True once nothing of it runs any more.
    over: bool,
}

/// Runs an executable to its end. `inputs` and `handles` are the same buffers.
pub(crate) fn run(
    executable: &Arc<RawExecutable>,
    inputs: &[BufferRef],
    handles: &[&PluginBuffer],
    control: &Control,
    output_count: usize,
) -> Result<Vec<RawBuffer>, Failure> {
    let mut job = Job::start(executable, inputs, handles)?;
    job.wait(control)?;
    job.outputs(output_count)
}

impl Job {
    fn start(
        executable: &Arc<RawExecutable>,
        inputs: &[BufferRef],
        handles: &[&PluginBuffer],
    ) -> Result<Self, Failure> {
        let plugin = &executable.device.plugin;
        let pointers: Vec<*mut KinographPluginBuffer> =
            handles.iter().map(|b| b.raw.pointer.as_ptr()).collect();
        let mut job = ptr::null_mut();
        // SAFETY: executable and buffers are valid, of one device and checked against the graph; the job keeps them.
        plugin.call("run", |error| unsafe {
            plugin
                .table
                .run
                .map(|f| f(executable.pointer.as_ptr(), pointers.as_ptr(), pointers.len(), &mut job, error))
        })?;
        let pointer = plugin.adopt("run", job)?;
        Ok(Self { executable: executable.clone(), inputs: inputs.to_vec(), pointer, over: false })
    }

    /// Waits until it is done, failed or was cancelled.
    fn wait(&mut self, control: &Control) -> Result<(), Failure> {
        let mut cancelled: Option<Instant> = None;
        loop {
            if cancelled.is_none() && control.is_cancelled() {
                self.cancel();
                cancelled = Some(Instant::now());
            }
            let started = Instant::now();
            if self.look(SLICE, cancelled.is_some())? {
                return Ok(());
            }
            // A plugin that answers before the time is up must not make this loop spin.
            std::thread::sleep(SLICE.saturating_sub(started.elapsed()));
            let patience = self.executable.device.plugin.patience;
            if cancelled.is_some_and(|since| since.elapsed() > patience) {
                let message = format!("a job did not stop within {patience:?} of being cancelled");
                return Err(Failure { function: "job_cancel", kind: FailureKind::Lost, message });
            }
        }
    }

    /// True when it is done; false when it still runs.
    fn look(&mut self, timeout: Duration, cancelled: bool) -> Result<bool, Failure> {
        let plugin = &self.executable.device.plugin;
        // SAFETY: the job is not freed, and nobody else waits for it.
        let status = plugin.status("job_wait", |error| unsafe {
            plugin.table.job_wait.map(|f| f(self.pointer.as_ptr(), timeout.as_nanos() as u64, error))
        });
        if status == Ok(KINOGRAPH_PLUGIN_PENDING) {
            return Ok(false);
        }
        self.over = true;
        match status {
            Err(Failure { kind: FailureKind::Cancelled, .. }) if !cancelled => {
                Err(Failure::violation("job_wait", "it says that the job was cancelled, and nobody did"))
            }
            other => other.map(|_| true),
        }
    }

    fn cancel(&self) {
        if let Some(cancel) = self.executable.device.plugin.table.job_cancel {
            // SAFETY: the job is not freed.
            unsafe { cancel(self.pointer.as_ptr()) }
        }
    }

    /// Takes the outputs of a job that is done.
    fn outputs(&mut self, due: usize) -> Result<Vec<RawBuffer>, Failure> {
        let device = &self.executable.device;
        let mut pointers = vec![ptr::null_mut(); due];
        let mut count = 0;
        // SAFETY: the job is done, and there is room for so many pointers.
        device.plugin.call("job_outputs", |error| unsafe {
            let outputs = pointers.as_mut_ptr();
            device.plugin.table.job_outputs.map(|f| f(self.pointer.as_ptr(), outputs, due, &mut count, error))
        })?;
        // All are taken before any error, so that those which are good are freed.
        let take = |&pointer: &*mut KinographPluginBuffer| {
            let pointer = device.plugin.adopt("job_outputs", pointer)?;
            Ok(RawBuffer { device: device.clone(), pointer })
        };
        let taken: Vec<Result<RawBuffer, Failure>> = pointers.iter().map(take).collect();
        if count != due {
            let message = format!("it gave {count} outputs, and the graph has {due}");
            return Err(Failure::violation("job_outputs", message));
        }
        taken.into_iter().collect()
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let plugin = &self.executable.device.plugin;
        if self.over {
            plugin.release(self.pointer);
            if let Some(free) = plugin.table.job_free {
                // SAFETY: the job is over.
                unsafe { free(self.pointer.as_ptr()) }
            }
            return;
        }
        // It still runs the plugin's code and reads its weights and inputs: they stay for ever, and so does the library.
        plugin.lose();
        std::mem::forget(self.executable.clone());
        std::mem::forget(std::mem::take(&mut self.inputs));
    }
}
