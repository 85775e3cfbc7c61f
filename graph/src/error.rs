//! Errors of graph files: where, and what to do.

use std::fmt;

use crate::{ExprError, OpError};

/// A place in a graph file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// The file's name, as the caller gave it.
    pub file: String,
    /// The line, from 1; 0 when there is none.
    pub line: usize,
    /// The node's expanded name, and its op.
    pub node: Option<(String, String)>,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if let Some((name, op)) = &self.node {
            write!(f, ": node `{name}` ({op})")?;
        }
        Ok(())
    }
}

/// An error in a graph file, or in what was bound to it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{at}: {kind}")]
pub struct GraphError {
    /// Where.
    pub at: Box<Location>,
    /// What.
    pub kind: GraphErrorKind,
}

/// What is wrong with a graph.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphErrorKind {
    /// The text is not TOML.
    #[error("not valid TOML: {0}")]
    Toml(String),
    /// A key is missing, unknown, or holds the wrong kind of value.
    #[error("{0}")]
    Format(String),
    /// An expression does not parse or evaluate.
    #[error("{0}")]
    Expr(#[from] ExprError),
    /// No op has that name.
    #[error("there is no op `{name}`{hint}; docs/ops.md lists them")]
    UnknownOp {
        /// The name.
        name: String,
        /// `, did you mean ...?` or nothing.
        hint: String,
    },
    /// No module has that name.
    #[error("there is no module `{0}`; define it under [modules.{0}] or include the file that does")]
    UnknownModule(String),
    /// A node reads a value that no line above defines.
    #[error("`{name}` is not defined here; {hint}")]
    UnknownValue {
        /// The value.
        name: String,
        /// What may be meant, and whether a later node defines it (a cycle).
        hint: String,
    },
    /// An op refuses its inputs or attributes.
    #[error("{0}")]
    Op(#[from] OpError),
    /// A parameter or symbol was given that the file does not have, or a wrong value.
    #[error("{0}")]
    Binding(String),
    /// The file asks for more than a limit allows.
    #[error("{what} is over the limit of {limit}")]
    Limit {
        /// What is too large.
        what: String,
        /// The limit.
        limit: usize,
    },
}

impl GraphError {
    pub(crate) fn new(at: Location, kind: impl Into<GraphErrorKind>) -> Self {
        Self { at: Box::new(at), kind: kind.into() }
    }
}
