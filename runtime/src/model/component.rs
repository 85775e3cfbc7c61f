use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use kinograph_backend::{
    BufferRef, CompileError, Control, Device, Executable, HostTensor, Weights, check_weight,
};
use kinograph_graph::{Bindings, Graph, GraphFile, Value};

use crate::Error;
use crate::package::{ComponentSpec, Package, PackageError};
use crate::weights::FileWeights;

/// Sizes of a graph's symbols.
pub(crate) type Sizes = Vec<(&'static str, usize)>;

/// How many compiled sizes a component keeps; the one used longest ago goes first.
const KEPT: usize = 4;

/// A graph of a model with its weights, compiled for the sizes that jobs ask for.
pub struct Component {
    name: String,
    file: GraphFile,
    bindings: Bindings,
    weights: Arc<FileWeights>,
    /// Which of the graph's outputs the runtime takes.
    output: usize,
    compiled: Mutex<Vec<(Sizes, Arc<dyn Executable>)>>,
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Component {
    /// Reads the graph and maps the weights, and checks that each fits the other and that the graph takes just these
    /// inputs and gives this output.
    pub(crate) fn load(
        package: &Package,
        name: &str,
        spec: &ComponentSpec,
        inputs: &[&str],
        output: &str,
    ) -> Result<Self, Error> {
        let in_component = |error| match error {
            PackageError::Graph(source) => Error::graph(name, source),
            other => Error::Package(other),
        };
        let file = package.graph(&spec.graph).map_err(in_component)?;
        let component = Self {
            name: name.to_owned(),
            output: interface(name, &file, inputs, output)?,
            file,
            bindings: spec.bindings().limits(package.limits().clone()),
            weights: Arc::new(package.weights(&spec.weights)?),
            compiled: Mutex::default(),
        };
        let graph = component.graph(&Vec::new())?;
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
        checked.map_err(|source| Error::compile(&self.name, source))
    }

    /// The component's name: a text encoder's own, or `backbone`, `decoder`, `encoder`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The graph file.
    pub fn file(&self) -> &GraphFile {
        &self.file
    }

    /// Bytes of its weight files.
    pub fn weight_bytes(&self) -> u64 {
        self.weights.bytes()
    }

    /// The static graph at the sizes that its file assumes for inspection.
    ///
    /// # Errors
    /// Those of binding.
    pub fn inspect(&self) -> Result<Graph, Error> {
        self.graph(&Vec::new())
    }

    /// The static graph for these sizes; symbols that the file does not have are left out.
    fn graph(&self, sizes: &Sizes) -> Result<Graph, Error> {
        let declared = |name: &str| self.file.symbols.iter().any(|(s, _)| s == name);
        let bindings = sizes
            .iter()
            .filter(|(name, _)| declared(name))
            .fold(self.bindings.clone(), |b, (name, size)| b.symbol(*name, *size));
        self.file.bind(&bindings).map_err(|source| Error::graph(&self.name, source))
    }

    /// The executable for these sizes, compiled now or before. Jobs that ask at the same time wait for each other, so
    /// that none compiles what another is compiling.
    pub(crate) fn prepare(&self, device: &dyn Device, sizes: Sizes) -> Result<Arc<dyn Executable>, Error> {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(position) = compiled.iter().position(|(s, _)| *s == sizes) {
            let known = compiled.remove(position);
            let executable = known.1.clone();
            compiled.insert(0, known);
            return Ok(executable);
        }
        let graph = Arc::new(self.graph(&sizes)?);
        let weights: Arc<dyn Weights> = self.weights.clone();
        let made = device.compile(graph, weights).map_err(|source| Error::compile(&self.name, source))?;
        compiled.truncate(KEPT - 1);
        compiled.insert(0, (sizes, made.clone()));
        Ok(made)
    }

    /// Moves a tensor to the device for this component.
    pub(crate) fn upload(&self, device: &dyn Device, tensor: HostTensor) -> Result<BufferRef, Error> {
        device.upload(tensor).map_err(|e| Error::device(&self.name, e))
    }

    /// Runs an executable of this component and moves its output back.
    pub(crate) fn run(
        &self,
        device: &dyn Device,
        executable: &dyn Executable,
        inputs: &[BufferRef],
        control: &Control,
    ) -> Result<HostTensor, Error> {
        let device_error = |e| Error::device(&self.name, e);
        let outputs = executable.run(inputs, control).map_err(|e| Error::run(&self.name, e))?;
        match outputs.get(self.output) {
            Some(output) => device.download(output).map_err(device_error),
            None => Err(Error::Component { component: self.name.clone(), reason: "gave no output".into() }),
        }
    }
}

/// Checks that a graph takes just these inputs and has this output, and gives the output's position.
fn interface(component: &str, file: &GraphFile, inputs: &[&str], output: &str) -> Result<usize, Error> {
    let fail = |reason| Error::Component { component: component.to_owned(), reason };
    let found: Vec<&str> = file.inputs.iter().map(|i| i.name.as_str()).collect();
    if found != inputs {
        return Err(fail(format!(
            "its graph must take the inputs {inputs:?} in this order, but takes {found:?}"
        )));
    }
    file.outputs
        .iter()
        .position(|(name, _)| name == output)
        .ok_or_else(|| fail(format!("its graph must have an output `{output}`")))
}
