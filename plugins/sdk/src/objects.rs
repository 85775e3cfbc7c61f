//! Devices, executables and buffers behind the interface's pointers, each in a box of its own.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_void};
use std::sync::Arc;
use std::time::Duration;

use bytemuck::Pod;
use half::{bf16, f16};
use kinograph_backend::{
    BufferRef, CompileError, Device, DeviceOptions, Executable, HostData, HostTensor, MemoryPlan, Support,
    Weights,
};
use kinograph_graph::{DType, Graph};
use kinograph_plugin_abi::*;

use crate::codes::{Failure, dtype_code, dtype_of};
use crate::entry::Host;
use crate::graph;
use crate::guard::{borrow, guarded, list, quiet, text};
use crate::job::Job;
use crate::weights::HostWeights;

/// What the pointers lead to: `KinographPluginDevice` and so on stand for these.
type DeviceBox = Arc<dyn Device>;
type ExecutableBox = Compiled;
type BufferBox = BufferRef;

/// An executable, and the weights that it reads until the host frees it. Fields are dropped in order.
struct Compiled {
    executable: Arc<dyn Executable>,
    _weights: Borrowed,
}

/// The host's weights, whose memory is the host's again when this is dropped, whoever else still holds them.
struct Borrowed(Arc<HostWeights>);

