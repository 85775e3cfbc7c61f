//! Objects of a plugin, and the structs that calls pass.

use core::ffi::{c_char, c_void};

use crate::codes::{KINOGRAPH_PLUGIN_MAX_RANK, KINOGRAPH_PLUGIN_MESSAGE_BYTES, KinographPluginDType};

/// An opened device; what is in it is the plugin's affair.
#[derive(Debug)]
pub struct KinographPluginDevice(());

/// A graph compiled for a device.
#[derive(Debug)]
pub struct KinographPluginExecutable(());

/// A tensor on a device.
#[derive(Debug)]
pub struct KinographPluginBuffer(());

/// A run of an executable.
#[derive(Debug)]
pub struct KinographPluginJob(());

/// What went wrong in a call. The host zeroes it before; the plugin fills it in when the call returns something else than
/// `KINOGRAPH_PLUGIN_OK`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographPluginError {
    /// The size of this struct.
    pub struct_size: u32,
    /// Of `KINOGRAPH_PLUGIN_DATA`, and of `KINOGRAPH_PLUGIN_UNSUPPORTED` from `compile` and `plan`: one more than the position of the node; 0 when
    /// there is none.
    pub node: u32,
    /// Of `KINOGRAPH_PLUGIN_OUT_OF_MEMORY`: the bytes that are lacking.
    pub bytes: u64,
    /// What is wrong, in words for the user, NUL-terminated.
    pub message: [c_char; KINOGRAPH_PLUGIN_MESSAGE_BYTES],
}

/// A name and what it stands for. This struct never grows.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographPluginPair {
    /// The name.
    pub key: *const c_char,
    /// What it stands for.
    pub value: *const c_char,
}

/// What is known of a device without opening it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographPluginDeviceInfo {
    /// The size of this struct.
    pub struct_size: u32,
    /// The number of facts, at most 64.
    pub fact_count: u32,
    /// The id by which a user chooses it: the plugin's name, or that with a colon and more behind it, such as `sample:0`. At most 127
    /// bytes.
    pub id: *const c_char,
    /// Its name for people.
    pub name: *const c_char,
    /// Facts for people, such as driver and memory.
    pub facts: *const KinographPluginPair,
}

/// How a device is opened.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographPluginDeviceOptions {
    /// The size of this struct.
    pub struct_size: u32,
    /// Threads that the device may use; 0 leaves it to the device.
    pub threads: u32,
    /// Options of this plugin alone; one that it does not know is `KINOGRAPH_PLUGIN_INVALID`.
    pub extra: *const KinographPluginPair,
    /// The number of them.
    pub extra_count: usize,
}

/// What a compiled graph holds and needs, in bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographPluginMemory {
    /// The size of this struct.
    pub struct_size: u32,
    /// Always 0.
    pub reserved: u32,
    /// Activations, outputs and scratch of one run, at the peak; inputs are the caller's.
    pub run: u64,
    /// Weights that are read where the host has them.
    pub weights_in_place: u64,
    /// Weights that the device keeps as its own copy.
    pub weights_copied: u64,
}

/// A tensor in the host's memory, to be copied.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographPluginTensor {
    /// The size of this struct.
    pub struct_size: u32,
    /// The type of its elements.
    pub dtype: KinographPluginDType,
    /// Its dimensions, outermost first; NULL when `rank` is 0.
    pub shape: *const u64,
    /// The number of dimensions, at most `KINOGRAPH_PLUGIN_MAX_RANK`.
    pub rank: u32,
    /// Always 0.
    pub reserved: u32,
    /// Its elements, aligned to their type; may be NULL when there is none.
    pub data: *const c_void,
    /// The size of its elements in bytes.
    pub bytes: u64,
}

/// What a buffer holds.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographPluginBufferInfo {
    /// The size of this struct.
    pub struct_size: u32,
    /// The type of its elements.
    pub dtype: KinographPluginDType,
    /// The number of dimensions.
    pub rank: u32,
    /// Always 0.
    pub reserved: u32,
    /// The dimensions, outermost first; those beyond `rank` are 0.
    pub shape: [u64; KINOGRAPH_PLUGIN_MAX_RANK],
    /// The size of its elements in bytes, stored densely.
    pub bytes: u64,
}
