//! Where a value comes from.

use std::fmt;

use serde::Serialize;

/// A value and where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Setting<T> {
    pub(crate) value: T,
    pub(crate) source: Source,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Source {
    /// An option of the command line.
    Flag { name: &'static str },
    /// An environment variable.
    Environment { name: &'static str },
    /// A line of a file, counted from 1.
    File { path: String, line: usize },
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag { name } => f.write_str(name),
            Self::Environment { name } => write!(f, "environment variable {name}"),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Default => f.write_str("default"),
        }
    }
}

impl<T> Setting<T> {
    pub(super) fn flag(value: T, name: &'static str) -> Self {
        Self { value, source: Source::Flag { name } }
    }

    pub(super) fn default(value: T) -> Self {
        Self { value, source: Source::Default }
    }
}

impl<T> Setting<Option<T>> {
    /// A setting whose default is that there is none.
    pub(super) fn optional(setting: Option<Setting<T>>) -> Self {
        match setting {
            Some(Setting { value, source }) => Self { value: Some(value), source },
            None => Self::default(None),
        }
    }
}
