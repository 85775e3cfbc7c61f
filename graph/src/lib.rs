//! What a Kinograph model is: a table of operations, a TOML format for op graphs, and the inference
//! and validation that turn a file into a static, typed [`Graph`]. Pure data: nothing here knows a device.
//!
//! ```
//! use kinograph_graph::{Bindings, GraphFile};
//!
//! let file = GraphFile::parse("gate.toml", r#"
//! format = 1
//! name = "gate"
//! symbols = { B = 1 }
//! params = { dim = 4 }
//! inputs = { x = { shape = ["B", "dim"] } }
//! weights = { "fc.weight" = ["2*dim", "dim"] }
//! nodes = [
//!   { op = "Linear", in = ["x", "fc.weight"], out = "h" },
//!   { op = "Split", in = ["h"], out = ["a", "b"], axis = 1, sizes = ["dim", "dim"] },
//!   { op = "Swish", in = ["a"], out = "a" },
//!   { op = "Mul", in = ["a", "b"], out = "y" },
//! ]
//! outputs = { y = "y" }
//! "#)?;
//! let graph = file.bind(&Bindings::new().symbol("B", 3))?;
//! assert_eq!(graph.value(graph.outputs()[0].value).desc.shape, [3, 4]);
//! # Ok::<(), kinograph_graph::GraphError>(())
//! ```
#![forbid(unsafe_code)]

mod attrs;
mod bind;
mod dtype;
mod error;
mod eval;
mod expr;
pub mod format;
mod infer;
mod ir;
mod limits;
pub mod models;
mod nearest;
mod op;
pub mod ops;
pub mod passes;
mod tensor;

pub use attrs::{Attr, AttrDefault, AttrKind, AttrSpec, Attrs};
pub use bind::Bindings;
pub use dtype::DType;
pub use error::{GraphError, GraphErrorKind, Location};
pub use eval::evaluate;
pub use expr::{Expr, ExprError, Number};
pub use format::GraphFile;
pub use ir::{Graph, GraphBuilder, Node, NodeId, Output, Source, Value, ValueId};
pub use limits::Limits;
pub use nearest::nearest;
pub use op::{Args, Bound, BoundFn, InputSpec, OpDef, OpError, Types};
pub use tensor::{Tensor, TensorDesc};
