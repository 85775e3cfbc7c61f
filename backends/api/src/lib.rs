//! What a backend implements, and what the runtime may expect of it.
//!
//! A [`Backend`] lists its devices and opens one. A [`Device`] says of each node whether it takes it
//! ([`Support`]), compiles a whole graph to an [`Executable`], and moves tensors in and out. It never
//! approximates and never hands work to another device by itself: what it cannot do exactly it
//! refuses with a [`Refusal`]. `backends/null` is the template to start from.
//!
//! Every object is `Send + Sync`; one [`Executable`] may run in several threads at once.
#![forbid(unsafe_code)]

pub mod attributes;
mod control;
mod error;
mod host;
mod memory;
mod weights;

use std::any::Any;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use kinograph_graph::{Graph, Node, TensorDesc};

pub use control::{CancelGuard, Control};
pub use error::{CompileError, DeviceError, Refusal, RunError};
pub use host::{HostData, HostTensor};
pub use memory::{MemoryPlan, StoredTypes};
pub use weights::{MemoryWeights, OverlaidWeights, WeightView, Weights, check_weight};

/// A kind of device: the entry of a backend in the registry.
pub trait Backend: Send + Sync {
    /// The first part of its devices' ids, such as `cpu`.
    fn name(&self) -> &str;

    /// The devices that are there now, without opening them. None is an answer, not an error.
    ///
    /// # Errors
    /// When asking fails, such as for a driver that does not load.
    fn devices(&self) -> Result<Vec<DeviceInfo>, DeviceError>;

    /// Opens the device of that id.
    ///
    /// # Errors
    /// When there is none, an option is unknown or the device does not open.
    fn open(&self, id: &str, options: &DeviceOptions) -> Result<Arc<dyn Device>, DeviceError>;
}

/// What is known of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// The id by which a host chooses it, such as `cpu` or `wgpu:0`.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Facts in order, such as SIMD level, driver, limits.
    pub facts: Vec<(String, String)>,
}

impl DeviceInfo {
    /// The fact of that name, if the device tells it.
    pub fn fact(&self, name: &str) -> Option<&str> {
        self.facts.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// How a device is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceOptions {
    /// Threads that it may use; `None` leaves it to the device.
    pub threads: Option<usize>,
    /// Options of the one backend, by name; unknown ones are refused.
    pub extra: BTreeMap<String, String>,
    /// A directory of the host's own in which a device may keep, from one process to the next, what takes long to find again:
    /// compiled kernels, measurements. It is trusted as much as the program's own files. `None` keeps nothing.
    pub cache: Option<PathBuf>,
}

/// Whether a device takes a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Support {
    /// It does, exactly as the op table says.
    Yes,
    /// It does not.
    No(Refusal),
}

impl Support {
    /// True for [`Support::Yes`].
    pub fn is_yes(&self) -> bool {
        matches!(self, Support::Yes)
    }
}

/// An opened device.
pub trait Device: Send + Sync {
    /// What is known of it.
    fn info(&self) -> &DeviceInfo;

    /// Whether it takes this node of this graph. A pure answer: the same question gives the same answer.
    fn support(&self, graph: &Graph, node: &Node) -> Support;

    /// Compiles a graph whose nodes it supports. The executable keeps the weights alive and may read
    /// them in place.
    ///
    /// # Errors
    /// A node that is not supported, a weight that is missing or of another shape, a device error.
    fn compile(
        &self,
        graph: Arc<Graph>,
        weights: Arc<dyn Weights>,
    ) -> Result<Arc<dyn Executable>, CompileError>;

    /// As [`compile`](Self::compile), but each node is computed by itself as the op table says: nothing is fused, and what is
    /// rounded after each node stays so. Reproducible numerics need it of ordinary ops. The default is `compile`, for
    /// devices that do so anyway.
    ///
    /// # Errors
    /// As `compile`.
    fn compile_separately(
        &self,
        graph: Arc<Graph>,
        weights: Arc<dyn Weights>,
    ) -> Result<Arc<dyn Executable>, CompileError> {
        self.compile(graph, weights)
    }

