//! How a call fails: a status, and an object with the words, and never a panic.

use std::error::Error as StdError;
use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};

use kinograph::backend::{CompileError, DeviceError, RunError};
use kinograph::graph::{GraphError, OpError};
use kinograph::guidance::GuidanceError;
use kinograph::latents::LatentsError;
use kinograph::media::MediaError;
use kinograph::sampler::SolverError;
use kinograph::schedule::ScheduleError;
use kinograph::tiling::TilingError;
use kinograph::{Error, PackageError, ReproducibleError, RuntimeError};

use crate::status::{KinographStatus, of_compile, of_device, of_error, of_run};

/// Why a call failed. May be read by several threads at once; freed with `kinograph_error_free`.
#[derive(Debug)]
pub struct KinographError {
    status: KinographStatus,
    message: CString,
}

/// A failure on its way out.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: KinographStatus,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(status: KinographStatus, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// An argument out of range.
    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self::new(KinographStatus::Argument, message)
    }

    /// An error with those that caused it, unless it quotes them itself.
    fn of(status: KinographStatus, error: &dyn StdError) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let words = error.to_string();
            if !message.contains(&words) {
                message = format!("{message}: {words}");
            }
            cause = error.source();
        }
        Self { status, message }
    }
}

macro_rules! failures {
    ($($error:ty => $status:expr),* $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                #[allow(clippy::redundant_closure_call)]
                Self::of(($status)(&error), &error)
            }
        })*
    };
}

failures! {
    Error => of_error,
    CompileError => of_compile,
    RunError => of_run,
    DeviceError => of_device,
    RuntimeError => |error: &RuntimeError| match error {
        RuntimeError::UnknownDevice { .. } => KinographStatus::UnknownDevice,
        _ => KinographStatus::DeviceOpen,
    },
    ReproducibleError => |_: &_| KinographStatus::DeviceOpen,
    PackageError => |_: &_| KinographStatus::Package,
    GraphError => |_: &_| KinographStatus::Graph,
    OpError => |_: &_| KinographStatus::Argument,
    GuidanceError => |_: &_| KinographStatus::Argument,
    SolverError => |_: &_| KinographStatus::Argument,
    ScheduleError => |_: &_| KinographStatus::Argument,
    TilingError => |_: &_| KinographStatus::Argument,
    LatentsError => |_: &_| KinographStatus::Media,
    MediaError => |error: &MediaError| match error {
        MediaError::FeatureOff { .. } => KinographStatus::Unsupported,
        _ => KinographStatus::Media,
    },
}

/// Where the caller wants its error, if anywhere.
pub(crate) type ErrorSlot<'a> = Option<&'a mut MaybeUninit<*mut KinographError>>;

/// Does the work of a call: its failure becomes a status and an error object, and so does a panic.
pub(crate) fn guard(error: ErrorSlot<'_>, work: impl FnOnce() -> Result<(), Failure>) -> KinographStatus {
    // What a panic leaves behind is the caller's only to free, as the status says.
    let done = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panicked(&*panic)));
    let (status, made) = match done {
        Ok(()) => (KinographStatus::Ok, std::ptr::null_mut()),
        Err(failure) => (failure.status, if error.is_some() { boxed(failure) } else { std::ptr::null_mut() }),
    };
    if let Some(slot) = error {
        slot.write(made);
    }
    status
}

/// Does the work of a call that has nothing to say but a value; one that panics says the other value.
pub(crate) fn guard_value<T>(otherwise: T, work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(otherwise)
}

/// Drops an object that the caller had.
pub(crate) fn free<T>(object: Option<Box<T>>) {
    guard_value((), || drop(object));
}

fn boxed(failure: Failure) -> *mut KinographError {
    let message = c_text(failure.message);
    Box::into_raw(Box::new(KinographError { status: failure.status, message }))
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Failure {
    let words = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    let words = words.or_else(|| panic.downcast_ref::<String>().cloned());
    let words = words.unwrap_or_else(|| "a panic without words".to_owned());
    Failure::new(KinographStatus::Internal, format!("a defect of Kinograph, please report it: {words}"))
}

/// A text for C: what follows a NUL would be lost, so none stays in.
pub(crate) fn c_text(text: impl Into<String>) -> CString {
    CString::new(text.into().replace('\0', "\u{fffd}")).unwrap_or_default()
}

/// The status that the failed call answered; `KINOGRAPH_STATUS_OK` of null.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_error_status(error: Option<&KinographError>) -> KinographStatus {
    error.map_or(KinographStatus::Ok, |error| error.status)
}

/// What went wrong, and what to do: UTF-8 that lives as long as the error. Never null: empty of null.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_error_message(error: Option<&KinographError>) -> *const c_char {
    error.map_or(c"", |error| &error.message).as_ptr()
}

/// Frees an error; null is fine.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_error_free(error: Option<Box<KinographError>>) {
    free(error);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pointers::text;

    fn failed(work: impl FnOnce() -> Result<(), Failure>) -> (KinographStatus, String) {
        let mut slot = MaybeUninit::uninit();
        let status = guard(Some(&mut slot), work);
        // SAFETY: `guard` writes the slot, with an error object when the status is not `Ok`.
        let error = unsafe { Box::from_raw(slot.assume_init()) };
        assert_eq!(kinograph_error_status(Some(&error)), status);
        // SAFETY: the message is a text of the error, which is alive.
        let message = unsafe { text(kinograph_error_message(Some(&error)), "message") }.unwrap().to_owned();
        kinograph_error_free(Some(error));
        (status, message)
    }

    #[test]
    fn a_panic_becomes_an_internal_error() {
        let (status, message) = failed(|| panic!("number {}", 7));
        assert_eq!(status, KinographStatus::Internal);
        assert_eq!(message, "a defect of Kinograph, please report it: number 7");
        assert_eq!(failed(|| std::panic::panic_any(7)).0, KinographStatus::Internal);
        assert_eq!(guard(None, || panic!("unheard")), KinographStatus::Internal);
        assert_eq!(guard_value(3, || panic!("unheard")), 3);
    }

    #[test]
    fn success_leaves_no_error() {
        let mut slot = MaybeUninit::uninit();
        assert_eq!(guard(Some(&mut slot), || Ok(())), KinographStatus::Ok);
        // SAFETY: `guard` writes the slot in any case.
        assert!(unsafe { slot.assume_init() }.is_null());
    }

    #[test]
    fn a_cause_is_told_once() {
        let io = || std::io::Error::other("the cable is out");
        let outer = MediaError::Io { path: "a.png".into(), doing: "writing", source: io() };
        assert_eq!(Failure::from(outer).message, "a.png: writing failed; nothing was kept: the cable is out");
        let quoted = LatentsError::Io { path: "z".into(), source: io() };
        assert_eq!(Failure::from(quoted).message, "z: the cable is out");
        assert_eq!(failed(|| Err(Failure::argument("a\0b"))).1, "a\u{fffd}b");
    }
}
