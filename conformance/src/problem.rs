//! A graph with its data: what a device is given, and what must come back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use kinograph::Precision;
use kinograph_backend::{Control, Device, Executable, HostTensor, MemoryWeights, Support, Weights};
use kinograph_graph::{Args, DType, Graph, OpError, Source, Tensor, ValueId, passes};

use crate::oracle::{self, Mode, Values};
use crate::run::RunFailure;
use crate::verdict::Verdict;

/// A graph, its weights as they are stored, and its inputs.
#[derive(Clone)]
pub struct Problem {
    pub(crate) graph: Arc<Graph>,
    pub(crate) weights: Arc<MemoryWeights>,
    pub(crate) inputs: Vec<HostTensor>,
    /// Each input and weight as the reference sees it.
    pub(crate) feed: Arc<BTreeMap<String, Tensor>>,
}

/// What a device made of a problem, and how long one run took.
pub struct Answer {
    /// The outputs in the order of the graph.
    pub outputs: Vec<HostTensor>,
    /// The run, without compiling and moving tensors.
    pub seconds: f64,
}

impl Problem {
    /// A problem whose tensors are all there. A weight that is not in `stored` is stored in the type it is computed in.
    ///
    /// # Errors
    /// When a tensor is missing, or has another shape than the graph says.
    pub fn new(
        graph: Graph,
        feed: BTreeMap<String, Tensor>,
        stored: &BTreeMap<String, DType>,
    ) -> Result<Self, OpError> {
        let mut weights = MemoryWeights::new();
        let mut inputs = Vec::new();
        for &id in graph.inputs().iter().chain(graph.weights()) {
            let value = graph.value(id);
            let tensor =
                feed.get(&value.name).filter(|t| t.shape() == value.desc.shape).ok_or_else(|| {
                    OpError::invalid(format!("there is no tensor for `{}`, {}", value.name, value.desc))
                })?;
            if value.source == Source::Input {
                inputs.push(HostTensor::from_reference(tensor, value.desc.dtype));
                continue;
            }
            let dtype = stored.get(&value.name).copied().unwrap_or(value.desc.dtype);
            let bytes = HostTensor::from_reference(tensor, dtype).data().as_bytes().to_vec();
            weights.insert(&value.name, dtype, value.desc.shape.clone(), bytes);
        }
        Ok(Self { graph: Arc::new(graph), weights: Arc::new(weights), inputs, feed: Arc::new(feed) })
    }

