//! The table of a plugin's functions.

use core::ffi::{c_char, c_void};

use crate::codes::KinographStatus;
use crate::graph::KinographGraph;
use crate::host::KinographHost;
use crate::objects::{
    KinographBuffer, KinographBufferInfo, KinographDevice, KinographDeviceInfo, KinographError,
    KinographExecutable, KinographJob, KinographMemory, KinographOptions, KinographTensor,
};

/// The type of the exported symbol `kinograph_plugin_entry`.
pub type KinographPluginEntry = unsafe extern "C" fn(host: *const KinographHost) -> *const KinographPlugin;

/// A plugin: what it is, and its functions. A function may be NULL only where it is said.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographPlugin {
    /// The size of this struct.
    pub struct_size: u32,
    /// `KINOGRAPH_ABI_MAJOR` of the header that the plugin was compiled with.
    pub abi_major: u32,
    /// `KINOGRAPH_ABI_MINOR` of it.
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
            error: *mut KinographError,
        ) -> KinographStatus,
    >,
    /// Describes the device at a position below the count.
    pub device_info: Option<
        unsafe extern "C" fn(
            context: *mut c_void,
            index: usize,
            info: *mut KinographDeviceInfo,
            error: *mut KinographError,
        ) -> KinographStatus,
    >,
    /// Opens the device of that id. It may be opened several times.
    pub device_open: Option<
        unsafe extern "C" fn(
            context: *mut c_void,
            id: *const c_char,
            options: *const KinographOptions,
            device: *mut *mut KinographDevice,
            error: *mut KinographError,
        ) -> KinographStatus,
    >,
    /// Closes a device.
    pub device_close: Option<unsafe extern "C" fn(device: *mut KinographDevice)>,
    /// Gives back memory that the device keeps for later runs, such as buffers that are not in use. May be NULL.
    pub device_trim: Option<unsafe extern "C" fn(device: *mut KinographDevice)>,

    /// Whether the device takes the node at a position in `nodes`: `KINOGRAPH_OK`, or `KINOGRAPH_UNSUPPORTED` with the reason. The
    /// graph holds that node and those that feed it and read nothing themselves, such as `Constant`; everything else that the
    /// node reads is an input or a weight of it. The answer depends on nothing else: the same question always gives the same one.
    pub support: Option<
        unsafe extern "C" fn(
            device: *mut KinographDevice,
            graph: *const KinographGraph,
            node: u32,
            error: *mut KinographError,
        ) -> KinographStatus,
    >,
    /// What `compile` and a run of this graph would need. May be NULL; then the host estimates.
    pub plan: Option<
        unsafe extern "C" fn(
            device: *mut KinographDevice,
            graph: *const KinographGraph,
            memory: *mut KinographMemory,
            error: *mut KinographError,
        ) -> KinographStatus,
    >,
    /// Compiles a graph, all of whose nodes the device takes.
    pub compile: Option<
        unsafe extern "C" fn(
            device: *mut KinographDevice,
            graph: *const KinographGraph,
            executable: *mut *mut KinographExecutable,
            error: *mut KinographError,
        ) -> KinographStatus,
    >,
    /// What the executable holds and needs.
    pub executable_memory: Option<
        unsafe extern "C" fn(
            executable: *mut KinographExecutable,
            memory: *mut KinographMemory,
            error: *mut KinographError,
        ) -> KinographStatus,
    >,
    /// Frees an executable.
    pub executable_free: Option<unsafe extern "C" fn(executable: *mut KinographExecutable)>,

    /// Makes a buffer with a copy of a tensor. A device holds tensors of every type, also of those that it does not compute in.
    pub upload: Option<
        unsafe extern "C" fn(
            device: *mut KinographDevice,
            tensor: *const KinographTensor,
            buffer: *mut *mut KinographBuffer,
            error: *mut KinographError,
        ) -> KinographStatus,
    >,
    /// Copies a buffer to the host's memory, where `bytes` is the size that `buffer_info` tells; waits for what still writes it.
    pub download: Option<
        unsafe extern "C" fn(
            device: *mut KinographDevice,
            buffer: *mut KinographBuffer,
            data: *mut c_void,
            bytes: u64,
            error: *mut KinographError,
        ) -> KinographStatus,
    >,
    /// What a buffer holds.
    pub buffer_info: Option<
        unsafe extern "C" fn(
            buffer: *mut KinographBuffer,
            info: *mut KinographBufferInfo,
            error: *mut KinographError,
        ) -> KinographStatus,
    >,
    /// Frees a buffer.
    pub buffer_free: Option<unsafe extern "C" fn(buffer: *mut KinographBuffer)>,

    /// Starts a run and returns without waiting for it. The inputs are in the order of the graph's, checked by the host, of the
    /// executable's device, and stay valid and unchanged until `job_free` returns. Runs of one executable may overlap.
    pub run: Option<
        unsafe extern "C" fn(
            executable: *mut KinographExecutable,
            inputs: *const *mut KinographBuffer,
            input_count: usize,
            job: *mut *mut KinographJob,
            error: *mut KinographError,
        ) -> KinographStatus,
    >,
    /// Waits for a job, at most so many nanoseconds; 0 only looks. `KINOGRAPH_OK` when it is done, `KINOGRAPH_PENDING` when it is
    /// not, `KINOGRAPH_CANCELLED` when it was cancelled, or what it failed with. Once it is over, the answer stays the same.
    pub job_wait: Option<
        unsafe extern "C" fn(
            job: *mut KinographJob,
            timeout: u64,
            error: *mut KinographError,
        ) -> KinographStatus,
    >,
    /// Hands the outputs of a job that is done to the host, once: writes as many buffers as the graph has outputs, in that order,
    /// to `outputs`, which has room for `capacity` of them, and their number to `count`. Each is a buffer of its own and none is
    /// an input of the job, also where two outputs are the same value.
    pub job_outputs: Option<
        unsafe extern "C" fn(
            job: *mut KinographJob,
            outputs: *mut *mut KinographBuffer,
            capacity: usize,
            count: *mut usize,
            error: *mut KinographError,
        ) -> KinographStatus,
    >,
    /// Asks a job to stop as soon as it can, between two kernels or earlier, and returns without waiting. `job_wait` then gives
    /// `KINOGRAPH_CANCELLED`, unless the job was done first. A host that has waited long for this calls the device lost.
    pub job_cancel: Option<unsafe extern "C" fn(job: *mut KinographJob)>,
    /// Frees a job that is over, and outputs that were not handed out. Nothing of the job runs any more when it returns.
    pub job_free: Option<unsafe extern "C" fn(job: *mut KinographJob)>,
}
