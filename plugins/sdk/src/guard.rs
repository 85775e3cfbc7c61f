//! What stands around every function: panics are caught, failures are written to the host's error, pointers become borrows.
#![allow(unsafe_code)]

use std::any::Any;
use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use kinograph_plugin_abi::*;

use crate::codes::Failure;

/// Does the work of a function that may fail.
pub(crate) fn guarded(
    error: *mut KinographPluginError,
    work: impl FnOnce() -> Result<KinographPluginStatus, Failure>,
) -> KinographPluginStatus {
    let result = catch_unwind(AssertUnwindSafe(work));
    let failure = match result {
        Ok(Ok(status)) => return status,
        Ok(Err(failure)) => failure,
        Err(panic) => panicked(&*panic),
    };
    // SAFETY: the host's error is valid during the call, or NULL.
    if let Some(error) = unsafe { error.as_mut() } {
        error.bytes = failure.bytes;
        error.node = failure.node.map_or(0, |at| at as u32 + 1);
        write_message(&mut error.message, &failure.message);
    }
    failure.status
}

/// Does the work of a function that has no way to fail.
pub(crate) fn quiet(work: impl FnOnce()) {
    // What dropping a backend's object panics with has nowhere to go.
    let _ = catch_unwind(AssertUnwindSafe(work));
}

/// A panic as a failure.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Failure {
    let said = panic.downcast_ref::<&str>().copied();
    let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    Failure::new(KINOGRAPH_PLUGIN_INTERNAL, format!("the plugin panicked: {said}"))
}

/// Cuts a message to its room, at a character, with a NUL behind it.
fn write_message(room: &mut [c_char], message: &str) {
    let mut end = message.len().min(room.len() - 1);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    for (to, &byte) in room.iter_mut().zip(&message.as_bytes()[..end]) {
        *to = byte as c_char;
    }
    room[end] = 0;
}

/// A list that the host lends.
///
/// # Safety
/// `pointer` leads to so many elements that stay as they are for `'a`, or there are none.
pub(crate) unsafe fn list<'a, T>(pointer: *const T, count: usize) -> Result<&'a [T], Failure> {
    match (count, pointer.is_null()) {
        (0, _) => Ok(&[]),
        (_, true) => Err(Failure::invalid("the host passed NULL for a list")),
        // SAFETY: the caller's.
        (_, false) => Ok(unsafe { std::slice::from_raw_parts(pointer, count) }),
    }
}

/// Something that the host lends.
///
/// # Safety
/// `pointer` is NULL or leads to a value that stays as it is for `'a`.
pub(crate) unsafe fn borrow<'a, T>(pointer: *const T) -> Result<&'a T, Failure> {
    // SAFETY: the caller's.
    unsafe { pointer.as_ref() }.ok_or_else(|| Failure::invalid("the host passed NULL"))
}

/// A string that the host lends.
///
/// # Safety
/// `pointer` is NULL or leads to a string that ends in NUL and stays as it is for `'a`.
pub(crate) unsafe fn text<'a>(pointer: *const c_char) -> Result<&'a str, Failure> {
    if pointer.is_null() {
        return Err(Failure::invalid("the host passed NULL for a string"));
    }
    // SAFETY: the caller's.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str().map_err(|_| Failure::invalid("the host passed a string that is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_and_long_messages_become_errors() {
        // SAFETY: zeros are a valid error.
        let mut error: KinographPluginError = unsafe { std::mem::zeroed() };
        let status = guarded(&mut error, || panic!("{}", "\u{e9}".repeat(400)));
        assert_eq!(status, KINOGRAPH_PLUGIN_INTERNAL);
        let bytes: Vec<u8> = error.message.iter().map(|&c| c as u8).collect();
        let said = CStr::from_bytes_until_nul(&bytes).unwrap().to_str().unwrap();
        assert!(said.starts_with("the plugin panicked: \u{e9}\u{e9}") && said.len() > 500, "{said}");
        assert_eq!(guarded(std::ptr::null_mut(), || Err(Failure::invalid("x"))), KINOGRAPH_PLUGIN_INVALID);
        quiet(|| panic!("unheard"));
    }
}