    /// Replaces an input, whose shape and type stay as the graph says.
    pub(crate) fn set_input(&mut self, input: usize, tensor: Tensor) {
        let value = self.graph.value(self.graph.inputs()[input]);
        let tensor = tensor.map(|v| value.desc.dtype.quantize(v));
        self.inputs[input] = HostTensor::from_reference(&tensor, value.desc.dtype);
        let name = value.name.clone();
        Arc::make_mut(&mut self.feed).insert(name, tensor);
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Compiles it, after asking the device of each node.
    ///
    /// # Errors
    /// A refusal, or what compiling gives.
    pub fn compile(&self, device: &dyn Device) -> Result<Arc<dyn Executable>, RunFailure> {
        self.refusal(device).map_or(Ok(()), Err)?;
        Ok(device.compile(self.graph.clone(), self.weights.clone() as Arc<dyn Weights>)?)
    }

    /// Why the device does not take a node of it, if so.
    pub fn refusal(&self, device: &dyn Device) -> Option<RunFailure> {
        self.graph.nodes().iter().find_map(|node| match device.support(&self.graph, node) {
            Support::No(refusal) => Some(RunFailure::Refused(refusal)),
            Support::Yes => None,
        })
    }

    /// Runs it.
    ///
    /// # Errors
    /// A refusal, or what the device says.
    pub fn on(&self, device: &dyn Device) -> Result<Answer, RunFailure> {
        let executable = self.compile(device)?;
        let inputs = self.inputs.iter().map(|t| device.upload(t.clone())).collect::<Result<Vec<_>, _>>()?;
        let begin = Instant::now();
        let outputs = executable.run(&inputs, &Control::new())?;
        let seconds = begin.elapsed().as_secs_f64();
        let outputs = outputs.iter().map(|buffer| device.download(buffer)).collect::<Result<Vec<_>, _>>()?;
        self.check(&outputs)?;
        Ok(Answer { outputs, seconds })
    }

    fn check(&self, outputs: &[HostTensor]) -> Result<(), RunFailure> {
        let due: Vec<_> = self.graph.outputs().iter().map(|o| &self.graph.value(o.value).desc).collect();
        let found: Vec<_> = outputs.iter().map(HostTensor::desc).collect();
        if due == found {
            return Ok(());
        }
        let list = |descs: &[&kinograph_graph::TensorDesc]| {
            descs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        Err(RunFailure::Outputs { due: list(&due), found: list(&found) })
    }

    /// Every value of the graph, in f64.
    ///
    /// # Errors
    /// Data outside of what an op takes.
    pub fn evaluate(&self, mode: Mode) -> Result<Values, OpError> {
        let find = |name: &str| {
            self.feed.get(name).cloned().ok_or_else(|| OpError::invalid(format!("`{name}` is not there")))
        };
        oracle::evaluate(&self.graph, mode, find)
    }

    /// What is due, and how far a device may be from it.
    ///
    /// # Errors
    /// Data outside of what an op takes.
    pub fn due(&self) -> Result<Due, OpError> {
        let values = self.evaluate(Mode::Exact)?;
        let exact = oracle::outputs(&self.graph, &values)?;
        let reach = match self.graph.nodes() {
            [node] => {
                let inputs: Vec<Option<&Tensor>> =
                    node.inputs.iter().map(|id| id.and_then(|id| values[id.index()].as_ref())).collect();
                let args = Args { op: node.op, inputs: &inputs, attrs: &node.attrs };
                let made: Vec<Tensor> =
                    node.outputs.iter().filter_map(|id| values[id.index()].clone()).collect();
                Reach::Elements(oracle::bounds(&args, &made)?)
            }
            _ => Reach::Measured(self.measure(&values)?),
        };
        Ok(Due { exact, reach })
    }

    /// The digest of the exact outputs, each rounded once to its type.
    ///
    /// # Errors
    /// Data outside of what an op takes.
    pub fn exact_digest(&self) -> Result<String, OpError> {
        Ok(digest(&self.exact()?))
    }

    /// The same problem in ops that are defined to the bit.
    ///
    /// # Errors
    /// An op that has no such form.
    pub fn reproducible(&self, precision: Precision) -> Result<Self, OpError> {
        let graph = passes::reproducible(&self.graph, precision.slices())?;
        Ok(Self { graph: Arc::new(graph), ..self.clone() })
    }

    /// The exact outputs, each rounded once to its type.
    ///
    /// # Errors
    /// Data outside of what an op takes.
    pub fn exact(&self) -> Result<Vec<HostTensor>, OpError> {
        let exact = oracle::outputs(&self.graph, &self.evaluate(Mode::Exact)?)?;
        Ok(exact.iter().map(|t| HostTensor::from_reference(t, t.dtype())).collect())
    }

    fn measure(&self, exact: &Values) -> Result<Vec<Spread>, OpError> {
        let spreads = self.spreads(exact)?;
        Ok(self.graph.outputs().iter().map(|o| spreads[o.value.index()]).collect())
    }

    /// How far each value of the graph is moved by devices at their bounds.
    ///
    /// # Errors
    /// Data outside of what an op takes.
    pub fn spreads(&self, exact: &Values) -> Result<Vec<Spread>, OpError> {
        let mut spreads = vec![Spread::default(); exact.len()];
        for seed in SEEDS {
            let moved = self.evaluate(Mode::AtBounds(seed))?;
            for ((spread, exact), moved) in spreads.iter_mut().zip(exact).zip(&moved) {
                if let (Some(exact), Some(moved)) = (exact, moved) {
                    *spread = spread.larger(Spread::between(exact.data(), moved.data()));
                }
            }
        }
        Ok(spreads)
    }

    /// The first nodes of it as a problem of their own, with the values that it gives.
    ///
    /// # Errors
    /// Those of building the graph.
    pub(crate) fn part(&self, nodes: &[usize], values: &Values) -> Result<(Self, Vec<ValueId>), OpError> {
        let part = passes::extract(&self.graph, nodes)?;
        let mut feed: BTreeMap<String, Tensor> = BTreeMap::new();
        for (&own, &id) in part.graph.inputs().iter().zip(&part.inputs) {
            let value = part.graph.value(own);
            let missing = || OpError::invalid(format!("`{}` was not computed", value.name));
            let tensor = values[id.index()].as_ref().ok_or_else(missing)?;
            feed.insert(value.name.clone(), tensor.map(|v| value.desc.dtype.quantize(v)));
        }
        let mut stored = BTreeMap::new();
        for &id in part.graph.weights() {
            let name = &part.graph.value(id).name;
            if let Some(tensor) = self.feed.get(name) {
                feed.insert(name.clone(), tensor.clone());
            }
            stored.extend(self.weights.get(name).map(|view| (name.clone(), view.dtype)));
        }
        Ok((Self::new(part.graph, feed, &stored)?, part.outputs))
    }
}

/// Two coins show whether one was lucky.
const SEEDS: [u64; 2] = [1, 2];

/// How far a tensor is from another.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// The norm of the difference over the norm of the exact one.
    pub relative: f64,
    /// The largest difference of an element.
    pub largest: f64,
}

impl Spread {
    /// How far `found` is from `exact`; infinitely where one is NaN or infinite and the other is not the same.
    pub fn between(exact: &[f64], found: &[f64]) -> Self {
        let (mut error, mut norm, mut largest) = (0.0, 0.0, 0.0f64);
        for (&e, &f) in exact.iter().zip(found) {
            let same = e == f || (e.is_nan() && f.is_nan());
            let difference = if same { 0.0 } else { (e - f).abs() };
            let difference = if difference.is_nan() { f64::INFINITY } else { difference };
            largest = largest.max(difference);
            error += difference * difference;
            norm += if e.is_finite() { e * e } else { 0.0 };
        }
        let relative = if error == 0.0 { 0.0 } else { (error / norm).sqrt() };
        Self { relative, largest }
    }

