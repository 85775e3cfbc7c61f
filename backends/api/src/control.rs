use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

type Hook = Arc<dyn Fn() + Send + Sync>;

/// The handle by which a run is cancelled, from any thread. Clones are the same handle.
#[derive(Clone, Default)]
pub struct Control {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    cancelled: AtomicBool,
    hooks: Mutex<Vec<(u64, Hook)>>,
    next: AtomicU64,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}

impl Control {
    /// A handle that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the run to stop as soon as it can; it then answers [`RunError::Cancelled`](crate::RunError).
    pub fn cancel(&self) {
        self.shared.cancelled.store(true, Ordering::SeqCst);
        // Called without the lock, so that a hook may drop its guard.
        let hooks: Vec<Hook> = self.hooks().iter().map(|(_, hook)| hook.clone()).collect();
        hooks.iter().for_each(|hook| hook());
    }

    /// True once [`cancel`](Self::cancel) was called. Backends ask between kernels.
    pub fn is_cancelled(&self) -> bool {
        self.shared.cancelled.load(Ordering::Relaxed)
    }

    /// Calls a function when the run is cancelled, at once if it is already, on the thread that cancels, perhaps more
    /// than once: for backends that hand a whole graph to a library and have to tell it. Until the guard is dropped.
    #[must_use = "the function is forgotten when the guard is dropped"]
    pub fn on_cancel(&self, hook: impl Fn() + Send + Sync + 'static) -> CancelGuard {
        let hook: Hook = Arc::new(hook);
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        self.hooks().push((id, hook.clone()));
        // After the hook is known, so that a cancellation in between is not missed.
        if self.shared.cancelled.load(Ordering::SeqCst) {
            hook();
        }
        CancelGuard { control: self.clone(), id }
    }

    fn hooks(&self) -> std::sync::MutexGuard<'_, Vec<(u64, Hook)>> {
        self.shared.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a function registered with [`Control::on_cancel`].
pub struct CancelGuard {
    control: Control,
    id: u64,
}

impl fmt::Debug for CancelGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelGuard").finish_non_exhaustive()
    }
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        self.control.hooks().retain(|(id, _)| *id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn hooks_are_called_until_their_guard_is_dropped() {
        let (control, calls) = (Control::new(), Arc::new(AtomicUsize::new(0)));
        let count = |calls: &Arc<AtomicUsize>| {
            let calls = calls.clone();
            move || {
                calls.fetch_add(1, Ordering::SeqCst);
            }
        };
        let kept = control.on_cancel(count(&calls));
        drop(control.on_cancel(count(&calls)));
        assert_eq!(calls.load(Ordering::SeqCst), 0);
        control.cancel();
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        let late = control.on_cancel(count(&calls));
        assert_eq!(calls.load(Ordering::SeqCst), 2, "one that comes late is called at once");
        drop((kept, late));
        control.cancel();
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    }
}