impl Drop for Borrowed {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Gives something to the host.
///
/// # Safety
/// `to` may be written.
unsafe fn give<T, P>(value: T, to: *mut *mut P) {
    // SAFETY: the caller's.
    unsafe { *to = Box::into_raw(Box::new(value)).cast::<P>() }
}

/// Takes back what the host frees.
///
/// # Safety
/// `pointer` came from [`give`] with this type, and is not used again.
unsafe fn take<T, P>(pointer: *mut P) {
    if pointer.is_null() {
        return;
    }
    // SAFETY: the caller's.
    quiet(|| drop(unsafe { Box::from_raw(pointer.cast::<T>()) }));
}

/// Borrows what the host has.
///
/// # Safety
/// `pointer` came from [`give`] with this type.
unsafe fn lend<'a, T, P>(pointer: *mut P) -> Result<&'a T, Failure> {
    // SAFETY: the caller's.
    unsafe { borrow(pointer.cast_const().cast::<T>()) }
}

// SAFETY, for every function below: the host calls it as the interface says. Pointers to objects came from `give` with the type that
// is used here and were not freed; other pointers are valid during the call.

pub(crate) unsafe extern "C" fn device_open(
    context: *mut c_void,
    id: *const c_char,
    options: *const KinographPluginDeviceOptions,
    device: *mut *mut KinographPluginDevice,
    error: *mut KinographPluginError,
) -> KinographPluginStatus {
    // SAFETY: see above.
    guarded(error, || unsafe {
        let host: &Host = borrow(context.cast_const().cast())?;
        let options = borrow(options)?;
        let extra = list(options.extra, options.extra_count)?
            .iter()
            .map(|pair| Ok((text(pair.key)?.to_owned(), text(pair.value)?.to_owned())))
            .collect::<Result<_, Failure>>()?;
        let threads = (options.threads > 0).then_some(options.threads as usize);
        let opened: DeviceBox =
            host.backend().open(text(id)?, &DeviceOptions { threads, extra, ..Default::default() })?;
        give(opened, device);
        Ok(KINOGRAPH_PLUGIN_OK)
    })
}

pub(crate) unsafe extern "C" fn device_close(device: *mut KinographPluginDevice) {
    // SAFETY: see above.
    unsafe { take::<DeviceBox, _>(device) }
}

pub(crate) unsafe extern "C" fn device_trim(device: *mut KinographPluginDevice) {
    // SAFETY: see above.
    quiet(|| unsafe {
        if let Ok(device) = lend::<DeviceBox, _>(device) {
            device.trim();
        }
    });
}

pub(crate) unsafe extern "C" fn support(
    device: *mut KinographPluginDevice,
    graph: *const KinographPluginGraph,
    node: u32,
    error: *mut KinographPluginError,
) -> KinographPluginStatus {
    // SAFETY: see above.
    guarded(error, || unsafe {
        let (graph, _) = graph::read(graph)?;
        let node =
            graph.nodes().get(node as usize).ok_or_else(|| Failure::invalid("there is no such node"))?;
        match lend::<DeviceBox, _>(device)?.support(&graph, node) {
            Support::Yes => Ok(KINOGRAPH_PLUGIN_OK),
            Support::No(refusal) => Err(Failure::new(KINOGRAPH_PLUGIN_UNSUPPORTED, refusal.to_string())),
        }
    })
}

pub(crate) unsafe extern "C" fn plan(
    device: *mut KinographPluginDevice,
    graph: *const KinographPluginGraph,
    memory: *mut KinographPluginMemory,
    error: *mut KinographPluginError,
) -> KinographPluginStatus {
    // SAFETY: see above.
    guarded(error, || unsafe {
        let (graph, weights) = graph::read(graph)?;
        let planned = lend::<DeviceBox, _>(device)?.plan(&graph, &|name| weights.dtype(name));
        tell(planned.map_err(|e| Failure::of_compile(&e, &graph))?, memory);
        Ok(KINOGRAPH_PLUGIN_OK)
    })
}

/// # Safety
/// `memory` may be written.
unsafe fn tell(plan: MemoryPlan, memory: *mut KinographPluginMemory) {
    // SAFETY: the caller's.
    if let Some(memory) = unsafe { memory.as_mut() } {
        memory.run = plan.run;
        memory.weights_in_place = plan.weights_in_place;
        memory.weights_copied = plan.weights_copied;
    }
}

pub(crate) unsafe extern "C" fn compile(
    device: *mut KinographPluginDevice,
    graph: *const KinographPluginGraph,
    executable: *mut *mut KinographPluginExecutable,
    error: *mut KinographPluginError,
) -> KinographPluginStatus {
    // SAFETY: see above.
    unsafe { compile_by(<dyn Device>::compile, device, graph, executable, error) }
}

pub(crate) unsafe extern "C" fn compile_separately(
    device: *mut KinographPluginDevice,
    graph: *const KinographPluginGraph,
    executable: *mut *mut KinographPluginExecutable,
    error: *mut KinographPluginError,
) -> KinographPluginStatus {
    // SAFETY: see above.
    unsafe { compile_by(<dyn Device>::compile_separately, device, graph, executable, error) }
}

/// One of a device's two ways to compile.
type Compile =
    fn(&(dyn Device + 'static), Arc<Graph>, Arc<dyn Weights>) -> Result<Arc<dyn Executable>, CompileError>;

/// # Safety
/// As of the functions of the interface.
unsafe fn compile_by(
    by: Compile,
    device: *mut KinographPluginDevice,
    graph: *const KinographPluginGraph,
    executable: *mut *mut KinographPluginExecutable,
    error: *mut KinographPluginError,
) -> KinographPluginStatus {
    // SAFETY: the caller's.
    guarded(error, || unsafe {
        let (graph, weights) = graph::read(graph)?;
        // Where this fails, the weights end here: the host takes their memory back.
        let (graph, weights) = (Arc::new(graph), Borrowed(Arc::new(weights)));
        let compiled = by(&**lend::<DeviceBox, _>(device)?, graph.clone(), weights.0.clone());
        let compiled = compiled.map_err(|e| Failure::of_compile(&e, &graph))?;
        give::<ExecutableBox, _>(Compiled { executable: compiled, _weights: weights }, executable);
        Ok(KINOGRAPH_PLUGIN_OK)
    })
}

pub(crate) unsafe extern "C" fn executable_memory(
    executable: *mut KinographPluginExecutable,
    memory: *mut KinographPluginMemory,
    error: *mut KinographPluginError,
) -> KinographPluginStatus {
    // SAFETY: see above.
    guarded(error, || unsafe {
        tell(lend::<ExecutableBox, _>(executable)?.executable.memory(), memory);
        Ok(KINOGRAPH_PLUGIN_OK)
    })
}

pub(crate) unsafe extern "C" fn executable_free(executable: *mut KinographPluginExecutable) {
    // SAFETY: see above.
    unsafe { take::<ExecutableBox, _>(executable) }
}

pub(crate) unsafe extern "C" fn upload(
    device: *mut KinographPluginDevice,
    tensor: *const KinographPluginTensor,
    buffer: *mut *mut KinographPluginBuffer,
    error: *mut KinographPluginError,
) -> KinographPluginStatus {
    // SAFETY: see above.
    guarded(error, || unsafe {
        let tensor = borrow(tensor)?;
        let shape = graph::sizes(list(tensor.shape, tensor.rank as usize)?)?;
        let bytes = list(tensor.data.cast::<u8>(), tensor.bytes as usize)?;
        let tensor = HostTensor::new(shape, elements(dtype_of(tensor.dtype)?, bytes))?;
        let made: BufferBox = lend::<DeviceBox, _>(device)?.upload(tensor)?;
        give(made, buffer);
        Ok(KINOGRAPH_PLUGIN_OK)
    })
}

fn elements(dtype: DType, bytes: &[u8]) -> HostData {
    fn read<T: Pod>(bytes: &[u8]) -> Vec<T> {
        bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect()
    }
    match dtype {
        DType::F32 => HostData::F32(read(bytes)),
        DType::F16 => HostData::F16(read::<f16>(bytes)),
        DType::BF16 => HostData::BF16(read::<bf16>(bytes)),
        DType::I8 => HostData::I8(read(bytes)),
        DType::U8 => HostData::U8(bytes.to_vec()),
        DType::I32 => HostData::I32(read(bytes)),
        DType::I64 => HostData::I64(read(bytes)),
        DType::Bool => HostData::Bool(bytes.to_vec()),
    }
}

pub(crate) unsafe extern "C" fn download(
    device: *mut KinographPluginDevice,
    buffer: *mut KinographPluginBuffer,
    data: *mut c_void,
    size: u64,
    error: *mut KinographPluginError,
) -> KinographPluginStatus {
    // SAFETY: see above.
    guarded(error, || unsafe {
        let tensor = lend::<DeviceBox, _>(device)?.download(lend::<BufferBox, _>(buffer)?)?;
        let found = tensor.data().as_bytes();
        if found.len() as u64 != size {
            return Err(Failure::invalid(format!(
                "the buffer has {} bytes, and {size} are asked for",
                found.len()
            )));
        }
        if size > 0 {
            std::ptr::copy_nonoverlapping(found.as_ptr(), data.cast::<u8>(), found.len());
        }
        Ok(KINOGRAPH_PLUGIN_OK)
    })
}

pub(crate) unsafe extern "C" fn buffer_info(
    buffer: *mut KinographPluginBuffer,
    info: *mut KinographPluginBufferInfo,
    error: *mut KinographPluginError,
) -> KinographPluginStatus {
    // SAFETY: see above.
    guarded(error, || unsafe {
        let desc = lend::<BufferBox, _>(buffer)?.desc();
        let info = info.as_mut().ok_or_else(|| Failure::invalid("the host passed NULL"))?;
        let room =
            info.shape.get_mut(..desc.rank()).ok_or_else(|| Failure::invalid("the rank is too large"))?;
        room.iter_mut().zip(&desc.shape).for_each(|(to, &d)| *to = d as u64);
        info.dtype = dtype_code(desc.dtype);
        info.rank = desc.rank() as u32;
        info.bytes = desc.bytes() as u64;
        Ok(KINOGRAPH_PLUGIN_OK)
    })
}

pub(crate) unsafe extern "C" fn buffer_free(buffer: *mut KinographPluginBuffer) {
    // SAFETY: see above.
    unsafe { take::<BufferBox, _>(buffer) }
}

pub(crate) unsafe extern "C" fn run(
    executable: *mut KinographPluginExecutable,
    inputs: *const *mut KinographPluginBuffer,
    input_count: usize,
    job: *mut *mut KinographPluginJob,
    error: *mut KinographPluginError,
) -> KinographPluginStatus {
    // SAFETY: see above.
    guarded(error, || unsafe {
        let inputs = list(inputs, input_count)?
            .iter()
            .map(|&buffer| lend::<BufferBox, _>(buffer).cloned())
            .collect::<Result<Vec<_>, _>>()?;
        give(Job::start(lend::<ExecutableBox, _>(executable)?.executable.clone(), inputs)?, job);
        Ok(KINOGRAPH_PLUGIN_OK)
    })
}

pub(crate) unsafe extern "C" fn job_wait(
    job: *mut KinographPluginJob,
    timeout: u64,
    error: *mut KinographPluginError,
) -> KinographPluginStatus {
    // SAFETY: see above.
    guarded(error, || unsafe { lend::<Job, _>(job)?.wait(Duration::from_nanos(timeout)) })
}

pub(crate) unsafe extern "C" fn job_outputs(
    job: *mut KinographPluginJob,
    outputs: *mut *mut KinographPluginBuffer,
    capacity: usize,
    count: *mut usize,
    error: *mut KinographPluginError,
) -> KinographPluginStatus {
    // SAFETY: see above; there is room for `capacity` pointers.
    guarded(error, || unsafe {
        let made = lend::<Job, _>(job)?.outputs(capacity)?;
        *count = made.len();
        for (at, buffer) in made.into_iter().enumerate() {
            // A box for each, also where the backend gives one buffer twice.
            give::<BufferBox, _>(buffer, outputs.add(at));
        }
        Ok(KINOGRAPH_PLUGIN_OK)
    })
}

pub(crate) unsafe extern "C" fn job_cancel(job: *mut KinographPluginJob) {
    // SAFETY: see above.
    quiet(|| unsafe {
        if let Ok(job) = lend::<Job, _>(job) {
            job.cancel();
        }
    });
}

pub(crate) unsafe extern "C" fn job_free(job: *mut KinographPluginJob) {
    // SAFETY: see above.
    unsafe { take::<Job, _>(job) }
}
