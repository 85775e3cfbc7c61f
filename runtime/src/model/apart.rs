//! Euler steps of a state that stays on its device from step to step.

use std::cell::RefCell;
use std::sync::Arc;

use kinograph_backend::{BufferRef, Control, Device, Executable, HostData, HostTensor, MemoryWeights};
use kinograph_graph::{Attr, DType, Graph, GraphBuilder, OpError, TensorDesc, ValueId, ops};

use crate::Error;

/// What a step of the state is called in errors.
const NAME: &str = "sampler";

/// What a device does with a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Moves it on by a velocity.
    Plain,
    /// By two, for guidance, in one tensor, the text's first.
    Joined,
    /// By two, each in a tensor of its own.
    Separate,
    /// Puts it behind itself.
    Twice,
}

/// How a device moves a state on.
pub(super) struct Steps<'a> {
    device: &'a dyn Device,
    shape: [usize; 5],
    control: &'a Control,
    compiled: RefCell<Vec<(Kind, Arc<dyn Executable>)>>,
}

/// A state that was moved on.
pub(super) struct Moved {
    pub(super) state: BufferRef,
    /// The guided velocity that it was moved by.
    pub(super) velocity: BufferRef,
    /// The largest magnitude in it.
    pub(super) highest: f32,
}

impl<'a> Steps<'a> {
    /// For states of a shape; nothing where the device does not take every op of it.
    pub(super) fn new(
        device: &'a dyn Device,
        shape: [usize; 5],
        control: &'a Control,
    ) -> Result<Option<Self>, Error> {
        for kind in [Kind::Plain, Kind::Joined, Kind::Separate, Kind::Twice] {
            let graph = kind.graph(&shape).map_err(|e| Error::tensor(NAME, e))?;
            if !graph.nodes().iter().all(|node| device.support(&graph, node).is_yes()) {
                return Ok(None);
            }
        }
        Ok(Some(Self { device, shape, control, compiled: RefCell::default() }))
    }

    /// The state as the device keeps it.
    pub(super) fn upload(&self, state: HostTensor) -> Result<BufferRef, Error> {
        self.device.upload(state).map_err(|e| Error::device(NAME, e))
    }

    /// Elements of a state or a velocity, moved back.
    pub(super) fn download(&self, buffer: &BufferRef) -> Result<Vec<f32>, Error> {
        let tensor = self.device.download(buffer).map_err(|e| Error::device(NAME, e))?;
        match tensor.into_data() {
            HostData::F32(values) => Ok(values),
            _ => Ok(Vec::new()),
        }
    }

    /// The state, and the same once more behind it: what a backbone reads to give both velocities at once.
    pub(super) fn twice(&self, state: &BufferRef) -> Result<BufferRef, Error> {
        let made = self.run(Kind::Twice, std::slice::from_ref(state))?;
        made.into_iter().next().ok_or_else(gave_too_little)
    }

    /// The state moved on by `size` times the guided velocity, of which there is what that kind of step reads.
    pub(super) fn take(
        &self,
        kind: Kind,
        state: &BufferRef,
        velocity: Vec<BufferRef>,
        scale: f32,
        size: f32,
    ) -> Result<Moved, Error> {
        let number = |v| self.upload(HostTensor::f32([1], vec![v]).map_err(|e| Error::tensor(NAME, e))?);
        let mut inputs = vec![state.clone(), number(size)?];
        if kind != Kind::Plain {
            inputs.push(number(scale)?);
        }
        inputs.extend(velocity);
        let mut made = self.run(kind, &inputs)?.into_iter();
        let mut next = || made.next().ok_or_else(gave_too_little);
        let (state, highest) = (next()?, next()?);
        let velocity = if kind == Kind::Plain { inputs.pop().ok_or_else(gave_too_little)? } else { next()? };
        let highest = self.download(&highest)?.first().copied().ok_or_else(gave_too_little)?;
        Ok(Moved { state, velocity, highest })
    }

    fn run(&self, kind: Kind, inputs: &[BufferRef]) -> Result<Vec<BufferRef>, Error> {
        let executable = self.executable(kind)?;
        executable.run(inputs, self.control).map_err(|e| Error::run(NAME, e))
    }

