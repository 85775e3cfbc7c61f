//! An opened adapter: its queue, its memory, its pipelines.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use kinograph_backend::DeviceError;
use kinograph_graph::DType;

use crate::cache::Store;
use crate::lower::WeightPart;
use crate::shader::{Pin, Shader};
use crate::spirv;

/// A buffer that counts in its device's use of memory.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) buffer: wgpu::Buffer,
    bytes: u64,
    /// The bytes in front of the guard words, where there are any.
    content: u64,
    used: Arc<AtomicU64>,
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A compiled kernel.
pub(crate) struct Pipeline {
    pub(crate) compute: wgpu::ComputePipeline,
    pub(crate) layout: wgpu::BindGroupLayout,
}

/// A weight on the device, known by the weights that it came from.
type WeightKey = (usize, WeightPart);

pub(crate) struct Gpu {
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    pub(crate) limits: wgpu::Limits,
    budget: Option<u64>,
    /// Whether storages have words behind them that no kernel may change.
    pub(crate) guards: bool,
    /// Whether tensors may be kept as `f16`.
    pub(crate) halves: bool,
    /// Where compiled kernels are kept, and whether there are some that are not.
    store: Option<Store>,
    compiled: Option<wgpu::PipelineCache>,
    unkept: AtomicBool,
    used: Arc<AtomicU64>,
    lost: Arc<Mutex<Option<String>>>,
    pipelines: Mutex<HashMap<Shader, Arc<Pipeline>>>,
    weights: Mutex<HashMap<WeightKey, Weak<Memory>>>,
    /// What a unit of cost takes, in femtoseconds, as last measured.
    pub(crate) pace: AtomicU64,
}

/// A lock whose data stays valid whatever a thread that held it did.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The words behind a storage.
const GUARD: [u8; 256] = [0xA5; 256];

/// The file of compiled kernels.
const PIPELINES: &str = "pipelines";

/// Where the driver looks for compiled kernels, with those of earlier processes.
#[allow(unsafe_code)]
fn pipeline_cache(device: &wgpu::Device, store: &Store) -> Option<wgpu::PipelineCache> {
    if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
        return None;
    }
    let data = store.read(PIPELINES);
    let label = Some("kinograph");
    let descriptor = wgpu::PipelineCacheDescriptor { label, data: data.as_deref(), fallback: true };
    // SAFETY: the data are what `get_data` gave for this adapter, driver and version, and the digest in front of them shows that they are
    // whole; the directory is the host's own, which it trusts as its program's files. wgpu and the driver check their headers again.
    Some(unsafe { device.create_pipeline_cache(&descriptor) })
}

pub(crate) fn internal(error: impl ToString) -> DeviceError {
    DeviceError::Internal(error.to_string())
}

/// Consent to cooperative matrices, which wgpu does not check as it does all else.
#[allow(unsafe_code)]
fn experimental(matrices: bool) -> wgpu::ExperimentalFeatures {
    if !matrices {
        return wgpu::ExperimentalFeatures::disabled();
    }
    // SAFETY: what wgpu does not check is that squares are of a size and type that the adapter has, that they lie within their buffers, aligned as
    // drivers want them, and that whole subgroups work on them. `Square`s are made of what the adapter lists; workgroups are one subgroup, all of
    // which takes the same way. For whole numbers `Form::words` has room for the rows that the last squares are too long, and rows are a
    // multiple of 16 numbers; for halves `Product::is_of_squares` takes what follows row by row in multiples of 16, of which the kernel
    // gets whole squares alone.
    unsafe { wgpu::ExperimentalFeatures::enabled() }
}

