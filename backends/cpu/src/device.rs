//! The device: support, compilation, transfers.

use std::sync::Arc;

use kinograph_backend::{
    BufferRef, CompileError, Device, DeviceError, DeviceInfo, DeviceOptions, Executable, HostTensor,
    MemoryPlan, OverlaidWeights, StoredTypes, Support, Weights,
};
use kinograph_graph::passes::Prelude;
use kinograph_graph::{Graph, Node};

use crate::early;
use crate::exec::{CpuExecutable, Workers};
use crate::lower::{self, PackedWeights, WeightSource};
use crate::memory::CpuBuffer;
use crate::simd::Level;

/// The id of the one device.
pub(crate) const ID: &str = "cpu";

/// The host's processor.
pub(crate) struct CpuDevice {
    info: DeviceInfo,
    workers: Workers,
    packed: PackedWeights,
}

/// What is known of the processor when so many threads of that level are used.
pub(crate) fn info(level: Level, threads: usize) -> DeviceInfo {
    let facts = [("simd", level.name().to_owned()), ("threads", threads.to_string())];
    DeviceInfo {
        id: ID.to_owned(),
        name: format!("this machine's processor, {}", std::env::consts::ARCH),
        facts: facts.map(|(name, value)| (name.to_owned(), value)).to_vec(),
    }
}

/// The threads used when the host does not say: one for each processor that it may use.
pub(crate) fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

impl CpuDevice {
    pub(crate) fn open(options: &DeviceOptions) -> Result<Self, DeviceError> {
        let mut level = Level::best();
        let mut keep = false;
        for (name, value) in &options.extra {
            match name.as_str() {
                "simd" => level = Level::named(value)?,
                "keep_weights" => {
                    keep = value.parse().map_err(|_| {
                        refused(format!("the option `keep_weights` takes true or false, not `{value}`"))
                    })?;
                }
                _ => {
                    return Err(refused(format!(
                        "the cpu device has no option `{name}`; it has `simd` and `keep_weights`"
                    )));
                }
            }
        }
        let threads = options.threads.unwrap_or_else(default_threads).max(1);
        let pool = match threads {
            1 => None,
            _ => Some(Arc::new(
                rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .thread_name(|i| format!("kinograph-{i}"))
                    .build()
                    .map_err(|e| DeviceError::Internal(e.to_string()))?,
            )),
        };
        let workers = Workers { level, threads, pool, arenas: Arc::default(), spares: Arc::default() };
        let packed = if keep { kept(options)? } else { PackedWeights::default() };
        Ok(Self { info: info(level, threads), workers, packed })
    }
}

fn refused(why: String) -> DeviceError {
    DeviceError::Internal(why)
}

/// Packed weights that are kept in the host's directory.
#[cfg(feature = "cache")]
fn kept(options: &DeviceOptions) -> Result<PackedWeights, DeviceError> {
    let Some(folder) = &options.cache else {
        return Err(refused(
            "`keep_weights` needs a directory to keep them in: `DeviceOptions::cache`".into(),
        ));
    };
    Ok(PackedWeights::kept_in(folder))
}

#[cfg(not(feature = "cache"))]
fn kept(_: &DeviceOptions) -> Result<PackedWeights, DeviceError> {
    Err(refused("`keep_weights` needs the cargo feature `cache`, which this build is without".into()))
}

impl CpuDevice {
    /// Compiles what is left of a graph, for which weights of these names were made.
    fn compile_rest(
        &self,
        graph: Arc<Graph>,
        rest: &Graph,
        weights: Arc<dyn Weights>,
        made: &[String],
    ) -> Result<Arc<dyn Executable>, CompileError> {
        let lowered = lower::lower(rest, WeightSource::Bytes(&*weights), &self.packed, ID)?;
        Ok(Arc::new(CpuExecutable::new(graph, weights, self.workers.clone(), lowered, made)?))
    }

    /// What that would need.
    fn plan_rest(
        &self,
        rest: &Graph,
        stored: StoredTypes<'_>,
        made: &[String],
    ) -> Result<MemoryPlan, CompileError> {
        let lowered = lower::lower(rest, WeightSource::Types(stored), &self.packed, ID)?;
        Ok(lowered.plan(self.workers.threads, made).1)
    }

    /// The weights with what is made of them; nothing when that fails, and then a run says why.
    fn prepared(&self, prelude: &Prelude, weights: Arc<dyn Weights>) -> Option<Arc<dyn Weights>> {
        let part = Arc::new(prelude.part.graph.clone());
        let executable = self.compile_rest(part.clone(), &part, weights.clone(), &[]).ok()?;
        Some(Arc::new(OverlaidWeights::computed(weights, &prelude.names, &*executable, self).ok()?))
    }
}

impl Device for CpuDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn support(&self, graph: &Graph, node: &Node) -> Support {
        lower::support(graph, node)
    }

    fn compile(
        &self,
        graph: Arc<Graph>,
        weights: Arc<dyn Weights>,
    ) -> Result<Arc<dyn Executable>, CompileError> {
        if let Some(prelude) = early::small(&graph)
            && let Some(weights) = self.prepared(&prelude, weights.clone())
        {
            return self.compile_rest(graph, &prelude.rest, weights, &prelude.names);
        }
        self.compile_rest(graph.clone(), &graph, weights, &[])
    }

    fn plan(&self, graph: &Graph, stored: StoredTypes<'_>) -> Result<MemoryPlan, CompileError> {
        match early::small(graph) {
            Some(prelude) => {
                let stored = |name: &str| prelude.made(name).or_else(|| stored(name));
                self.plan_rest(&prelude.rest, &stored, &prelude.names)
            }
            None => self.plan_rest(graph, stored, &[]),
        }
    }

    fn trim(&self) {
        self.workers.arenas.clear();
        self.workers.spares.clear();
    }

    fn upload(&self, tensor: HostTensor) -> Result<BufferRef, DeviceError> {
        Ok(Arc::new(CpuBuffer::from_host(tensor)))
    }

    fn download(&self, buffer: &BufferRef) -> Result<HostTensor, DeviceError> {
        match buffer.as_any().downcast_ref::<CpuBuffer>() {
            Some(buffer) => buffer.to_host(),
            None => Err(DeviceError::Internal("the buffer is of another device".into())),
        }
    }
}
