//! Two devices as one: what the first does not take goes to the second.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use kinograph_backend::{
    Buffer, BufferRef, CompileError, Control, Device, DeviceError, DeviceInfo, Executable, HostTensor,
    MemoryPlan, RunError, StoredTypes, Support, Weights, check_inputs,
};
use kinograph_graph::passes::{Part, extract, remove_dead, runs_by_owner};
use kinograph_graph::{Graph, Node, OpError, TensorDesc, ValueId};

/// A device whose graphs are cut where it does not take a node; those parts run on another device, and tensors move
/// between the two through the host's memory. Plans show the parts.
pub struct Fallback {
    info: DeviceInfo,
    devices: [Arc<dyn Device>; 2],
}

impl Fallback {
    /// `first` with `second` for what it does not take. It goes by the id of the first.
    pub fn new(first: Arc<dyn Device>, second: Arc<dyn Device>) -> Self {
        let mut info = first.info().clone();
        info.facts.push(("fallback".into(), second.info().id.clone()));
        Self { info, devices: [first, second] }
    }

    /// Runs of nodes with the device of each.
    fn runs(&self, graph: &Graph) -> Vec<(usize, Vec<usize>)> {
        let owner = |node| usize::from(!self.devices[0].support(graph, node).is_yes());
        runs_by_owner(graph, &graph.nodes().iter().map(owner).collect::<Vec<_>>())
    }

    /// Cuts a graph and compiles its parts.
    fn cut(
        &self,
        graph: Arc<Graph>,
        compile: impl Fn(&dyn Device, Arc<Graph>) -> Result<Arc<dyn Executable>, CompileError>,
    ) -> Result<Arc<dyn Executable>, CompileError> {
        // Nodes that nothing reads would make parts without outputs.
        let live = remove_dead(&graph).map_err(defect)?;
        let mut parts = Vec::new();
        for (device, part) in self.parts(&live).map_err(defect)? {
            let executable = compile(&*self.devices[device], Arc::new(part.graph))?;
            parts.push(Step { device, executable, inputs: part.inputs, outputs: part.outputs });
        }
        Ok(Arc::new(Cut { graph, live, parts, devices: self.devices.clone() }))
    }

    fn parts(&self, graph: &Graph) -> Result<Vec<(usize, Part)>, OpError> {
        self.runs(graph).into_iter().map(|(owner, nodes)| Ok((owner, extract(graph, &nodes)?))).collect()
    }
}

fn defect(error: OpError) -> CompileError {
    CompileError::Device(DeviceError::Internal(format!("a graph was not cut into parts: {error}")))
}

impl Device for Fallback {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn support(&self, graph: &Graph, node: &Node) -> Support {
        match self.devices[0].support(graph, node) {
            Support::Yes => Support::Yes,
            Support::No(_) => self.devices[1].support(graph, node),
        }
    }

    fn compile(
        &self,
        graph: Arc<Graph>,
        weights: Arc<dyn Weights>,
    ) -> Result<Arc<dyn Executable>, CompileError> {
        self.cut(graph, |device, part| device.compile(part, weights.clone()))
    }

    fn compile_separately(
        &self,
        graph: Arc<Graph>,
        weights: Arc<dyn Weights>,
    ) -> Result<Arc<dyn Executable>, CompileError> {
        self.cut(graph, |device, part| device.compile_separately(part, weights.clone()))
    }

    fn plan(&self, graph: &Graph, stored: StoredTypes<'_>) -> Result<MemoryPlan, CompileError> {
        let live = remove_dead(graph).map_err(defect)?;
        let mut whole = MemoryPlan::default();
        // Values that cross a border wait on a device and, while they move, on the host.
        let mut crossing = 0u64;
        for (device, part) in self.parts(&live).map_err(defect)? {
            let plan = self.devices[device].plan(&part.graph, stored)?;
            whole.run = whole.run.max(plan.run);
            whole.weights_in_place = whole.weights_in_place.saturating_add(plan.weights_in_place);
            whole.weights_copied = whole.weights_copied.saturating_add(plan.weights_copied);
            let bytes = part.outputs.iter().map(|&id| live.value(id).desc.bytes() as u64).sum::<u64>();
            crossing = crossing.saturating_add(bytes.saturating_mul(2));
        }
        whole.run = whole.run.saturating_add(crossing);
        Ok(whole)
    }

