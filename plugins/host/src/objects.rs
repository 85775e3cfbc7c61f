//! Devices, executables and buffers of a plugin: each frees itself, after what was made of it.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use kinograph_backend::{DeviceOptions, HostTensor, MemoryPlan, Weights};
use kinograph_graph::TensorDesc;
use kinograph_plugin_abi::*;

use crate::error::Failure;
use crate::flat::{FlatGraph, dtype_code, dtype_of, shape_pointer, size_field};
use crate::plugin::{Plugin, c_string};
use crate::transfer;

/// An opened device.
pub(crate) struct RawDevice {
    pub(crate) plugin: Arc<Plugin>,
    pointer: NonNull<KinographPluginDevice>,
}

/// A compiled graph.
pub(crate) struct RawExecutable {
    pub(crate) device: Arc<RawDevice>,
    pub(crate) pointer: NonNull<KinographPluginExecutable>,
    /// The device reads them where they are.
    _weights: Arc<dyn Weights>,
}

/// A tensor on a device.
pub(crate) struct RawBuffer {
    pub(crate) device: Arc<RawDevice>,
    pub(crate) pointer: NonNull<KinographPluginBuffer>,
}

macro_rules! shared_between_threads {
    ($($name:ident),*) => {$(
        // SAFETY: the interface requires that an object may be used from any thread, by several at once.
        unsafe impl Send for $name {}
        // SAFETY: as above.
        unsafe impl Sync for $name {}
    )*};
}

shared_between_threads!(RawDevice, RawExecutable, RawBuffer);

impl Drop for RawDevice {
    fn drop(&mut self) {
        self.plugin.release(self.pointer);
        if let Some(close) = self.plugin.table.device_close {
            // SAFETY: the device is the host's, and its executables and buffers held it and are gone.
            unsafe { close(self.pointer.as_ptr()) }
        }
    }
}

impl Drop for RawExecutable {
    fn drop(&mut self) {
        self.device.plugin.release(self.pointer);
        if let Some(free) = self.device.plugin.table.executable_free {
            // SAFETY: the executable is the host's, and its jobs held it and are gone.
            unsafe { free(self.pointer.as_ptr()) }
        }
    }
}

impl Drop for RawBuffer {
    fn drop(&mut self) {
        self.device.plugin.release(self.pointer);
        if let Some(free) = self.device.plugin.table.buffer_free {
            // SAFETY: the buffer is the host's, and jobs that read it held it and are gone.
            unsafe { free(self.pointer.as_ptr()) }
        }
    }
}

impl RawDevice {
    pub(crate) fn open(
        plugin: &Arc<Plugin>,
        id: &str,
        options: &DeviceOptions,
    ) -> Result<Arc<Self>, Failure> {
        let id = c_string("the id", id)?;
        let texts = options
            .extra
            .iter()
            .map(|(key, value)| Ok((c_string("an option", key)?, c_string("an option", value)?)))
            .collect::<Result<Vec<_>, Failure>>()?;
        let extra: Vec<KinographPluginPair> = texts
            .iter()
            .map(|(key, value)| KinographPluginPair { key: key.as_ptr(), value: value.as_ptr() })
            .collect();
        let options = KinographPluginDeviceOptions {
            struct_size: size_field::<KinographPluginDeviceOptions>(),
            threads: options.threads.map_or(0, |n| u32::try_from(n.max(1)).unwrap_or(u32::MAX)),
            extra: extra.as_ptr(),
            extra_count: extra.len(),
        };
        let mut device = ptr::null_mut();
        // SAFETY: the pointers are valid during the call.
        plugin.call("device_open", |error| unsafe {
            plugin
                .table
                .device_open
                .map(|f| f(plugin.table.context, id.as_ptr(), &options, &mut device, error))
        })?;
        let pointer = plugin.adopt("device_open", device)?;
        Ok(Arc::new(Self { plugin: plugin.clone(), pointer }))
    }

    pub(crate) fn trim(&self) {
        if let Some(trim) = self.plugin.table.device_trim {
            // SAFETY: the device is open.
            unsafe { trim(self.pointer.as_ptr()) }
        }
    }

    pub(crate) fn support(&self, graph: &FlatGraph, node: u32) -> Result<(), Failure> {
        // SAFETY: device and graph are valid, and the node is one of the graph.
        self.plugin.call("support", |error| unsafe {
            self.plugin.table.support.map(|f| f(self.pointer.as_ptr(), graph.as_ptr(), node, error))
        })
    }

    /// True when the plugin plans; where it does not, the host estimates.
    pub(crate) fn plans(&self) -> bool {
        self.plugin.table.plan.is_some()
    }

    pub(crate) fn plan(&self, graph: &FlatGraph) -> Result<MemoryPlan, Failure> {
        let mut memory = no_memory();
        // SAFETY: the pointers are valid during the call.
        self.plugin.call("plan", |error| unsafe {
            self.plugin.table.plan.map(|f| f(self.pointer.as_ptr(), graph.as_ptr(), &mut memory, error))
        })?;
        memory_plan("plan", &memory)
    }