    fn executable(&self, kind: Kind) -> Result<Arc<dyn Executable>, Error> {
        if let Some((_, known)) = self.compiled.borrow().iter().find(|(own, _)| *own == kind) {
            return Ok(known.clone());
        }
        let graph = kind.graph(&self.shape).map_err(|e| Error::tensor(NAME, e))?;
        let made = self.device.compile(Arc::new(graph), Arc::new(MemoryWeights::new()));
        let made = made.map_err(|e| Error::compile(NAME, e))?;
        self.compiled.borrow_mut().push((kind, made.clone()));
        Ok(made)
    }
}

impl Kind {
    fn graph(self, shape: &[usize; 5]) -> Result<Graph, OpError> {
        match self {
            Self::Plain => step(shape, 1, false),
            Self::Joined => step(shape, 2, false),
            Self::Separate => step(shape, 1, true),
            Self::Twice => twice(shape),
        }
    }
}

fn gave_too_little() -> Error {
    Error::Component { component: NAME.to_owned(), reason: "the device gave too few outputs".into() }
}

/// Adds a node with one output, and that output's name.
fn node<const N: usize>(
    b: &mut GraphBuilder,
    name: &str,
    op: &str,
    inputs: [ValueId; N],
    attrs: Vec<(String, Attr)>,
) -> Result<ValueId, OpError> {
    let op = ops::find(op).ok_or_else(|| OpError::invalid(format!("there is no op {op}")))?;
    let made = b.node(op, &inputs.map(Some), attrs, name)?;
    made.first().copied().ok_or_else(|| OpError::invalid("a node without outputs"))
}

fn attr(name: &str, value: Attr) -> (String, Attr) {
    (name.to_owned(), value)
}

/// A state twice, one behind the other.
fn twice(shape: &[usize; 5]) -> Result<Graph, OpError> {
    let mut b = GraphBuilder::new("twice");
    let state = b.input("state", TensorDesc::new(DType::F32, shape))?;
    let both = node(&mut b, "both", "Concat", [state, state], vec![attr("axis", Attr::Int(0))])?;
    b.finish([("both", both)])
}

/// [`guide`](crate::sampler::guide) and [`euler_step`](crate::sampler::euler_step), operation by operation as they are there. The velocity
/// comes in `tensors` times the state's batch; with `negative` that under the negative prompt comes by itself.
fn step(shape: &[usize; 5], tensors: usize, negative: bool) -> Result<Graph, OpError> {
    let mut b = GraphBuilder::new("euler");
    let number = TensorDesc::new(DType::F32, [1]);
    let like = |batches: usize| {
        let mut shape = *shape;
        shape[0] *= batches;
        TensorDesc::new(DType::F32, shape)
    };
    let state = b.input("state", like(1))?;
    let size = b.input("size", number.clone())?;
    let guided = tensors == 2 || negative;
    let scale = if guided { Some(b.input("scale", number)?) } else { None };
    let given = b.input("velocity", like(tensors))?;
    let mut velocity = given;
    if let Some(scale) = scale {
        let batch = shape[0] as i64;
        let (text, negative) = if negative {
            (given, b.input("negative", like(1))?)
        } else {
            let mut part = |name: &str, first: i64| {
                let ints = |name: &str, value| attr(name, Attr::Ints(vec![value]));
                let attrs = vec![ints("starts", first), ints("ends", first + batch), ints("axes", 0)];
                node(&mut b, name, "Slice", [given], attrs)
            };
            (part("text", 0)?, part("negative", batch)?)
        };
        let away = node(&mut b, "away", "Sub", [text, negative], Vec::new())?;
        let scaled = node(&mut b, "scaled", "Mul", [scale, away], Vec::new())?;
        velocity = node(&mut b, "guided", "Add", [negative, scaled], Vec::new())?;
    }
    let moved = node(&mut b, "moved", "Mul", [size, velocity], Vec::new())?;
    let next = node(&mut b, "next", "Add", [moved, state], Vec::new())?;
    // Rows first, so that a device has many sums to make at once.
    let magnitude = node(&mut b, "magnitude", "Abs", [velocity], Vec::new())?;
    let rows = node(
        &mut b,
        "highest_of_rows",
        "ReduceMax",
        [magnitude],
        vec![attr("axes", Attr::Ints(vec![3, 4]))],
    )?;
    let highest = node(&mut b, "highest", "ReduceMax", [rows], Vec::new())?;
    let mut outputs = vec![("state", next), ("highest", highest)];
    if guided {
        outputs.push(("velocity", velocity));
    }
    b.finish(outputs)
}