    fn partitions(&self, graph: &Graph) -> Vec<(String, usize)> {
        let runs = self.runs(graph).into_iter();
        runs.map(|(owner, nodes)| (self.devices[owner].info().id.clone(), nodes.len())).collect()
    }

    fn trim(&self) {
        self.devices.iter().for_each(|device| device.trim());
    }

    fn upload(&self, tensor: HostTensor) -> Result<BufferRef, DeviceError> {
        Ok(Arc::new(Placed { device: 0, buffer: self.devices[0].upload(tensor)? }))
    }

    fn download(&self, buffer: &BufferRef) -> Result<HostTensor, DeviceError> {
        match buffer.as_any().downcast_ref::<Placed>() {
            Some(placed) => self.devices[placed.device].download(&placed.buffer),
            None => Err(DeviceError::Internal("the buffer is of another device".into())),
        }
    }
}

/// A buffer, and which of the devices has it.
#[derive(Clone)]
struct Placed {
    device: usize,
    buffer: BufferRef,
}

impl Buffer for Placed {
    fn desc(&self) -> &TensorDesc {
        self.buffer.desc()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// One part, compiled.
struct Step {
    device: usize,
    executable: Arc<dyn Executable>,
    inputs: Vec<ValueId>,
    outputs: Vec<ValueId>,
}

/// A graph in parts.
struct Cut {
    graph: Arc<Graph>,
    /// The graph without dead nodes, which the parts are of.
    live: Graph,
    parts: Vec<Step>,
    devices: [Arc<dyn Device>; 2],
}

impl Cut {
    /// The buffer on a device, moved there if it is on the other.
    fn on(&self, device: usize, placed: &Placed) -> Result<BufferRef, DeviceError> {
        if placed.device == device {
            return Ok(placed.buffer.clone());
        }
        self.devices[device].upload(self.devices[placed.device].download(&placed.buffer)?)
    }

    /// The last part that reads each value.
    fn last_readers(&self) -> HashMap<ValueId, usize> {
        let steps = self.parts.iter().enumerate();
        let mut last: HashMap<_, _> =
            steps.flat_map(|(n, s)| s.inputs.iter().map(move |&id| (id, n))).collect();
        last.extend(self.live.outputs().iter().map(|output| (output.value, usize::MAX)));
        last
    }
}

impl Executable for Cut {
    fn graph(&self) -> &Graph {
        &self.graph
    }

    fn memory(&self) -> MemoryPlan {
        self.parts.iter().map(|step| step.executable.memory()).fold(MemoryPlan::default(), |sum, plan| {
            MemoryPlan {
                run: sum.run.max(plan.run),
                // Inputs are kept until the last part has run.
                reused: 0,
                weights_in_place: sum.weights_in_place.saturating_add(plan.weights_in_place),
                weights_copied: sum.weights_copied.saturating_add(plan.weights_copied),
            }
        })
    }

    fn run(&self, inputs: &[BufferRef], control: &Control) -> Result<Vec<BufferRef>, RunError> {
        check_inputs(&self.graph, inputs)?;
        let foreign =
            || RunError::Device(DeviceError::Internal("a buffer of another device was given".into()));
        let mut values: HashMap<ValueId, Placed> = HashMap::new();
        for (&id, buffer) in self.live.inputs().iter().zip(inputs) {
            let placed = buffer.as_any().downcast_ref::<Placed>().ok_or_else(foreign)?;
            values.insert(id, placed.clone());
        }
        let last = self.last_readers();
        for (n, step) in self.parts.iter().enumerate() {
            let wanted = step.inputs.iter().map(|id| {
                let placed = values.get(id).ok_or_else(foreign)?;
                self.on(step.device, placed).map_err(RunError::Device)
            });
            let made = step.executable.run(&wanted.collect::<Result<Vec<_>, _>>()?, control)?;
            let placed = made.into_iter().map(|buffer| Placed { device: step.device, buffer });
            values.extend(step.outputs.iter().copied().zip(placed));
            values.retain(|id, _| last.get(id).is_some_and(|&reader| reader > n));
        }
        let output = |output: &kinograph_graph::Output| {
            let placed = values.get(&output.value).ok_or_else(foreign)?;
            Ok(Arc::new(placed.clone()) as BufferRef)
        };
        self.live.outputs().iter().map(output).collect()
    }
}
