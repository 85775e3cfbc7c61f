//! An opened device.

use std::sync::{Arc, Mutex, Weak};

use kinograph_backend::{
    BufferRef, CompileError, Device, DeviceError, DeviceInfo, DeviceOptions, Executable, HostTensor,
    MemoryPlan, StoredTypes, Support, Weights, check_weight,
};
use kinograph_graph::{Graph, Node};

use crate::adapters::Listed;
use crate::buffer::GpuBuffer;
use crate::cache::Store;
use crate::exec::{GpuExecutable, memory_plan};
use crate::gpu::{Gpu, internal, lock};
use crate::lower::{self, Halves, Traits, WeightSource};
use crate::options::{LANES, Options};
use crate::shader::{Multiply, Pin, Square, Variant};
use crate::tuning;

impl Options {
    /// Whether variants are measured when the adapter is seen for the first time. In software compiling all of them takes far longer than
    /// the best one saves.
    fn tunes(&self, adapter: &wgpu::Adapter) -> bool {
        self.tuning.unwrap_or(adapter.get_info().device_type != wgpu::DeviceType::Cpu)
    }

    /// With cooperative matrices where they are asked for, or may be measured and found to give the same bits.
    fn gpu(&self, adapter: &wgpu::Adapter, store: Option<&Store>) -> Result<Gpu, DeviceError> {
        let halves = self.storage != Halves::None;
        let open = |matrices: bool| {
            Gpu::open(adapter, self.memory, self.guards, self.pin, matrices, halves, store.cloned())
        };
        let measured = store.is_some() && self.tunes(adapter);
        let others = self.dots == Some(true) || self.pin == Pin::Decorated;
        if square(adapter).is_none() || !self.matrices.unwrap_or(measured && !others) {
            return open(false);
        }
        // What was not asked for is not missed.
        open(true).or_else(|error| if self.matrices == Some(true) { Err(error) } else { open(false) })
    }
}

pub(crate) struct WgpuDevice {
    info: DeviceInfo,
    adapter: wgpu::Adapter,
    options: Options,
    traits: Traits,
    store: Option<Store>,
    gpu: Mutex<Arc<Gpu>>,
    executables: Mutex<Vec<Weak<GpuExecutable>>>,
}

impl WgpuDevice {
    pub(crate) fn open(listed: Listed, given: &DeviceOptions) -> Result<Self, DeviceError> {
        let options = Options::parse(given)?;
        let Listed { adapter, info, .. } = listed;
        let store = options.cache.as_deref().map(|folder| Store::new(folder, &adapter.get_info()));
        let gpu = Arc::new(options.gpu(&adapter, store.as_ref())?);
        let (mut traits, candidates) = traits(&adapter, &gpu, &options)?;
        let tunes = options.tunes(&adapter);
        if let (true, Some(store), [_, _, ..]) = (tunes, &store, &candidates[..]) {
            traits.variant = tuning::fastest(&gpu, traits, &candidates, store);
        }
        Ok(Self {
            info,
            adapter,
            options,
            traits,
            store,
            gpu: Mutex::new(gpu),
            executables: Mutex::default(),
        })
    }

    /// The device in use; a new one where the last was lost.
    fn gpu(&self) -> Result<Arc<Gpu>, DeviceError> {
        let mut gpu = lock(&self.gpu);
        if let Some(reason) = gpu.lost() {
            log::warn!("{}: the device was lost ({reason}); opening it anew", self.info.id);
            *gpu = Arc::new(self.options.gpu(&self.adapter, self.store.as_ref())?);
        }
        Ok(gpu.clone())
    }

    #[cfg(test)]
    pub(crate) fn variant(&self) -> Variant {
        self.traits.variant
    }

    #[cfg(test)]
    pub(crate) fn current(&self) -> Arc<Gpu> {
        lock(&self.gpu).clone()
    }
}

/// The cooperative matrices of an adapter that multiply `f16` and sum in `f32`: the largest that kernels can be written for.
fn square(adapter: &wgpu::Adapter) -> Option<Square> {
    let about = adapter.get_info();
    // A workgroup is a subgroup, whose size must be known.
    let lanes = about.subgroup_max_size;
    if about.subgroup_min_size != lanes || !lanes.is_power_of_two() {
        return None;
    }
    let listed = adapter.cooperative_matrix_properties().into_iter();
    let fits = listed.filter(|p| {
        let types = (p.ab_type, p.cr_type);
        types == (wgpu::CooperativeScalarType::F16, wgpu::CooperativeScalarType::F32)
            && (p.m_size, p.n_size, p.k_size) == (p.m_size, p.m_size, p.m_size)
            && [8, 16].contains(&p.m_size)
            && (p.m_size * p.m_size) % lanes == 0
    });
    fits.map(|p| Square { side: p.m_size, lanes }).max_by_key(|square| square.side)
}