    /// `weights` are those that the graph points into. `separately`: each node by itself, where the plugin tells that apart.
    pub(crate) fn compile(
        self: &Arc<Self>,
        graph: &FlatGraph,
        weights: Arc<dyn Weights>,
        separately: bool,
    ) -> Result<RawExecutable, Failure> {
        let table = &self.plugin.table;
        let (name, function) = match table.compile_separately.filter(|_| separately) {
            Some(function) => ("compile_separately", Some(function)),
            None => ("compile", table.compile),
        };
        let mut executable = ptr::null_mut();
        // SAFETY: device and graph are valid. The data of the weights are valid as long as the weights, which the executable keeps.
        self.plugin.call(name, |error| unsafe {
            function.map(|f| f(self.pointer.as_ptr(), graph.as_ptr(), &mut executable, error))
        })?;
        let pointer = self.plugin.adopt(name, executable)?;
        Ok(RawExecutable { device: self.clone(), pointer, _weights: weights })
    }

    pub(crate) fn upload(self: &Arc<Self>, tensor: &HostTensor) -> Result<RawBuffer, Failure> {
        let shape: Vec<u64> = tensor.desc().shape.iter().map(|&d| d as u64).collect();
        let bytes = tensor.data().as_bytes();
        let flat = KinographPluginTensor {
            struct_size: size_field::<KinographPluginTensor>(),
            dtype: dtype_code(tensor.desc().dtype),
            shape: shape_pointer(&shape),
            rank: shape.len() as u32,
            reserved: 0,
            data: bytes.as_ptr().cast::<c_void>(),
            bytes: bytes.len() as u64,
        };
        let mut buffer = ptr::null_mut();
        // SAFETY: the pointers are valid during the call.
        self.plugin.call("upload", |error| unsafe {
            self.plugin.table.upload.map(|f| f(self.pointer.as_ptr(), &flat, &mut buffer, error))
        })?;
        let pointer = self.plugin.adopt("upload", buffer)?;
        let buffer = RawBuffer { device: self.clone(), pointer };
        buffer.check("upload", tensor.desc())?;
        Ok(buffer)
    }

    /// Copies a buffer of that description back.
    pub(crate) fn download(&self, buffer: &RawBuffer, desc: &TensorDesc) -> Result<HostTensor, Failure> {
        transfer::receive(desc, |bytes| {
            let (data, size) = (bytes.as_mut_ptr().cast::<c_void>(), bytes.len() as u64);
            // SAFETY: the buffer is of this device, and there is room for so many bytes.
            self.plugin.call("download", |error| unsafe {
                self.plugin
                    .table
                    .download
                    .map(|f| f(self.pointer.as_ptr(), buffer.pointer.as_ptr(), data, size, error))
            })
        })
    }
}

impl RawExecutable {
    pub(crate) fn memory(&self) -> Result<MemoryPlan, Failure> {
        let (plugin, mut memory) = (&self.device.plugin, no_memory());
        // SAFETY: the pointers are valid during the call.
        plugin.call("executable_memory", |error| unsafe {
            plugin.table.executable_memory.map(|f| f(self.pointer.as_ptr(), &mut memory, error))
        })?;
        memory_plan("executable_memory", &memory)
    }
}

impl RawBuffer {
    /// Checks that the buffer holds what is due.
    pub(crate) fn check(&self, function: &'static str, due: &TensorDesc) -> Result<(), Failure> {
        let plugin = &self.device.plugin;
        let mut info = KinographPluginBufferInfo {
            struct_size: size_field::<KinographPluginBufferInfo>(),
            dtype: KINOGRAPH_PLUGIN_DTYPE_NONE,
            rank: 0,
            reserved: 0,
            shape: [0; KINOGRAPH_PLUGIN_MAX_RANK],
            bytes: 0,
        };
        // SAFETY: the pointers are valid during the call.
        plugin.call("buffer_info", |error| unsafe {
            plugin.table.buffer_info.map(|f| f(self.pointer.as_ptr(), &mut info, error))
        })?;
        let wrong =
            |what: String| Err(Failure::violation(function, format!("the buffer {what}, due is {due}")));
        let Some(dtype) = dtype_of(info.dtype) else {
            return wrong(format!("has the unknown type {}", info.dtype));
        };
        let Some(shape) = info.shape.get(..info.rank as usize) else {
            return wrong(format!("has rank {}", info.rank));
        };
        if dtype != due.dtype || !shape.iter().copied().eq(due.shape.iter().map(|&d| d as u64)) {
            return wrong(format!("is {dtype}{shape:?}"));
        }
        if info.bytes != due.bytes() as u64 {
            return wrong(format!("has {} bytes", info.bytes));
        }
        Ok(())
    }
}

fn no_memory() -> KinographPluginMemory {
    let struct_size = size_field::<KinographPluginMemory>();
    KinographPluginMemory { struct_size, reserved: 0, run: 0, weights_in_place: 0, weights_copied: 0 }
}

/// No machine has as much memory, and whoever adds a few such numbers stays far from the end of a `u64`.
const MOST_MEMORY: u64 = 1 << 56;

fn memory_plan(function: &'static str, memory: &KinographPluginMemory) -> Result<MemoryPlan, Failure> {
    let &KinographPluginMemory { run, weights_in_place, weights_copied, .. } = memory;
    if let Some(bytes) = [run, weights_in_place, weights_copied].into_iter().find(|&n| n > MOST_MEMORY) {
        return Err(Failure::violation(function, format!("it needs {bytes} bytes, which no machine has")));
    }
    Ok(MemoryPlan { run, reused: 0, weights_in_place, weights_copied })
}