    fn larger(self, other: Self) -> Self {
        Self { relative: self.relative.max(other.relative), largest: self.largest.max(other.largest) }
    }

    /// The share of `self` that a difference is: above 1 it is beyond.
    pub fn share(self, found: Self) -> f64 {
        let part = |found: f64, most: f64| match found {
            0.0 => 0.0,
            found => found / most,
        };
        let share = part(found.relative, self.relative).max(part(found.largest, self.largest));
        if share.is_nan() { f64::INFINITY } else { share }
    }
}

/// What a problem's answer may be.
pub struct Due {
    /// The exact outputs.
    pub exact: Vec<Tensor>,
    pub(crate) reach: Reach,
}

pub(crate) enum Reach {
    /// One op: a bound for each element; `None` where all must be exact.
    Elements(Option<Vec<Vec<f64>>>),
    /// A graph: how far devices at the bounds of each op are from the exact output.
    Measured(Vec<Spread>),
}

impl Due {
    /// Holds outputs against what is due.
    pub fn judge(&self, case: String, outputs: &[HostTensor]) -> Verdict {
        let mut verdict = Verdict::new(case);
        for (o, (exact, output)) in self.exact.iter().zip(outputs).enumerate() {
            let dtype = exact.dtype();
            let found = output.data().to_f64();
            match &self.reach {
                Reach::Elements(bounds) => {
                    for (i, (&expected, &found)) in exact.data().iter().zip(&found).enumerate() {
                        // Integers have no roundoff to count in.
                        let bound = bounds.as_ref().filter(|_| dtype.is_float()).map(|b| b[o][i]);
                        verdict.compare(dtype, (o, i), expected, found, bound);
                    }
                }
                Reach::Measured(spreads) => verdict.compare_whole(exact, o, &found, spreads[o]),
            }
        }
        verdict
    }

    /// The digest of the exact outputs, each rounded once to its type.
    pub fn digest(&self) -> String {
        let rounded: Vec<HostTensor> =
            self.exact.iter().map(|t| HostTensor::from_reference(t, t.dtype())).collect();
        digest(&rounded)
    }
}

/// BLAKE3 of tensors: types, shapes and elements, all NaNs counting as one. 16 hexadecimal digits.
pub fn digest(tensors: &[HostTensor]) -> String {
    let mut hasher = blake3::Hasher::new();
    for tensor in tensors {
        hasher.update(tensor.desc().to_string().as_bytes());
        if !tensor.desc().dtype.is_float() {
            hasher.update(tensor.data().as_bytes());
            continue;
        }
        // Every float is an f32 too, and there all NaNs can be made one.
        for value in tensor.data().to_f64() {
            let value = if value.is_nan() { f32::NAN } else { value as f32 };
            hasher.update(&value.to_le_bytes());
        }
    }
    hasher.finalize().to_hex()[..16].to_owned()
}
