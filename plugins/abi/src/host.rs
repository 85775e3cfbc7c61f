//! What the host gives to a plugin.

use core::ffi::{c_char, c_void};

/// The host, as a plugin sees it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographPluginHost {
    /// The size of this struct.
    pub struct_size: u32,
    /// The host's `KINOGRAPH_PLUGIN_ABI_MAJOR`.
    pub abi_major: u32,
    /// The host's `KINOGRAPH_PLUGIN_ABI_MINOR`; it may be smaller or larger than the plugin's.
    pub abi_minor: u32,
    /// Always 0.
    pub reserved: u32,
    /// To be passed to each callback.
    pub context: *mut c_void,
    /// Tells the host's log a message of a level (`KINOGRAPH_PLUGIN_LOG_ERROR` to `KINOGRAPH_PLUGIN_LOG_TRACE`). Any thread may call it until
    /// `destroy` returns. Never NULL.
    pub log: Option<unsafe extern "C" fn(context: *mut c_void, level: i32, message: *const c_char)>,
}
