use std::path::PathBuf;

/// Why a plugin is refused: the file, or the directory that was to be searched, and the reason.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}: {kind}", path.display())]
pub struct PluginError {
    /// The file or directory.
    pub path: PathBuf,
    /// The reason.
    pub kind: PluginErrorKind,
}

/// The reason why a plugin is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PluginErrorKind {
    /// A directory cannot be searched.
    #[error("cannot be searched for plugins: {0}")]
    Directory(String),
    /// A file cannot be read.
    #[error("cannot be read: {0}")]
    Read(String),
    /// There is an allow-list and the file is not on it. It was not loaded.
    #[error("is not on the list of allowed plugins, and was not loaded; its BLAKE3 digest is {digest}")]
    NotAllowed {
        /// The digest of the file, in hexadecimal.
        digest: String,
    },
    /// The system does not load it as a library.
    #[error("does not load: {0}")]
    Load(String),
    /// It does not export the entry.
    #[error("is no Kinograph plugin: it does not export kinograph_plugin_entry")]
    NoEntry,
    /// The entry gave no table.
    #[error("does not work with this host; its log may say why")]
    Declined,
    /// It was built for another major version of the interface.
    #[error(
        "was built for version {found} of the plugin interface, and this host has {host}; rebuild it with this host's \
         kinograph_plugin.h"
    )]
    Version {
        /// Its version.
        found: String,
        /// The host's.
        host: String,
    },
    /// It lacks a function.
    #[error("lacks the function `{0}`, which may not be NULL")]
    MissingFunction(&'static str),
    /// It said or did something that the interface does not allow.
    #[error("breaks the plugin interface: {0}")]
    Violation(String),
    /// A call failed.
    #[error("`{function}` failed: {reason}")]
    Call {
        /// The function.
        function: &'static str,
        /// What it said.
        reason: String,
    },
    /// Its results are wrong or it fails in the self-test.
    #[error("fails the self-test on `{device}`: {reason}")]
    SelfTest {
        /// The device's id.
        device: String,
        /// What is wrong.
        reason: String,
    },
    /// It did not finish.
    #[error("did not finish loading and the self-test in time, and was given up")]
    TimedOut,
    /// Another backend has its name.
    #[error("its name `{0}` is taken by another backend; remove one of them")]
    NameTaken(String),
}

/// A call that did not succeed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    /// The function of the table.
    pub(crate) function: &'static str,
    pub(crate) kind: FailureKind,
    /// The plugin's words, or what it did wrong.
    pub(crate) message: String,
}

/// How a call did not succeed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum FailureKind {
    Unsupported {
        node: Option<usize>,
    },
    Cancelled,
    OutOfMemory {
        bytes: u64,
    },
    Lost,
    Invalid,
    Data {
        node: Option<usize>,
    },
    Internal,
    /// The plugin broke the rules.
    Violation,
}

impl Failure {
    pub(crate) fn violation(function: &'static str, message: impl Into<String>) -> Self {
        Self { function, kind: FailureKind::Violation, message: message.into() }
    }

    /// What a host of the backend's trait is told.
    pub(crate) fn device_error(self) -> kinograph_backend::DeviceError {
        use kinograph_backend::DeviceError;
        match self.kind {
            FailureKind::OutOfMemory { bytes } => DeviceError::OutOfMemory { bytes },
            FailureKind::Lost => DeviceError::Lost(self.message),
            FailureKind::Violation => DeviceError::Internal(format!(
                "the plugin breaks its interface in `{}`: {}",
                self.function, self.message
            )),
            FailureKind::Invalid => DeviceError::Internal(self.message),
            _ => DeviceError::Internal(format!("`{}` of the plugin failed: {}", self.function, self.message)),
        }
    }
}

impl From<Failure> for PluginErrorKind {
    fn from(failure: Failure) -> Self {
        let Failure { function, kind, message } = failure;
        match kind {
            FailureKind::Violation => Self::Violation(format!("`{function}`: {message}")),
            _ => Self::Call { function, reason: message },
        }
    }
}
