//! Running a graph again and again, and the time that it takes.

use std::sync::Arc;
use std::time::Instant;

use kinograph::backend::{BufferRef, Executable, MemoryWeights};
use kinograph::graph::{DType, Graph, TensorDesc};
use kinograph::{Control, Device, HostData, HostTensor};

use super::resident;

/// A sample is of as many runs as fill this time: shorter ones are told apart from nothing by few clocks.
const SAMPLE: f64 = 2e-4;
/// However long a run takes, so many samples are taken.
const LEAST: usize = 3;

/// What time is counted in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    now: fn() -> f64,
}

impl Clock {
    /// The time that passes.
    pub(super) fn wall() -> Self {
        thread_local!(static START: Instant = Instant::now());
        Self { now: || START.with(|start| start.elapsed().as_secs_f64()) }
    }

    /// The time that this thread computes for.
    ///
    /// # Errors
    /// When the system does not tell.
    #[cfg(unix)]
    pub(super) fn thread() -> anyhow::Result<Self> {
        use rustix::time::{ClockId, clock_gettime};
        Ok(Self {
            now: || {
                let time = clock_gettime(ClockId::ThreadCPUTime);
                time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
            },
        })
    }

    #[cfg(not(unix))]
    pub(super) fn thread() -> anyhow::Result<Self> {
        anyhow::bail!("this system does not tell the time that a thread computed for; leave --cpu-time out")
    }

    fn now(self) -> f64 {
        (self.now)()
    }
}

/// A graph compiled for a device, with inputs.
pub(super) struct Prepared {
    executable: Arc<dyn Executable>,
    inputs: Vec<BufferRef>,
}

/// What was measured of it.
pub(super) struct Run {
    /// The shortest and the middle time of a run, in seconds.
    pub(super) best: f64,
    pub(super) median: f64,
    /// Bytes that a run needs above inputs and outputs, as the device plans them.
    pub(super) planned: u64,
    /// Bytes that the first run added to the process, outputs included, where the system tells.
    pub(super) added: Option<u64>,
    /// Operations a second of the matrix product at the same time.
    pub(super) peak: f64,
}

impl Prepared {
    /// Compiles a graph with weights of that stored type. Weights and inputs are numbers about 0 that are always the
    /// same; the time of no op depends on them.
    pub(super) fn new(device: &dyn Device, graph: Arc<Graph>, stored: DType) -> anyhow::Result<Self> {
        let mut weights = MemoryWeights::new();
        for value in graph.weights().iter().map(|&id| graph.value(id)) {
            let dtype = if value.desc.dtype.is_float() { stored } else { value.desc.dtype };
            let bytes = data(&value.desc.with_dtype(dtype)).as_bytes().to_vec();
            weights.insert(&value.name, dtype, value.desc.shape.clone(), bytes);
        }
        let executable = device.compile(graph.clone(), Arc::new(weights))?;
        let mut inputs = Vec::new();
        for value in graph.inputs().iter().map(|&id| graph.value(id)) {
            inputs.push(device.upload(HostTensor::new(value.desc.shape.clone(), data(&value.desc))?)?);
        }
        Ok(Self { executable, inputs })
    }

    /// Operations of a run.
    pub(super) fn flops(&self) -> f64 {
        self.executable.graph().flops() as f64
    }

    /// Bytes of inputs, weights and outputs.
    pub(super) fn bytes(&self) -> f64 {
        self.executable.graph().values().iter().map(|v| v.desc.bytes() as f64).sum()
    }

    /// Runs once to warm up, then for so many seconds.
    pub(super) fn measure(&self, clock: Clock, seconds: f64) -> anyhow::Result<Run> {
        let control = Control::new();
        let run = || self.executable.run(&self.inputs, &control).map(drop);
        let before = resident::reset();
        run()?;
        let added = before.zip(resident::peak()).map(|(before, peak)| peak.saturating_sub(before));
        let start = clock.now();
        run()?;
        let batch = (SAMPLE / (clock.now() - start).max(1e-9)).ceil().clamp(1.0, 1e4) as usize;
        let mut samples = Vec::new();
        let (begin, mut last) = (clock.now(), clock.now());
        while samples.len() < LEAST || last - begin < seconds {
            (0..batch).try_for_each(|_| run())?;
            let now = clock.now();
            samples.push((now - last) / batch as f64);
            last = now;
        }
        samples.sort_unstable_by(f64::total_cmp);
        let outputs: u64 = self.outputs().map(|desc| desc.bytes() as u64).sum();
        Ok(Run {
            best: samples[0],
            median: samples[samples.len() / 2],
            planned: self.executable.memory().run.saturating_sub(outputs),
            added,
            peak: 0.0,
        })
    }

    fn outputs(&self) -> impl Iterator<Item = &TensorDesc> {
        let graph = self.executable.graph();
        graph.outputs().iter().map(|output| &graph.value(output.value).desc)
    }
}

/// Numbers between -0.1 and 0.1; of whole numbers zeros, which are in range wherever they are indices; of truth values
/// all true.
fn data(desc: &TensorDesc) -> HostData {
    let number = |i: usize| (((i * 7919 + 13) % 1000) as f64 / 500.0 - 1.0) * 0.1;
    let values: Vec<f64> = match desc.dtype {
        DType::Bool => vec![1.0; desc.elements()],
        dtype if dtype.is_float() => (0..desc.elements()).map(number).collect(),
        _ => vec![0.0; desc.elements()],
    };
    HostData::from_f64(desc.dtype, &values)
}
