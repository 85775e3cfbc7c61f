use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use kinograph_backend::{
    BufferRef, CompileError, Control, Device, Executable, HostData, HostTensor, MemoryPlan, StoredTypes,
    Support, Weights, check_weight,
};
use kinograph_graph::passes::{self, Invariant};
use kinograph_graph::{Bindings, DType, Graph, GraphFile, Node, TensorDesc, Value};

use crate::Error;
use crate::package::{ComponentSpec, Package, PackageError};
use crate::weights::FileWeights;

/// Sizes of a graph's symbols.
pub(crate) type Sizes = Vec<(&'static str, usize)>;

/// What runs of a component leave for the next ones of the same stream, by the names of the states.
#[derive(Default)]
pub(crate) struct States(BTreeMap<String, BufferRef>);

/// How many compiled sizes a component keeps; the one used longest ago goes first. A frame in tiles has up to eight: whole
/// ones and shorter last ones along three axes.
const KEPT: usize = 8;

/// What the runtime wants of a component's graph.
pub(crate) struct Interface {
    pub(crate) inputs: &'static [&'static str],
    pub(crate) output: &'static str,
    /// The inputs that differ from one run of a job to the next.
    varying: &'static [&'static str],
}

impl Interface {
    /// Of a component that is run anew each time.
    const fn new(inputs: &'static [&'static str], output: &'static str) -> Self {
        Self { inputs, output, varying: inputs }
    }
}

/// A text encoder's.
pub(crate) const TEXT: Interface = Interface::new(&["ids", "mask"], "text");
/// The backbone's.
pub(crate) const BACKBONE: Interface = Interface {
    inputs: &["latent", "time", "text", "text_mask"],
    output: "velocity",
    varying: &["latent", "time"],
};
/// The decoder's.
pub(crate) const DECODER: Interface = Interface::new(&["latent"], "video");
/// The encoder's.
pub(crate) const ENCODER: Interface = Interface::new(&["video"], "latent");

/// A component's graph with its parameters, without weights.
pub(crate) struct Blueprint {
    pub(crate) name: String,
    pub(crate) file: GraphFile,
    bindings: Bindings,
    /// Which of the graph's outputs the runtime takes.
    output: usize,
    varying: &'static [&'static str],
}

impl Blueprint {
    /// Reads the graph and checks that it takes just the inputs and gives the output that the runtime wants.
    pub(crate) fn load(
        package: &Package,
        name: &str,
        spec: &ComponentSpec,
        interface: &Interface,
    ) -> Result<Self, Error> {
        let in_component = |error| match error {
            PackageError::Graph(source) => Error::graph(name, source),
            other => Error::Package(other),
        };
        let file = package.graph(&spec.graph).map_err(in_component)?;
        Ok(Self {
            name: name.to_owned(),
            output: output(name, &file, interface)?,
            varying: interface.varying,
            file,
            bindings: spec.bindings().limits(package.limits().clone()),
        })
    }

    /// Whether the file has a symbol of that name.
    fn declares(&self, name: &str) -> bool {
        self.file.symbols.iter().any(|(symbol, _)| symbol == name)
    }

    /// The static graph for these sizes; symbols that the file does not have are left out.
    pub(crate) fn graph(&self, sizes: &Sizes) -> Result<Graph, Error> {
        let bindings = sizes
            .iter()
            .filter(|(name, _)| self.declares(name))
            .fold(self.bindings.clone(), |b, (name, size)| b.symbol(*name, *size));
        self.file.bind(&bindings).map_err(|source| Error::graph(&self.name, source))
    }

    /// A graph of this component cut into what is computed once for all steps of a job, and the rest; nothing when that is
    /// not worth it.
    pub(crate) fn cut(&self, graph: &Graph) -> Result<Option<Invariant>, Error> {
        let defect = |e| Error::Component {
            component: self.name.clone(),
            reason: format!("its graph was not cut into parts: {e}"),
        };
        passes::invariant(graph, self.varying).map_err(defect)
    }

    /// Bytes of the states that a run at these sizes reads, and of those among them that it leaves as they are.
    pub(crate) fn carried_bytes(&self, sizes: &Sizes) -> Result<(u64, u64), Error> {
        if !self.file.has_states() {
            return Ok((0, 0));
        }
        let graph = self.graph(sizes)?;
        let (mut all, mut kept) = (0, 0);
        for state in graph.states() {
            let bytes = state.input.map_or(0, |at| graph.value(graph.inputs()[at]).desc.bytes() as u64);
            all += bytes;
            kept += if state.output.is_none() { bytes } else { 0 };
        }
        Ok((all, kept))
    }

    /// What the device would need for a graph of this component.
    pub(crate) fn memory(
        &self,
        device: &dyn Device,
        graph: &Graph,
        stored: StoredTypes<'_>,
    ) -> Result<MemoryPlan, Error> {
        device.plan(graph, stored).map_err(|source| Error::compile(&self.name, source))
    }
}

/// A graph of a model with its weights, compiled for the sizes that jobs ask for.
pub struct Component {
    blueprint: Blueprint,
    device: Arc<dyn Device>,
    weights: Arc<FileWeights>,
    compiled: Mutex<Vec<(Key, Prepared)>>,
}

