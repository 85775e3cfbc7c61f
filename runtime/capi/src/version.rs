//! Versions.

use std::ffi::c_char;

/// The version of the binary interface that this header describes. It grows when a program built against an older header
/// would no longer work; new functions, statuses and fields at the end of structs leave it as it is.
pub const KINOGRAPH_ABI_VERSION: u32 = 1;

/// The version of the binary interface of the library that is loaded. A host compares it with `KINOGRAPH_ABI_VERSION`.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_abi_version() -> u32 {
    KINOGRAPH_ABI_VERSION
}

/// The version of Kinograph, such as "0.1.0"; never null.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}
