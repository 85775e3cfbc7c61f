//! Cancelling from another thread.

use std::mem::MaybeUninit;

use kinograph::Control;

use crate::failure::{KinographError, free, guard, guard_value};
use crate::pointers::{give, slot};
use crate::status::KinographStatus;

/// A handle by which a job is cancelled: from any thread, by several at once. Requests and calls that were given it keep what
/// they need, so it may be freed at any time. Once cancelled it stays so: take a new one for a new job.
#[derive(Debug)]
pub struct KinographControl(pub(crate) Control);

/// Makes a handle that is not cancelled.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_control_new(
    control: Option<&mut MaybeUninit<*mut KinographControl>>,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        give(slot(control, "control")?, KinographControl(Control::new()));
        Ok(())
    })
}

/// Asks the jobs that have this handle to stop at the next kernel or frame; they answer `KINOGRAPH_STATUS_CANCELLED`. Not for
/// signal handlers, as it may take a lock and tell the library of a device: let one set a flag of your own, for a thread or
/// the progress callback to read. Null does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_control_cancel(control: Option<&KinographControl>) {
    // What a backend does on hearing of it may panic.
    guard_value((), || {
        if let Some(control) = control {
            control.0.cancel();
        }
    });
}

/// 1 once it was cancelled, else 0; 0 of null.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_control_is_cancelled(control: Option<&KinographControl>) -> i32 {
    guard_value(0, || i32::from(control.is_some_and(|control| control.0.is_cancelled())))
}

/// Frees a handle; null is fine.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_control_free(control: Option<Box<KinographControl>>) {
    free(control);
}
