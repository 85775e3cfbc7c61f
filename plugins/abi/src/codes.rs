//! Numbers with a fixed meaning. They never change, and new ones may be added.

/// The major version of this interface. Another one is another interface.
pub const KINOGRAPH_PLUGIN_ABI_MAJOR: u32 = 1;
/// The minor version: it grows when fields or functions are added.
pub const KINOGRAPH_PLUGIN_ABI_MINOR: u32 = 1;

/// The outcome of a call, one of the `KINOGRAPH_` codes below it. A host treats a code that it does not know
/// as `KINOGRAPH_PLUGIN_INTERNAL`.
pub type KinographPluginStatus = i32;
/// Done.
pub const KINOGRAPH_PLUGIN_OK: i32 = 0;
/// Of `job_wait`: the time is up and the job still runs.
pub const KINOGRAPH_PLUGIN_PENDING: i32 = 1;
/// The device does not take the node; `message` says what it lacks, such as `no kernel for f16`.
pub const KINOGRAPH_PLUGIN_UNSUPPORTED: i32 = 2;
/// The job was cancelled.
pub const KINOGRAPH_PLUGIN_CANCELLED: i32 = 3;
/// There is not enough memory; `bytes` says how much more is needed.
pub const KINOGRAPH_PLUGIN_OUT_OF_MEMORY: i32 = 4;
/// The device is gone, and so is what it held.
pub const KINOGRAPH_PLUGIN_LOST: i32 = 5;
/// An argument is wrong, such as an option that the device does not have.
pub const KINOGRAPH_PLUGIN_INVALID: i32 = 6;
/// The data of an input are outside what an op takes, such as an index beyond a table; `node` says which.
pub const KINOGRAPH_PLUGIN_DATA: i32 = 7;
/// Anything else.
pub const KINOGRAPH_PLUGIN_INTERNAL: i32 = 8;

/// The type of a tensor's elements, one of the `KINOGRAPH_PLUGIN_DTYPE_` codes below it.
pub type KinographPluginDType = i32;
/// Not known: of a weight, as long as only support is asked for.
pub const KINOGRAPH_PLUGIN_DTYPE_NONE: i32 = 0;
/// IEEE 754 binary32.
pub const KINOGRAPH_PLUGIN_DTYPE_F32: i32 = 1;
/// IEEE 754 binary16.
pub const KINOGRAPH_PLUGIN_DTYPE_F16: i32 = 2;
/// bfloat16: the upper half of a binary32.
pub const KINOGRAPH_PLUGIN_DTYPE_BF16: i32 = 3;
/// Signed 8-bit integer.
pub const KINOGRAPH_PLUGIN_DTYPE_I8: i32 = 4;
/// Unsigned 8-bit integer.
pub const KINOGRAPH_PLUGIN_DTYPE_U8: i32 = 5;
/// Signed 32-bit integer.
pub const KINOGRAPH_PLUGIN_DTYPE_I32: i32 = 6;
/// Signed 64-bit integer.
pub const KINOGRAPH_PLUGIN_DTYPE_I64: i32 = 7;
/// A truth value, stored as one byte, 0 or 1.
pub const KINOGRAPH_PLUGIN_DTYPE_BOOL: i32 = 8;

/// The most dimensions of a tensor.
pub const KINOGRAPH_PLUGIN_MAX_RANK: usize = 8;
/// The size of the text in a `KinographPluginError`, its NUL included.
pub const KINOGRAPH_PLUGIN_MESSAGE_BYTES: usize = 512;
/// An input of a node that is left out, where the position of a value would stand.
pub const KINOGRAPH_PLUGIN_NO_VALUE: u32 = 0xffff_ffff;

/// A value is an input of the graph.
pub const KINOGRAPH_PLUGIN_SOURCE_INPUT: i32 = 0;
/// A value is a weight.
pub const KINOGRAPH_PLUGIN_SOURCE_WEIGHT: i32 = 1;
/// A value is made by a node.
pub const KINOGRAPH_PLUGIN_SOURCE_NODE: i32 = 2;

/// An attribute is an integer: `integer`.
pub const KINOGRAPH_PLUGIN_ATTR_INT: i32 = 0;
/// An attribute is a real number: `real`.
pub const KINOGRAPH_PLUGIN_ATTR_FLOAT: i32 = 1;
/// An attribute is a truth value, 0 or 1: `integer`.
pub const KINOGRAPH_PLUGIN_ATTR_BOOL: i32 = 2;
/// An attribute is a word: `text`.
pub const KINOGRAPH_PLUGIN_ATTR_TEXT: i32 = 3;
/// An attribute is a list of integers: `integers` and `count`.
pub const KINOGRAPH_PLUGIN_ATTR_INTS: i32 = 4;
/// An attribute is a list of real numbers: `reals` and `count`.
pub const KINOGRAPH_PLUGIN_ATTR_FLOATS: i32 = 5;

/// A message about what went wrong.
pub const KINOGRAPH_PLUGIN_LOG_ERROR: i32 = 1;
/// A message about what may go wrong.
pub const KINOGRAPH_PLUGIN_LOG_WARN: i32 = 2;
/// A message about what happens.
pub const KINOGRAPH_PLUGIN_LOG_INFO: i32 = 3;
/// A message for the plugin's developer.
pub const KINOGRAPH_PLUGIN_LOG_DEBUG: i32 = 4;
/// A message for each small step.
pub const KINOGRAPH_PLUGIN_LOG_TRACE: i32 = 5;

/// A bit of `flags` of `KinographPlugin`: the library must not be unloaded, because threads or thread-local state of it may
/// outlive `destroy`.
pub const KINOGRAPH_PLUGIN_KEEP_LOADED: u64 = 1;
