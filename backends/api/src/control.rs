use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The handle by which a run is cancelled, from any thread. Clones are the same handle.
#[derive(Clone, Debug, Default)]
pub struct Control {
    cancelled: Arc<AtomicBool>,
}

impl Control {
    /// A handle that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the run to stop as soon as it can; it then answers [`RunError::Cancelled`](crate::RunError).
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// True once [`cancel`](Self::cancel) was called. Backends ask between kernels.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}