/// Sizes, and whether what does not vary is computed apart.
type Key = (Sizes, bool);

/// A component compiled for some sizes.
#[derive(Clone)]
pub(crate) struct Prepared {
    /// What is computed once for all steps, of the inputs that do not vary; its outputs are inputs of `each` behind the
    /// graph's own.
    pub(crate) once: Option<Arc<dyn Executable>>,
    pub(crate) each: Arc<dyn Executable>,
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component").field("name", &self.blueprint.name).finish_non_exhaustive()
    }
}

impl Component {
    /// Reads the graph and maps the weights, and checks that each fits the other.
    pub(crate) fn load(
        package: &Package,
        name: &str,
        spec: &ComponentSpec,
        interface: &Interface,
        device: Arc<dyn Device>,
    ) -> Result<Self, Error> {
        let component = Self {
            device,
            blueprint: Blueprint::load(package, name, spec, interface)?,
            weights: Arc::new(package.weights(&spec.weights)?.with_aliases(&spec.aliases)),
            compiled: Mutex::default(),
        };
        let graph = component.inspect()?;
        graph.weights().iter().try_for_each(|&id| component.check_weight(graph.value(id)))?;
        Ok(component)
    }

    fn check_weight(&self, value: &Value) -> Result<(), Error> {
        let checked = match self.weights.unreadable(&value.name) {
            Some(stored) => Err(CompileError::Weight {
                name: value.name.clone(),
                reason: format!("it is stored as {stored}, which graphs cannot read"),
            }),
            None => check_weight(&*self.weights, &value.name, &value.desc).map(drop),
        };
        checked.map_err(|source| Error::compile(self.name(), source))
    }

    /// The component's name: a text encoder's own, or `backbone`, `decoder`, `encoder`.
    pub fn name(&self) -> &str {
        &self.blueprint.name
    }

    /// The device that it runs on.
    pub fn device(&self) -> &Arc<dyn Device> {
        &self.device
    }

    /// The graph file.
    pub fn file(&self) -> &GraphFile {
        &self.blueprint.file
    }

    pub(crate) fn blueprint(&self) -> &Blueprint {
        &self.blueprint
    }

    /// Bytes of its weight files.
    pub fn weight_bytes(&self) -> u64 {
        self.weights.bytes()
    }

    /// The type that a weight is stored in.
    pub(crate) fn stored(&self, name: &str) -> Option<DType> {
        self.weights.get(name).map(|view| view.dtype)
    }

    /// The static graph at the sizes that its file assumes for inspection.
    ///
    /// # Errors
    /// Those of binding.
    pub fn inspect(&self) -> Result<Graph, Error> {
        self.blueprint.graph(&Vec::new())
    }

    /// Floating-point operations of one run at these sizes.
    pub(crate) fn flops(&self, sizes: Sizes) -> Result<f64, Error> {
        Ok(self.blueprint.graph(&sizes)?.flops() as f64)
    }

    /// The executable for these sizes, compiled now or before.
    pub(crate) fn prepare(&self, sizes: Sizes) -> Result<Arc<dyn Executable>, Error> {
        Ok(self.prepared(sizes, false)?.each)
    }

    /// The executables for these sizes, compiled now or before; `apart` has what does not vary computed apart. Jobs that ask
    /// at the same time wait for each other, so that none compiles what another is compiling.
    pub(crate) fn prepared(&self, mut sizes: Sizes, apart: bool) -> Result<Prepared, Error> {
        // Sizes that differ in nothing that the graph has are one.
        sizes.retain(|(name, _)| self.blueprint.declares(name));
        let key = (sizes, apart);
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(position) = compiled.iter().position(|(known, _)| *known == key) {
            let known = compiled.remove(position);
            let prepared = known.1.clone();
            compiled.insert(0, known);
            return Ok(prepared);
        }
        let made = self.compile(&key)?;
        compiled.truncate(KEPT - 1);
        compiled.insert(0, (key, made.clone()));
        Ok(made)
    }

    fn compile(&self, (sizes, apart): &Key) -> Result<Prepared, Error> {
        let graph = self.blueprint.graph(sizes)?;
        self.check_support(&graph)?;
        let compile = |graph| {
            let weights: Arc<dyn Weights> = self.weights.clone();
            let made = self.device.compile(Arc::new(graph), weights);
            made.map_err(|source| Error::compile(self.name(), source))
        };
        match if *apart { self.blueprint.cut(&graph)? } else { None } {
            Some(Invariant { once, rest }) => {
                Ok(Prepared { once: Some(compile(once)?), each: compile(rest)? })
            }
            None => Ok(Prepared { once: None, each: compile(graph)? }),
        }
    }

    /// Asks the device of every node, so that a refusal names all of them.
    fn check_support(&self, graph: &Graph) -> Result<(), Error> {
        let refused = |node: &Node| match self.device.support(graph, node) {
            Support::Yes => None,
            Support::No(refusal) => Some((node.name.clone(), node.op.name.to_owned(), refusal)),
        };
        let nodes: Vec<_> = graph.nodes().iter().filter_map(refused).collect();
        if nodes.is_empty() {
            return Ok(());
        }
        let device = self.device.info().id.clone();
        Err(Error::Refused { component: self.name().to_owned(), device, nodes })
    }

