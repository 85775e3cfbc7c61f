//! The table of a plugin's functions.

use core::ffi::{c_char, c_void};

use crate::codes::KinographPluginStatus;
use crate::graph::KinographPluginGraph;
use crate::host::KinographPluginHost;
use crate::objects::{
    KinographPluginBuffer, KinographPluginBufferInfo, KinographPluginDevice, KinographPluginDeviceInfo,
    KinographPluginDeviceOptions, KinographPluginError, KinographPluginExecutable, KinographPluginJob,
    KinographPluginMemory, KinographPluginTensor,
};

/// The type of the exported symbol `kinograph_plugin_entry`.
pub type KinographPluginEntry =
    unsafe extern "C" fn(host: *const KinographPluginHost) -> *const KinographPlugin;

/// A plugin: what it is, and its functions. A function may be NULL only where it is said.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographPlugin {
    /// The size of this struct.
    pub struct_size: u32,
    /// `KINOGRAPH_PLUGIN_ABI_MAJOR` of the header that the plugin was compiled with.
    pub abi_major: u32,
    /// `KINOGRAPH_PLUGIN_ABI_MINOR` of it.
    pub abi_minor: u32,
    /// Always 0.
    pub reserved: u32,
    /// Bits: `KINOGRAPH_PLUGIN_KEEP_LOADED`; others are 0.
    pub flags: u64,
    /// The first part of the ids of its devices: 1 to 32 of `a` to `z`, `0` to `9`, `_` and `-`, a letter first.
    pub name: *const c_char,
    /// Its version for people.
    pub version: *const c_char,
    /// To be passed to the functions that have no other object. May be NULL.
    pub context: *mut c_void,

    /// The end of this use of the plugin: frees what `kinograph_plugin_entry` made. Called once for each call of that.
    pub destroy: Option<unsafe extern "C" fn(context: *mut c_void)>,

    /// Counts the devices that are there now, at most 64, without opening them. None is an answer, not an error.
    pub device_count: Option<
        unsafe extern "C" fn(
            context: *mut c_void,
            count: *mut usize,
            error: *mut KinographPluginError,
        ) -> KinographPluginStatus,
    >,
    /// Describes the device at a position below the count.
    pub device_info: Option<
        unsafe extern "C" fn(
            context: *mut c_void,
            index: usize,
            info: *mut KinographPluginDeviceInfo,
            error: *mut KinographPluginError,
        ) -> KinographPluginStatus,
    >,
    /// Opens the device of that id. It may be opened several times.
    pub device_open: Option<
        unsafe extern "C" fn(
            context: *mut c_void,
            id: *const c_char,
            options: *const KinographPluginDeviceOptions,
            device: *mut *mut KinographPluginDevice,
            error: *mut KinographPluginError,
        ) -> KinographPluginStatus,
    >,
    /// Closes a device.
    pub device_close: Option<unsafe extern "C" fn(device: *mut KinographPluginDevice)>,
    /// Gives back memory that the device keeps for later runs, such as buffers that are not in use. May be NULL.
    pub device_trim: Option<unsafe extern "C" fn(device: *mut KinographPluginDevice)>,

    /// Whether the device takes the node at a position in `nodes`: `KINOGRAPH_PLUGIN_OK`, or `KINOGRAPH_PLUGIN_UNSUPPORTED` with the reason. The
    /// graph holds that node and those that feed it and read nothing themselves, such as `Constant`; everything else that the
    /// node reads is an input or a weight of it. The answer depends on nothing else: the same question always gives the same one.
    pub support: Option<
        unsafe extern "C" fn(
            device: *mut KinographPluginDevice,
            graph: *const KinographPluginGraph,
            node: u32,
            error: *mut KinographPluginError,
        ) -> KinographPluginStatus,
    >,
    /// What `compile` and a run of this graph would need. May be NULL; then the host estimates.
    pub plan: Option<
        unsafe extern "C" fn(
            device: *mut KinographPluginDevice,
            graph: *const KinographPluginGraph,
            memory: *mut KinographPluginMemory,
            error: *mut KinographPluginError,
        ) -> KinographPluginStatus,
    >,
    /// Compiles a graph, all of whose nodes the device takes.
    pub compile: Option<
        unsafe extern "C" fn(
            device: *mut KinographPluginDevice,
            graph: *const KinographPluginGraph,
            executable: *mut *mut KinographPluginExecutable,
            error: *mut KinographPluginError,
        ) -> KinographPluginStatus,
    >,
    /// What the executable holds and needs.
    pub executable_memory: Option<
        unsafe extern "C" fn(
            executable: *mut KinographPluginExecutable,
            memory: *mut KinographPluginMemory,
            error: *mut KinographPluginError,
        ) -> KinographPluginStatus,
    >,
    /// Frees an executable.
    pub executable_free: Option<unsafe extern "C" fn(executable: *mut KinographPluginExecutable)>,

    /// Makes a buffer with a copy of a tensor. A device holds tensors of every type, also of those that it does not compute in.
    pub upload: Option<
        unsafe extern "C" fn(
            device: *mut KinographPluginDevice,
            tensor: *const KinographPluginTensor,
            buffer: *mut *mut KinographPluginBuffer,
            error: *mut KinographPluginError,
        ) -> KinographPluginStatus,
    >,
    /// Copies a buffer to the host's memory, where `bytes` is the size that `buffer_info` tells; waits for what still writes it.
    pub download: Option<
        unsafe extern "C" fn(
            device: *mut KinographPluginDevice,
            buffer: *mut KinographPluginBuffer,
            data: *mut c_void,
            bytes: u64,
            error: *mut KinographPluginError,
        ) -> KinographPluginStatus,
    >,
    /// What a buffer holds.
    pub buffer_info: Option<
        unsafe extern "C" fn(
            buffer: *mut KinographPluginBuffer,
            info: *mut KinographPluginBufferInfo,
            error: *mut KinographPluginError,
        ) -> KinographPluginStatus,
    >,
    /// Frees a buffer.
    pub buffer_free: Option<unsafe extern "C" fn(buffer: *mut KinographPluginBuffer)>,

    /// Starts a run and returns without waiting for it. The inputs are in the order of the graph's, checked by the host, of the
    /// executable's device, and stay valid and unchanged until `job_free` returns. Runs of one executable may overlap.
    pub run: Option<
        unsafe extern "C" fn(
            executable: *mut KinographPluginExecutable,
            inputs: *const *mut KinographPluginBuffer,
            input_count: usize,
            job: *mut *mut KinographPluginJob,
            error: *mut KinographPluginError,
        ) -> KinographPluginStatus,
    >,
    /// Waits for a job, at most so many nanoseconds; 0 only looks. `KINOGRAPH_PLUGIN_OK` when it is done, `KINOGRAPH_PLUGIN_PENDING` when it is
    /// not, `KINOGRAPH_PLUGIN_CANCELLED` when it was cancelled, or what it failed with. Once it is over, the answer stays the same.
    pub job_wait: Option<
        unsafe extern "C" fn(
            job: *mut KinographPluginJob,
            timeout: u64,
            error: *mut KinographPluginError,
        ) -> KinographPluginStatus,
    >,
    /// Hands the outputs of a job that is done to the host, once: writes as many buffers as the graph has outputs, in that order,
    /// to `outputs`, which has room for `capacity` of them, and their number to `count`. Each is a buffer of its own and none is
    /// an input of the job, also where two outputs are the same value.
    pub job_outputs: Option<
        unsafe extern "C" fn(
            job: *mut KinographPluginJob,
            outputs: *mut *mut KinographPluginBuffer,
            capacity: usize,
            count: *mut usize,
            error: *mut KinographPluginError,
        ) -> KinographPluginStatus,
    >,
    /// Asks a job to stop as soon as it can, between two kernels or earlier, and returns without waiting. `job_wait` then gives
    /// `KINOGRAPH_PLUGIN_CANCELLED`, unless the job was done first. A host that has waited long for this calls the device lost.
    pub job_cancel: Option<unsafe extern "C" fn(job: *mut KinographPluginJob)>,
    /// Frees a job that is over, and outputs that were not handed out. Nothing of the job runs any more when it returns.
    pub job_free: Option<unsafe extern "C" fn(job: *mut KinographPluginJob)>,

    /// Since 1.1. As `compile`, but each node is computed by itself: nothing is fused, and what is rounded after each node stays so, as
    /// reproducible numerics need it of ordinary ops. May be NULL; then the host calls `compile`, and its self-test shows whether that will do.
    pub compile_separately: Option<
        unsafe extern "C" fn(
            device: *mut KinographPluginDevice,
            graph: *const KinographPluginGraph,
            executable: *mut *mut KinographPluginExecutable,
            error: *mut KinographPluginError,
        ) -> KinographPluginStatus,
    >,
}