impl Gpu {
    /// Opens an adapter with all its limits.
    pub(crate) fn open(
        adapter: &wgpu::Adapter,
        budget: Option<u64>,
        guards: bool,
        pin: Pin,
        matrices: bool,
        halves: bool,
        store: Option<Store>,
    ) -> Result<Self, DeviceError> {
        let limits = adapter.limits();
        let mut wanted = wgpu::Features::SUBGROUP | wgpu::Features::PIPELINE_CACHE;
        if halves {
            wanted |= wgpu::Features::SHADER_F16;
        }
        if pin == Pin::Decorated {
            let takes = adapter.features().contains(wgpu::Features::PASSTHROUGH_SHADERS);
            if !takes || adapter.get_info().backend != wgpu::Backend::Vulkan {
                return Err(internal(
                    "`no_contraction` is a decoration of SPIR-V, which this adapter does not take as it is; leave the option out",
                ));
            }
            wanted |= wgpu::Features::PASSTHROUGH_SHADERS;
        }
        if matrices {
            wanted |= wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX | wgpu::Features::SHADER_F16;
        }
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("kinograph"),
            required_features: adapter.features() & wanted,
            experimental_features: experimental(matrices),
            required_limits: limits.clone(),
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).map_err(internal)?;
        let halves = halves && device.features().contains(wgpu::Features::SHADER_F16);
        let lost = Arc::new(Mutex::new(None));
        let told = lost.clone();
        device.set_device_lost_callback(move |reason, message| {
            *lock(&told) = Some(if message.is_empty() { format!("{reason:?}") } else { message });
        });
        // What no scope catches is logged, and never a panic.
        device.on_uncaptured_error(Arc::new(|error: wgpu::Error| log::error!("wgpu: {error}")));
        let compiled = store.as_ref().and_then(|store| pipeline_cache(&device, store));
        Ok(Self {
            device,
            queue,
            limits,
            budget,
            guards,
            halves,
            store,
            compiled,
            unkept: AtomicBool::new(false),
            used: Arc::default(),
            lost,
            pipelines: Mutex::default(),
            weights: Mutex::default(),
            pace: AtomicU64::new(0),
        })
    }

    /// Whether tensors of that type are kept as halves.
    pub(crate) fn is_half(&self, dtype: DType) -> bool {
        self.halves && dtype == DType::F16
    }

    /// Why the device is gone, if it is.
    pub(crate) fn lost(&self) -> Option<String> {
        lock(&self.lost).clone()
    }

    pub(crate) fn check(&self) -> Result<(), DeviceError> {
        self.lost().map_or(Ok(()), |reason| Err(DeviceError::Lost(reason)))
    }

    /// Runs calls of wgpu and turns the errors that they tell of into values.
    pub(crate) fn scoped<T>(&self, bytes: u64, what: impl FnOnce() -> T) -> Result<T, DeviceError> {
        self.check()?;
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let inner = self.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let value = what();
        let errors = [inner.pop(), validation.pop()].map(pollster::block_on);
        if pollster::block_on(memory.pop()).is_some() {
            return Err(DeviceError::OutOfMemory { bytes });
        }
        match errors.into_iter().flatten().next() {
            Some(error) => Err(self.why(error)),
            None => self.check().map(|()| value),
        }
    }

    /// A buffer of so many bytes.
    pub(crate) fn allocate(&self, bytes: u64, usage: wgpu::BufferUsages) -> Result<Memory, DeviceError> {
        let bytes = bytes.next_multiple_of(4).max(4);
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        let give_back = |error| {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
            Err(error)
        };
        let over = self.budget.is_some_and(|budget| before.saturating_add(bytes) > budget);
        if over || bytes > self.limits.max_buffer_size {
            return give_back(DeviceError::OutOfMemory { bytes });
        }
        let descriptor =
            wgpu::BufferDescriptor { label: None, size: bytes, usage, mapped_at_creation: false };
        match self.scoped(bytes, || self.device.create_buffer(&descriptor)) {
            Ok(buffer) => Ok(Memory { buffer, bytes, content: bytes, used: self.used.clone() }),
            Err(error) => give_back(error),
        }
    }

    /// A buffer that kernels read and write.
    pub(crate) fn storage(&self, bytes: u64) -> Result<Memory, DeviceError> {
        use wgpu::BufferUsages as U;
        let usage = U::STORAGE | U::COPY_SRC | U::COPY_DST;
        if !self.guards {
            return self.allocate(bytes, usage);
        }
        let content = bytes.next_multiple_of(4).max(4);
        let mut memory = self.allocate(content.saturating_add(GUARD.len() as u64), usage)?;
        memory.content = content;
        self.write(&memory, content, &GUARD)?;
        Ok(memory)
    }

    /// Whether the guard words behind a storage are as they were. A kernel that writes anywhere outside of its result meets them: what
    /// lies out of a binding is bent to its last word.
    pub(crate) fn intact(&self, memory: &Memory) -> Result<bool, DeviceError> {
        let guard = memory.bytes - memory.content;
        Ok(guard == 0 || self.read_from(&memory.buffer, memory.content, guard)? == GUARD)
    }

    /// Bytes in use by buffers.
    #[cfg(test)]
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Writes bytes into a buffer, as many at a time as keep staging memory small.
    pub(crate) fn write(&self, memory: &Memory, offset: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        const PIECE: usize = 16 << 20;
        let mut at = offset;
        for piece in bytes.chunks(PIECE) {
            self.scoped(piece.len() as u64, || {
                let (whole, rest) = piece.split_at(piece.len() & !3);
                self.queue.write_buffer(&memory.buffer, at, whole);
                if !rest.is_empty() {
                    let mut word = [0; 4];
                    word[..rest.len()].copy_from_slice(rest);
                    self.queue.write_buffer(&memory.buffer, at + whole.len() as u64, &word);
                }
            })?;
            at += piece.len() as u64;
            if bytes.len() > PIECE {
                self.queue.submit([]);
                self.wait(None)?;
            }
        }
        Ok(())
    }

    /// Waits for a submission, or for all.
    pub(crate) fn wait(&self, submission: Option<wgpu::SubmissionIndex>) -> Result<(), DeviceError> {
        let poll =
            wgpu::PollType::Wait { submission_index: submission, timeout: Some(Duration::from_secs(600)) };
        match self.device.poll(poll) {
            Ok(_) => self.check(),
            Err(wgpu::PollError::Timeout) => Err(internal("the device did not answer for ten minutes")),
            // A submission to a device that is gone fails without a word, and shows by having no index.
            Err(wgpu::PollError::WrongSubmissionIndex(..)) => {
                lock(&self.lost).get_or_insert_with(|| "it takes no more work".to_owned());
                self.check()
            }
        }
    }

    /// What lies behind an error: that the device is gone is told when it is polled, and other calls fail before that.
    fn why(&self, error: impl ToString) -> DeviceError {
        let _ = self.device.poll(wgpu::PollType::Poll);
        self.check().err().unwrap_or_else(|| internal(error))
    }

    /// Reads the first bytes of a buffer back.
    pub(crate) fn read(&self, buffer: &wgpu::Buffer, bytes: u64) -> Result<Vec<u8>, DeviceError> {
        self.read_from(buffer, 0, bytes)
    }

    /// Reads bytes of a buffer back, piece by piece.
    fn read_from(&self, buffer: &wgpu::Buffer, first: u64, bytes: u64) -> Result<Vec<u8>, DeviceError> {
        const PIECE: u64 = 64 << 20;
        let mut result = Vec::new();
        result.try_reserve_exact(bytes as usize).map_err(|_| DeviceError::OutOfMemory { bytes })?;
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = self.allocate(bytes.min(PIECE), usage)?;
        while (result.len() as u64) < bytes {
            let (at, len) = (result.len() as u64, (bytes - result.len() as u64).min(PIECE));
            self.scoped(len, || {
                let mut encoder = self.device.create_command_encoder(&Default::default());
                encoder.copy_buffer_to_buffer(
                    buffer,
                    first + at,
                    &staging.buffer,
                    0,
                    Some(len.next_multiple_of(4)),
                );
                self.queue.submit([encoder.finish()]);
            })?;
            let (sender, mapped) = std::sync::mpsc::channel();
            staging.buffer.map_async(wgpu::MapMode::Read, 0..len.next_multiple_of(4), move |outcome| {
                let _ = sender.send(outcome);
            });
            self.wait(None)?;
            match mapped.recv_timeout(Duration::from_secs(60)) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(internal(error)),
                Err(_) => return Err(internal("a buffer was not mapped")),
            }
            let range = staging.buffer.get_mapped_range(0..len.next_multiple_of(4)).map_err(internal)?;
            result.extend_from_slice(&range[..len as usize]);
            drop(range);
            staging.buffer.unmap();
        }
        Ok(result)
    }

    /// The compiled kernel of a text.
    pub(crate) fn pipeline(&self, shader: &Shader) -> Result<Arc<Pipeline>, DeviceError> {
        if let Some(known) = lock(&self.pipelines).get(shader) {
            return Ok(known.clone());
        }
        let start = Instant::now();
        let made = Arc::new(self.scoped(0, || self.compile(shader))??);
        log::debug!("compiled {} in {:.1} ms", shader.name, start.elapsed().as_secs_f64() * 1e3);
        lock(&self.pipelines).insert(shader.clone(), made.clone());
        self.unkept.store(true, Ordering::Relaxed);
        Ok(made)
    }

    /// Keeps the kernels that were compiled since the last time.
    pub(crate) fn keep_pipelines(&self) {
        let (Some(store), Some(compiled)) = (&self.store, &self.compiled) else { return };
        if self.unkept.swap(false, Ordering::Relaxed)
            && let Some(data) = compiled.get_data()
        {
            store.write(PIPELINES, &data);
        }
    }

    fn compile(&self, shader: &Shader) -> Result<Pipeline, DeviceError> {
        let entry = |binding: usize, ty: wgpu::BufferBindingType| wgpu::BindGroupLayoutEntry {
            binding: binding as u32,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
            count: None,
        };
        let storages = shader.reads + shader.writes;
        let storage = |i: usize| {
            let read_only = i < shader.reads || i > storages;
            entry(i, wgpu::BufferBindingType::Storage { read_only })
        };
        let mut entries: Vec<_> = (0..storages).map(storage).collect();
        entries.push(entry(storages, wgpu::BufferBindingType::Uniform));
        entries.extend((storages + 1..=storages + shader.extra).map(storage));
        let label = Some(shader.name);
        let layout = self
            .device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
        let pipeline_layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label,
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let module = match shader.pin {
            Pin::Xor => self.device.create_shader_module(wgpu::ShaderModuleDescriptor {
                label,
                source: wgpu::ShaderSource::Wgsl(shader.source.as_str().into()),
            }),
            Pin::Decorated => spirv::module(&self.device, shader)?,
        };
        let compute = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label,
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: self.compiled.as_ref(),
        });
        Ok(Pipeline { compute, layout })
    }

    /// A weight that is on the device already, or what `upload` brings there. `owner` tells weights of one name apart.
    pub(crate) fn weight(
        &self,
        owner: usize,
        part: &WeightPart,
        upload: impl FnOnce() -> Result<Memory, DeviceError>,
    ) -> Result<Arc<Memory>, DeviceError> {
        let key = (owner, part.clone());
        let mut weights = lock(&self.weights);
        if let Some(known) = weights.get(&key).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let memory = Arc::new(upload()?);
        weights.retain(|_, held| held.strong_count() > 0);
        weights.insert(key, Arc::downgrade(&memory));
        Ok(memory)
    }
}
