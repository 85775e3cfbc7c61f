use std::sync::{Arc, Mutex, PoisonError};

use kinograph_backend::{BufferRef, Control, Device, Executable, HostTensor, Weights, check_weight};
use kinograph_graph::{Bindings, Graph, GraphFile};

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
    compiled: Mutex<Vec<(Sizes, Arc<dyn Executable>)>>,
}

impl Component {
    /// Reads the graph and maps the weights, and checks that each fits the other.
    pub(crate) fn load(package: &Package, name: &str, spec: &ComponentSpec) -> Result<Self, Error> {
        let in_component = |error| match error {
            PackageError::Graph(source) => Error::Graph { component: name.to_owned(), source },
            other => Error::Package(other),
        };
        let component = Self {
            name: name.to_owned(),
            file: package.graph(&spec.graph).map_err(in_component)?,
            bindings: spec.bindings(),
            weights: Arc::new(package.weights(&spec.weights)?),
            compiled: Mutex::default(),
        };
        let graph = component.graph(&Vec::new())?;
        for &id in graph.weights() {
            let value = graph.value(id);
            check_weight(&*component.weights, &value.name, &value.desc)
                .map_err(|source| Error::Compile { component: name.to_owned(), source })?;
        }
        Ok(component)
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
        self.file.bind(&bindings).map_err(|source| Error::Graph { component: self.name.clone(), source })
    }

    /// Checks that the graph takes just these inputs and gives this output.
    pub(crate) fn require(&self, inputs: &[&str], output: &str) -> Result<(), Error> {
        let found: Vec<&str> = self.file.inputs.iter().map(|i| i.name.as_str()).collect();
        let fail = |reason| Err(Error::Component { component: self.name.clone(), reason });
        if found != inputs {
            return fail(format!(
                "its graph must take the inputs {inputs:?} in this order, but takes {found:?}"
            ));
        }
        match self.file.outputs.iter().any(|(name, _)| name == output) {
            true => Ok(()),
            false => fail(format!("its graph must have an output `{output}`")),
        }
    }

    /// The executable for these sizes, compiled now or before.
    pub(crate) fn prepare(&self, device: &dyn Device, sizes: Sizes) -> Result<Arc<dyn Executable>, Error> {
        if let Some(known) = self.find(&sizes) {
            return Ok(known);
        }
        let graph = Arc::new(self.graph(&sizes)?);
        let weights: Arc<dyn Weights> = self.weights.clone();
        let made = device
            .compile(graph, weights)
            .map_err(|source| Error::Compile { component: self.name.clone(), source })?;
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        compiled.truncate(KEPT - 1);
        compiled.insert(0, (sizes, made.clone()));
        Ok(made)
    }

    fn find(&self, sizes: &Sizes) -> Option<Arc<dyn Executable>> {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        let position = compiled.iter().position(|(s, _)| s == sizes)?;
        let entry = compiled.remove(position);
        compiled.insert(0, entry);
        Some(compiled[0].1.clone())
    }

    /// Runs an executable of this component on host tensors.
    pub(crate) fn run(
        &self,
        device: &dyn Device,
        executable: &dyn Executable,
        inputs: Vec<HostTensor>,
        control: &Control,
    ) -> Result<HostTensor, Error> {
        let device_error = |e| Error::device(&self.name, e);
        let inputs: Vec<BufferRef> =
            inputs.into_iter().map(|t| device.upload(t)).collect::<Result<_, _>>().map_err(device_error)?;
        let outputs = executable.run(&inputs, control).map_err(|e| Error::run(&self.name, e))?;
        match outputs.first() {
            Some(first) => device.download(first).map_err(device_error),
            None => Err(Error::Component { component: self.name.clone(), reason: "gave no output".into() }),
        }
    }
}
