//! A row of the op table.

use crate::{AttrSpec, Attrs, DType, Tensor, TensorDesc};

/// Which element types an input takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Types {
    /// Any type.
    Any,
    /// `f32`, `f16` or `bf16`.
    Float,
    /// `i8`, `u8`, `i32` or `i64`.
    Int,
    /// A float or an integer.
    Number,
    /// `bool`.
    Bool,
}

impl Types {
    /// True when the type is in the set.
    pub fn contains(self, dtype: DType) -> bool {
        match self {
            Types::Any => true,
            Types::Float => dtype.is_float(),
            Types::Int => dtype.is_int(),
            Types::Number => dtype.is_float() || dtype.is_int(),
            Types::Bool => dtype == DType::Bool,
        }
    }

    /// The set in words.
    pub const fn name(self) -> &'static str {
        match self {
            Types::Any => "any type",
            Types::Float => "a float type",
            Types::Int => "an integer type",
            Types::Number => "a float or integer type",
            Types::Bool => "bool",
        }
    }
}

/// One input in an op's row.
#[derive(Clone, Copy, Debug)]
pub struct InputSpec {
    /// The ONNX name, for docs and messages.
    pub name: &'static str,
    /// The types it takes.
    pub types: Types,
    /// False when the file may leave it out (`""` in the list of inputs, or a shorter list).
    pub required: bool,
    /// True for the last input of an op that takes any number of them (`Concat`).
    pub variadic: bool,
}

impl InputSpec {
    /// A required input.
    pub const fn required(name: &'static str, types: Types) -> Self {
        Self { name, types, required: true, variadic: false }
    }

    /// An input that may be left out.
    pub const fn optional(name: &'static str, types: Types) -> Self {
        Self { name, types, required: false, variadic: false }
    }

    /// One or more inputs, the last of the list.
    pub const fn variadic(name: &'static str, types: Types) -> Self {
        Self { name, types, required: true, variadic: true }
    }
}

/// The function that computes an op's error bound: for each output, for each element, the largest
/// permitted absolute error in units of the output type's [unit roundoff](DType::unit_roundoff).
pub type BoundFn = fn(&Args<'_, Tensor>, &[Tensor]) -> Result<Vec<Vec<f64>>, OpError>;

/// How far a device's result may be from the reference.
#[derive(Clone, Copy)]
pub enum Bound {
    /// Not at all: the op moves data, compares, or works on integers. Float outputs equal the
    /// reference after rounding it to the output's type.
    Exact,
    /// By at most this, derived from the op and its data; rounding the result itself is included.
    Scaled(BoundFn),
}

/// One row of the op table: everything that the parser, the planner, the docs, the conformance
/// suite and the backends need to know of an op.
pub struct OpDef {
    /// The name in graph files; ONNX's where the semantics match.
    pub name: &'static str,
    /// The first sentence of its documentation, then the details.
    pub doc: &'static str,
    /// The inputs in order.
    pub inputs: &'static [InputSpec],
    /// The names of the outputs; an op with a variable number lists one and sets `variadic_outputs`.
    pub outputs: &'static [&'static str],
    /// True when the number of outputs follows from the attributes (`Split`).
    pub variadic_outputs: bool,
    /// The attributes.
    pub attrs: &'static [AttrSpec],
    /// Output types and shapes from input types and shapes. Sees no data and no device.
    pub infer: fn(&Args<'_, TensorDesc>) -> Result<Vec<TensorDesc>, OpError>,
    /// The meaning of the op, in naive f64 loops: never optimised, never shared with a backend.
    pub reference: fn(&Args<'_, Tensor>) -> Result<Vec<Tensor>, OpError>,
    /// How far a device may be from the reference.
    pub bound: Bound,
    /// Floating-point operations, a multiply and an add counting as two, for the planner.
    pub flops: fn(&Args<'_, TensorDesc>, &[TensorDesc]) -> u64,
}

impl std::fmt::Debug for OpDef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpDef").field("name", &self.name).finish_non_exhaustive()
    }
}

impl PartialEq for &'static OpDef {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// The inputs and attributes of one node, as descriptions (inference) or data (reference).
pub struct Args<'a, T> {
    /// The row of the op.
    pub op: &'static OpDef,
    /// The inputs in order; `None` where an optional one is left out. Trailing ones may be missing.
    pub inputs: &'a [Option<&'a T>],
    /// The checked attributes.
    pub attrs: &'a Attrs,
}

impl<'a, T> Args<'a, T> {
    /// A required input.
    ///
    /// # Errors
    /// [`OpError::MissingInput`] when it was left out.
    pub fn input(&self, i: usize) -> Result<&'a T, OpError> {
        self.optional(i).ok_or_else(|| OpError::MissingInput {
            name: self.op.inputs.get(i).map_or("?", |s| s.name),
            index: i,
        })
    }

    /// An input that may be left out.
    pub fn optional(&self, i: usize) -> Option<&'a T> {
        self.inputs.get(i).copied().flatten()
    }
}

/// Why an op refuses its inputs or attributes.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OpError {
    /// A required input was left out.
    #[error("input {index} (`{name}`) is missing")]
    MissingInput {
        /// The input's name in the op table.
        name: &'static str,
        /// Its position, from 0.
        index: usize,
    },
    /// Too many inputs were given.
    #[error("{given} inputs given, but it takes at most {most}")]
    TooManyInputs {
        /// How many were given.
        given: usize,
        /// How many the op takes.
        most: usize,
    },
    /// An input has a type that the op does not take.
    #[error("input {index} (`{name}`) is {found}, but it takes {expected}")]
    InputType {
        /// The input's name in the op table.
        name: &'static str,
        /// Its position, from 0.
        index: usize,
        /// Its type.
        found: DType,
        /// What the op takes, in words.
        expected: &'static str,
    },
    /// An attribute is unknown, missing or out of range.
    #[error("attribute `{name}`: {reason}")]
    Attribute {
        /// The attribute.
        name: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// Shapes or types do not fit each other.
    #[error("{0}")]
    Invalid(String),
}

impl OpError {
    /// An [`OpError::Invalid`] with that message.
    pub fn invalid(message: impl Into<String>) -> Self {
        OpError::Invalid(shortened(message.into()))
    }

    /// An [`OpError::Attribute`] with that reason.
    pub fn attribute(name: &str, reason: impl Into<String>) -> Self {
        OpError::Attribute { name: name.into(), reason: shortened(reason.into()) }
    }
}

/// A message that quotes a long list from a file would hide what it says.
fn shortened(mut message: String) -> String {
    const MOST: usize = 400;
    if message.chars().count() > MOST {
        message = message.chars().take(MOST).chain(" ...".chars()).collect();
    }
    message
}