    /// What [`compile`](Self::compile) and a run would need, without the weights: `stored` tells the type that each
    /// is stored in. The default is [`MemoryPlan::estimate`]; a device that plans its memory says what it would do.
    ///
    /// # Errors
    /// As `compile`.
    fn plan(&self, graph: &Graph, stored: StoredTypes<'_>) -> Result<MemoryPlan, CompileError> {
        MemoryPlan::estimate(graph, stored)
    }

    /// The parts that a graph is cut into, in the order in which they run: the id of the device and the number of nodes of
    /// each. A device that computes whole graphs itself has one.
    fn partitions(&self, graph: &Graph) -> Vec<(String, usize)> {
        vec![(self.info().id.clone(), graph.nodes().len())]
    }

    /// Whether its memory lies apart from the host's, so that what the host need not see had better stay there. A sampler then moves
    /// its state on by a graph on the device. False unless a device says otherwise.
    fn is_apart(&self) -> bool {
        false
    }

    /// Gives back memory that it keeps for later runs, such as buffers that are not in use. By default it keeps none.
    fn trim(&self) {}

    /// Moves a tensor to the device.
    ///
    /// # Errors
    /// When the device has no room or is lost.
    fn upload(&self, tensor: HostTensor) -> Result<BufferRef, DeviceError>;

    /// Moves a tensor back. A buffer of another device is an error.
    ///
    /// # Errors
    /// When the buffer is of another device, or the device is lost.
    fn download(&self, buffer: &BufferRef) -> Result<HostTensor, DeviceError>;
}

/// A tensor on a device.
pub trait Buffer: Send + Sync {
    /// Its type and shape.
    fn desc(&self) -> &TensorDesc;

    /// The backend's own type, for the backend to recognise.
    fn as_any(&self) -> &dyn Any;
}

/// A shared tensor on a device.
pub type BufferRef = Arc<dyn Buffer>;

/// A graph compiled for one device.
pub trait Executable: Send + Sync {
    /// The graph as it was given.
    fn graph(&self) -> &Graph;

    /// What it holds and needs.
    fn memory(&self) -> MemoryPlan;

    /// Runs it: inputs in the order of [`Graph::inputs`], outputs in that of [`Graph::outputs`].
    ///
    /// # Errors
    /// [`RunError::Cancelled`] soon after [`Control::cancel`]; inputs that do not fit the graph;
    /// device errors. After an error the executable may be run again.
    fn run(&self, inputs: &[BufferRef], control: &Control) -> Result<Vec<BufferRef>, RunError>;

    /// As [`run`](Self::run), of inputs that the caller gives away: the memory of one that nobody else holds may be free, or
    /// hold an output, as soon as the last step that reads it is done. By default they are dropped when the run has ended.
    ///
    /// # Errors
    /// As `run`; the inputs are gone then too.
    fn run_owned(&self, inputs: Vec<BufferRef>, control: &Control) -> Result<Vec<BufferRef>, RunError> {
        self.run(&inputs, control)
    }
}

/// Checks the inputs of a run against the graph, for backends to call first.
///
/// # Errors
/// [`RunError::Input`] that names the input.
pub fn check_inputs(graph: &Graph, inputs: &[BufferRef]) -> Result<(), RunError> {
    if inputs.len() != graph.inputs().len() {
        return Err(RunError::Input {
            name: graph.name().to_owned(),
            reason: format!("takes {} inputs, but {} were given", graph.inputs().len(), inputs.len()),
        });
    }
    for (&id, buffer) in graph.inputs().iter().zip(inputs) {
        let value = graph.value(id);
        if value.desc != *buffer.desc() {
            return Err(RunError::Input {
                name: value.name.clone(),
                reason: format!("must be {}, but {} was given", value.desc, buffer.desc()),
            });
        }
    }
    Ok(())
}
