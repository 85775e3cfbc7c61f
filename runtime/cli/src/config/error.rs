use super::file::MAX_BYTES;

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ConfigError {
    /// A file is there, or was named, but cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file is larger than any honest one.
    #[error("{path}: larger than {MAX_BYTES} bytes, which is more than a configuration needs")]
    TooLarge {
        /// The file.
        path: String,
    },
    /// A line of a file.
    #[error("{path}:{line}: {reason}")]
    Line {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong, with the key where there is one.
        reason: String,
    },
    /// An environment variable.
    #[error("environment variable {name}: {reason}")]
    Variable {
        /// Its name.
        name: &'static str,
        /// What is wrong.
        reason: String,
    },
}