/// What lowering must know of a device, with the variant that is taken where none is measured, and those that may be.
fn traits(
    adapter: &wgpu::Adapter,
    gpu: &Gpu,
    options: &Options,
) -> Result<(Traits, Vec<Variant>), DeviceError> {
    let about = adapter.get_info();
    // Tiles are shared by eight lanes.
    let able = gpu.device.features().contains(wgpu::Features::SUBGROUP) && about.subgroup_min_size >= 8;
    if options.subgroups == Some(true) && !able {
        return Err(internal(
            "this adapter has no subgroups of eight or more; leave the option `subgroups` out",
        ));
    }
    // A processor that plays a graphics card works through a workgroup in turn: small ones keep its caches warm.
    let usual = if about.device_type == wgpu::DeviceType::Cpu { 16 } else { 64 };
    let squares = square(adapter).filter(|_| {
        gpu.device
            .features()
            .contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX | wgpu::Features::SHADER_F16)
    });
    if options.matrices == Some(true) && squares.is_none() {
        return Err(internal(
            "this adapter has no cooperative matrices of f16 with sums of f32 and subgroups of one size; leave the option `matrices` out",
        ));
    }
    if options.storage == Halves::All && !gpu.halves {
        return Err(internal("this adapter has no f16; leave the option `storage` out"));
    }
    // Where an adapter has no such dot products the driver writes them out, which is slow: they are not taken unmeasured.
    let multiply = match (options.dots, options.matrices, squares) {
        (Some(true), ..) => vec![Multiply::Dots],
        (_, Some(true), Some(square)) => vec![Multiply::Matrices(square)],
        (dots, _, squares) => {
            let dots = dots.is_none().then_some(Multiply::Dots);
            let squares = squares.map(Multiply::Matrices);
            [Some(Multiply::Floats), dots, squares].into_iter().flatten().collect()
        }
    };
    let variant = Variant {
        subgroups: options.subgroups.unwrap_or(able),
        lanes: options.lanes.unwrap_or(usual),
        multiply: multiply[0],
        pin: options.pin,
    };
    let ways =
        options.subgroups.map_or(if able { vec![true, false] } else { vec![false] }, |given| vec![given]);
    let lanes = options.lanes.map_or(LANES.to_vec(), |given| vec![given]);
    let mut candidates = Vec::new();
    for &multiply in &multiply {
        for &subgroups in &ways {
            candidates.extend(lanes.iter().map(|&lanes| Variant { subgroups, lanes, multiply, ..variant }));
        }
    }
    let limits = &gpu.limits;
    let traits = Traits {
        variant,
        binding: limits.max_storage_buffer_binding_size.min(limits.max_buffer_size),
        bindings: limits.max_storage_buffers_per_shader_stage as usize,
        groups: limits.max_compute_workgroups_per_dimension,
        dispatch_cost: 1 << 31,
        teams: about.device_type != wgpu::DeviceType::Cpu,
        halves: if gpu.halves { options.storage } else { Halves::None },
        squares: squares.filter(|_| options.matrices == Some(true)),
    };
    Ok((traits, candidates))
}

impl Device for WgpuDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn support(&self, graph: &Graph, node: &Node) -> Support {
        lower::support(graph, node, self.traits)
    }

    fn compile(
        &self,
        graph: Arc<Graph>,
        weights: Arc<dyn Weights>,
    ) -> Result<Arc<dyn Executable>, CompileError> {
        let gpu = self.gpu()?;
        for &id in graph.weights() {
            let value = graph.value(id);
            check_weight(&*weights, &value.name, &value.desc)?;
        }
        let plan = lower::lower(&graph, WeightSource::Bytes(&*weights), self.traits, &self.info.id)?;
        let executable = GpuExecutable::new(graph, gpu, weights, plan, self.options.max_submission_ms)?;
        let executable = Arc::new(executable);
        let mut known = lock(&self.executables);
        known.retain(|e| e.strong_count() > 0);
        known.push(Arc::downgrade(&executable));
        Ok(executable)
    }

    fn plan(&self, graph: &Graph, stored: StoredTypes<'_>) -> Result<MemoryPlan, CompileError> {
        let plan = lower::lower(graph, WeightSource::Types(stored), self.traits, &self.info.id)?;
        Ok(memory_plan(&plan, &crate::memory::place(&plan, !self.options.guards)))
    }

    fn is_apart(&self) -> bool {
        true
    }

    fn trim(&self) {
        lock(&self.executables).iter().filter_map(Weak::upgrade).for_each(|e| e.trim());
    }

    fn upload(&self, tensor: HostTensor) -> Result<BufferRef, DeviceError> {
        Ok(Arc::new(GpuBuffer::upload(self.gpu()?, &tensor)?))
    }

    fn download(&self, buffer: &BufferRef) -> Result<HostTensor, DeviceError> {
        match buffer.as_any().downcast_ref::<GpuBuffer>() {
            Some(buffer) => buffer.download(),
            None => Err(internal("the buffer is of another device")),
        }
    }
}