    /// Forgets what was compiled, and lets the system have the pages of the weights until they are read again.
    pub(crate) fn release(&self) {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.weights.release();
        self.device.trim();
    }

    /// Whether it carries states from one piece of a clip to the next.
    pub(crate) fn streams(&self) -> bool {
        self.blueprint.file.has_states()
    }

    /// Moves a tensor to the device for this component.
    pub(crate) fn upload(&self, tensor: HostTensor) -> Result<BufferRef, Error> {
        self.device.upload(tensor).map_err(|e| Error::device(self.name(), e))
    }

    /// Runs an executable of this component on a piece of a stream and moves its output back. What the piece leaves
    /// takes the place of what the one before left; a state that none left is zeros. After an error the stream is lost.
    pub(crate) fn run_piece(
        &self,
        executable: &dyn Executable,
        inputs: Vec<BufferRef>,
        states: &mut States,
        control: &Control,
    ) -> Result<HostTensor, Error> {
        let graph = executable.graph();
        let (own, mut all) = (inputs.len(), inputs);
        // The inputs of states come after those of the file, in the order in which they are read.
        for &id in graph.inputs().iter().skip(own) {
            let value = graph.value(id);
            let changes = graph.states().iter().any(|s| s.name == value.name && s.output.is_some());
            let known =
                if changes { states.0.remove(&value.name) } else { states.0.get(&value.name).cloned() };
            all.push(known.map_or_else(|| self.upload(zeros(self.name(), &value.desc)?), Ok)?);
        }
        let outputs = executable.run_owned(all, control).map_err(|e| Error::run(self.name(), e))?;
        for state in graph.states() {
            if let Some(left) = state.output.and_then(|at| outputs.get(at)) {
                states.0.insert(state.name.clone(), left.clone());
            }
        }
        self.download(&self.output(&outputs)?)
    }

    /// Runs what is computed once; its outputs stay on the device.
    pub(crate) fn run_once(
        &self,
        executable: &dyn Executable,
        inputs: &[BufferRef],
        control: &Control,
    ) -> Result<Vec<BufferRef>, Error> {
        executable.run(inputs, control).map_err(|e| Error::run(self.name(), e))
    }

    /// Runs an executable of this component and moves its output back.
    pub(crate) fn run(
        &self,
        executable: &dyn Executable,
        inputs: &[BufferRef],
        control: &Control,
    ) -> Result<HostTensor, Error> {
        self.download(&self.run_there(executable, inputs, control)?)
    }

    /// The same, but its output stays on the device.
    pub(crate) fn run_there(
        &self,
        executable: &dyn Executable,
        inputs: &[BufferRef],
        control: &Control,
    ) -> Result<BufferRef, Error> {
        self.output(&self.run_once(executable, inputs, control)?)
    }

    /// Moves a tensor back from the device of this component.
    pub(crate) fn download(&self, buffer: &BufferRef) -> Result<HostTensor, Error> {
        self.device.download(buffer).map_err(|e| Error::device(self.name(), e))
    }

    fn output(&self, outputs: &[BufferRef]) -> Result<BufferRef, Error> {
        let none = || Error::Component { component: self.name().to_owned(), reason: "gave no output".into() };
        outputs.get(self.blueprint.output).cloned().ok_or_else(none)
    }
}

fn zeros(component: &str, desc: &TensorDesc) -> Result<HostTensor, Error> {
    let data = match desc.dtype {
        DType::F32 => HostData::F32(super::job::zeros(&desc.shape)?),
        other => HostData::from_f64(other, &vec![0.0; desc.elements()]),
    };
    HostTensor::new(desc.shape.clone(), data).map_err(|e| Error::tensor(component, e))
}

/// Checks the inputs of a graph and gives the position of the output.
fn output(component: &str, file: &GraphFile, interface: &Interface) -> Result<usize, Error> {
    let fail = |reason| Error::Component { component: component.to_owned(), reason };
    let Interface { inputs, output, .. } = interface;
    let found: Vec<&str> = file.inputs.iter().map(|i| i.name.as_str()).collect();
    if found != *inputs {
        return Err(fail(format!(
            "its graph must take the inputs {inputs:?} in this order, but takes {found:?}"
        )));
    }
    file.outputs
        .iter()
        .position(|(name, _)| name == output)
        .ok_or_else(|| fail(format!("its graph must have an output `{output}`")))
}

/// Checks that a component takes or gives f32 of that shape.
pub(crate) fn expect(
    component: &str,
    does: &str,
    found: Option<&TensorDesc>,
    shape: &[usize],
) -> Result<(), Error> {
    let expected = TensorDesc::new(DType::F32, shape);
    match found {
        Some(found) if *found == expected => Ok(()),
        found => {
            let found = found.map_or("nothing".to_owned(), ToString::to_string);
            let reason = format!("its graph {does} {found}, but this job needs {expected}");
            Err(Error::Component { component: component.to_owned(), reason })
        }
    }
}
