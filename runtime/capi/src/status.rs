//! What a call answers.

use kinograph::backend::{CompileError, DeviceError, RunError};
use kinograph::{Error, RequestError, RuntimeError};

/// What a call answers. The numbers never change; new ones may be added, so treat an unknown one as a failure.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KinographStatus {
    /// It was done.
    Ok = 0,
    /// A callback or a `KinographControl` ended it.
    Cancelled = 1,
    /// A pointer that must not be null is null.
    Null = 2,
    /// A text is not UTF-8.
    Utf8 = 3,
    /// An argument is out of range: a length, a position, a size, an alignment, a struct of a newer header.
    Argument = 4,
    /// This build leaves out what was asked for.
    Unsupported = 5,
    /// There is no such device.
    UnknownDevice = 6,
    /// The device is there but did not open, for example because of an option, or does not compute as its numerics say.
    DeviceOpen = 7,
    /// A file of the package is missing or wrong.
    Package = 8,
    /// A graph is wrong, or does not take these sizes.
    Graph = 9,
    /// The device does not take a graph, or a weight is missing or does not fit.
    Compile = 10,
    /// The request asks for what the model does not do.
    Request = 11,
    /// The job needs more memory than its limit.
    MemoryLimit = 12,
    /// A text was not tokenised.
    Tokenize = 13,
    /// Inputs do not fit the graph, or data is outside what an op takes.
    Run = 14,
    /// The model gave a number that is none.
    NotFinite = 15,
    /// The device or the host has no room.
    OutOfMemory = 16,
    /// The device is gone.
    DeviceLost = 17,
    /// The device failed.
    Device = 18,
    /// A file of frames or latents could not be read or written.
    Media = 19,
    /// A checkpoint cannot be used.
    Checkpoint = 20,
    /// A defect of Kinograph. Objects that took part may only be freed.
    Internal = 99,
}

impl KinographStatus {
    /// Every status.
    ///
    /// cbindgen:ignore
    pub const ALL: [Self; 22] = [
        Self::Ok,
        Self::Cancelled,
        Self::Null,
        Self::Utf8,
        Self::Argument,
        Self::Unsupported,
        Self::UnknownDevice,
        Self::DeviceOpen,
        Self::Package,
        Self::Graph,
        Self::Compile,
        Self::Request,
        Self::MemoryLimit,
        Self::Tokenize,
        Self::Run,
        Self::NotFinite,
        Self::OutOfMemory,
        Self::DeviceLost,
        Self::Device,
        Self::Media,
        Self::Checkpoint,
        Self::Internal,
    ];

    /// A few words for it.
    pub(crate) fn words(self) -> &'static std::ffi::CStr {
        match self {
            Self::Ok => c"ok",
            Self::Cancelled => c"cancelled",
            Self::Null => c"null pointer",
            Self::Utf8 => c"not UTF-8",
            Self::Argument => c"bad argument",
            Self::Unsupported => c"not in this build",
            Self::UnknownDevice => c"unknown device",
            Self::DeviceOpen => c"device did not open",
            Self::Package => c"bad package",
            Self::Graph => c"bad graph",
            Self::Compile => c"graph not compiled",
            Self::Request => c"request not possible",
            Self::MemoryLimit => c"over the memory limit",
            Self::Tokenize => c"text not tokenised",
            Self::Run => c"bad input",
            Self::NotFinite => c"not a finite number",
            Self::OutOfMemory => c"out of memory",
            Self::DeviceLost => c"device lost",
            Self::Device => c"device failed",
            Self::Media => c"media file",
            Self::Checkpoint => c"bad checkpoint",
            Self::Internal => c"internal error",
        }
    }
}

/// The status of an error of the runtime.
pub(crate) fn of_error(error: &Error) -> KinographStatus {
    use KinographStatus as S;
    match error {
        Error::Runtime(RuntimeError::UnknownDevice { .. }) => S::UnknownDevice,
        Error::Runtime(_) => S::DeviceOpen,
        Error::Package(_) => S::Package,
        Error::Graph { .. } | Error::Component { .. } => S::Graph,
        Error::Compile { source, .. } => of_compile(source),
        Error::Refused { .. } | Error::NoDevice { .. } => S::Compile,
        Error::Run { source, .. } => of_run(source),
        Error::Request(RequestError::MemoryLimit { .. }) => S::MemoryLimit,
        Error::Request(_) | Error::Schedule(_) | Error::Solver(_) => S::Request,
        Error::Tokenize { .. } => S::Tokenize,
        Error::Sample { source, .. } => of_error(source),
        Error::NotFinite { .. } => S::NotFinite,
        Error::Media(_) => S::Media,
        Error::Checkpoint(_) => S::Checkpoint,
        Error::Cancelled => S::Cancelled,
        _ => S::Internal,
    }
}

pub(crate) fn of_compile(error: &CompileError) -> KinographStatus {
    match error {
        CompileError::Device(error) => of_device(error),
        _ => KinographStatus::Compile,
    }
}

pub(crate) fn of_run(error: &RunError) -> KinographStatus {
    match error {
        RunError::Cancelled => KinographStatus::Cancelled,
        RunError::Device(error) => of_device(error),
        _ => KinographStatus::Run,
    }
}

pub(crate) fn of_device(error: &DeviceError) -> KinographStatus {
    match error {
        DeviceError::OutOfMemory { .. } => KinographStatus::OutOfMemory,
        DeviceError::Lost(_) => KinographStatus::DeviceLost,
        _ => KinographStatus::Device,
    }
}

/// A few words for a status, for logs; never null. An unknown number gives "unknown status".
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_status_text(status: i32) -> *const std::ffi::c_char {
    let known = KinographStatus::ALL.into_iter().find(|known| *known as i32 == status);
    known.map_or(c"unknown status", KinographStatus::words).as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a host does about it is to take another device, not to report a defect.
    #[test]
    fn a_device_that_does_not_take_a_model_is_no_defect() {
        let refused = Error::Refused { component: "decoder".into(), device: "x".into(), nodes: Vec::new() };
        assert_eq!(of_error(&refused), KinographStatus::Compile);
        let none = Error::NoDevice { reasons: String::new() };
        assert_eq!(of_error(&none), KinographStatus::Compile);
    }
}
