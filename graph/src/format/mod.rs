//! The TOML graph format: what a file says, before parameters and symbols are bound.
//!
//! docs/graph-format.md teaches it. [`GraphFile::parse`] reads, [`GraphFile::to_toml`] writes the
//! canonical form, [`GraphFile::bind`] makes the static [`Graph`](crate::Graph).

mod parse;
mod reader;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{DType, Expr, GraphError, Limits, OpDef};

/// The version of the format that this crate reads and writes.
pub const VERSION: i64 = 1;

/// A line number that does not take part in comparisons: two files that say the same are equal.
#[derive(Clone, Copy, Debug, Default, Eq)]
pub struct Line(pub usize);

impl PartialEq for Line {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// A parsed graph file.
#[derive(Clone, Debug)]
pub struct GraphFile {
    pub(crate) file: Arc<str>,
    /// The graph's name.
    pub name: String,
    /// What it is, for people.
    pub doc: String,
    /// Parameters with their defaults; an expression may use other parameters.
    pub params: Vec<(String, Expr)>,
    /// Symbols with the sizes that inspection assumes.
    pub symbols: Vec<(String, usize)>,
    /// The inputs.
    pub inputs: Vec<InputDecl>,
    /// The graph itself: weights and statements.
    pub body: Body,
    /// Outputs: the name for the caller, and the value.
    pub outputs: Vec<(String, String)>,
    /// The modules, own and included.
    pub modules: BTreeMap<String, Module>,
}

impl PartialEq for GraphFile {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.doc == other.doc
            && self.params == other.params
            && self.symbols == other.symbols
            && self.inputs == other.inputs
            && self.body == other.body
            && self.outputs == other.outputs
            && self.modules == other.modules
    }
}

/// A declared input of the graph.
#[derive(Clone, Debug, PartialEq)]
pub struct InputDecl {
    /// Its name.
    pub name: String,
    /// Its type.
    pub dtype: DType,
    /// Its dimensions.
    pub shape: Vec<Expr>,
    /// Its line.
    pub line: Line,
}

/// A declared weight. It is looked up in the weight files under the prefix of its module's use
/// followed by its name, and only when a node reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightDecl {
    /// The type it is computed in.
    pub dtype: DType,
    /// Its dimensions.
    pub shape: Vec<Expr>,
    /// Its line.
    pub line: Line,
}

/// A declared state: a value that one run leaves for the next, such as the last frames that a causal convolution saw.
/// Its name in the graph is the prefix of its module's use followed by its own.
#[derive(Clone, Debug, PartialEq)]
pub struct StateDecl {
    /// Its type.
    pub dtype: DType,
    /// Its dimensions.
    pub shape: Vec<Expr>,
    /// The value of this body that the next run will see; where no statement makes it, the state stays as it is.
    pub next: String,
    /// Its line.
    pub line: Line,
}

/// Weights, states and statements: of the graph, or of a module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Body {
    /// The weights that statements may read, by their local names.
    pub weights: BTreeMap<String, WeightDecl>,
    /// What statements may read of the run before, by local names; zeros in the first run.
    pub states: BTreeMap<String, StateDecl>,
    /// The statements in order.
    pub nodes: Vec<Statement>,
}

/// A reusable part of a graph.
#[derive(Clone, Debug)]
pub struct Module {
    pub(crate) file: Arc<str>,
    /// What it is, for people.
    pub doc: String,
    /// The names of its parameters.
    pub params: Vec<String>,
    /// Defaults of some of them.
    pub defaults: Vec<(String, Expr)>,
    /// The names under which it sees what it is given.
    pub inputs: Vec<String>,
    /// The names of what it gives.
    pub outputs: Vec<String>,
    /// What it does.
    pub body: Body,
    /// Its line.
    pub line: Line,
}

impl PartialEq for Module {
    fn eq(&self, other: &Self) -> bool {
        self.doc == other.doc
            && self.params == other.params
            && self.defaults == other.defaults
            && self.inputs == other.inputs
            && self.outputs == other.outputs
            && self.body == other.body
    }
}

/// One line of a body.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// An op or the use of a module.
    pub what: What,
    /// What it reads; an empty name leaves an optional input out. `{expr}` in a name is replaced.
    pub inputs: Vec<String>,
    /// The names given to what it makes; a name may be given again, later lines see the later value.
    pub outputs: Vec<String>,
    /// It stands in the graph only when this is not zero.
    pub when: Option<Expr>,
    /// Its line.
    pub line: Line,
}

/// What a statement does.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// Apply an op.
    Op {
        /// Its row of the table.
        op: &'static OpDef,
        /// The node's name, when not that of its first output.
        name: Option<String>,
        /// The attributes.
        attrs: Vec<(String, AttrExpr)>,
    },
    /// Put in a module, once or several times.
    Use {
        /// The module.
        module: String,
        /// What its weights' and nodes' names begin with; `{expr}` is replaced.
        prefix: String,
        /// Values of its parameters.
        with: Vec<(String, Expr)>,
        /// How many times the line is written; each time reads what the one before made.
        repeat: Option<Expr>,
        /// The name of the counter, from 0.
        index: String,
    },
}

/// An attribute as the file gives it.
#[derive(Clone, Debug, PartialEq)]
pub enum AttrExpr {
    /// A number or an expression.
    Number(Expr),
    /// A truth value.
    Bool(bool),
    /// A word.
    Word(String),
    /// A list of numbers or expressions.
    List(Vec<Expr>),
}

impl GraphFile {
    /// Parses a graph file that includes no other. `file` is its name in messages.
    ///
    /// # Errors
    /// A [`GraphError`] with file, line and what to do.
    pub fn parse(file: &str, text: &str) -> Result<Self, GraphError> {
        let alone = |name: &str| Err(format!("`{name}` cannot be included here: this graph stands alone"));
        Self::parse_with(file, text, &Limits::default(), &alone)
    }

    /// Parses a graph file under these limits; `include` gives the text of the module files that it includes.
    ///
    /// # Errors
    /// A [`GraphError`] with file, line and what to do.
    pub fn parse_with(
        file: &str,
        text: &str,
        limits: &Limits,
        include: &dyn Fn(&str) -> Result<String, String>,
    ) -> Result<Self, GraphError> {
        parse::parse(file, text, limits, include)
    }

    /// Whether the graph, or a module that it may use, keeps states from one run to the next.
    pub fn has_states(&self) -> bool {
        !self.body.states.is_empty() || self.modules.values().any(|m| !m.body.states.is_empty())
    }

    /// The canonical text: parsing it gives an equal file, with included modules written in.
    pub fn to_toml(&self) -> String {
        write::write(self)
    }
}
