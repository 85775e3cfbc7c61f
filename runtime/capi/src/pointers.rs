//! From pointers of C to Rust and back: null, alignment, length and encoding are checked here.
//!
//! Objects and places for results come as `Option<&T>` and `Option<&mut MaybeUninit<T>>`, which are nullable pointers to C.
//! The header asks of the caller what Rust asks of such references: they are valid, and nobody else uses what is changed.
//! What is left are texts, arrays and structs whose size may differ.

use std::ffi::{CStr, c_char};
use std::mem::{MaybeUninit, align_of, size_of};

use crate::failure::Failure;
use crate::status::KinographStatus;

/// The most bytes of a text: a graph file's, and four times a prompt's.
pub(crate) const MOST_TEXT: usize = 4 << 20;

/// The most entries of an array of structs.
pub(crate) const MOST_ENTRIES: usize = 1 << 16;

/// The most bytes of a struct of a newer header.
const MOST_STRUCT: usize = 4096;

fn null(name: &str) -> Failure {
    Failure::new(KinographStatus::Null, format!("`{name}` is null"))
}

/// An object that must be there.
pub(crate) fn given<T>(object: Option<T>, name: &str) -> Result<T, Failure> {
    object.ok_or_else(|| null(name))
}

/// The place for an object to be made, set to null until it is.
pub(crate) fn slot<'a, T>(
    out: Option<&'a mut MaybeUninit<*mut T>>,
    name: &str,
) -> Result<&'a mut *mut T, Failure> {
    Ok(given(out, name)?.write(std::ptr::null_mut()))
}

/// Hands an object to the caller.
pub(crate) fn give<T>(slot: &mut *mut T, object: T) {
    *slot = Box::into_raw(Box::new(object));
}

/// A text.
///
/// # Safety
/// Null, or a text that ends with a NUL and stays as it is for `'a`.
pub(crate) unsafe fn text<'a>(pointer: *const c_char, name: &str) -> Result<&'a str, Failure> {
    if pointer.is_null() {
        return Err(null(name));
    }
    // SAFETY: every byte up to the NUL is the text's, and none behind it is looked at.
    let long = (0..=MOST_TEXT).all(|at| unsafe { *pointer.add(at) } != 0);
    if long {
        return Err(Failure::argument(format!("`{name}` has more than {MOST_TEXT} bytes")));
    }
    // SAFETY: the NUL was just found.
    let bytes = unsafe { CStr::from_ptr(pointer) };
    bytes.to_str().map_err(|e| {
        let reason = format!("`{name}` is not UTF-8: byte {} begins no character", e.valid_up_to());
        Failure::new(KinographStatus::Utf8, reason)
    })
}

/// An array of bytes; null is fine when it is empty.
///
/// # Safety
/// Null, or so many bytes that stay as they are for `'a`.
pub(crate) unsafe fn bytes<'a>(pointer: *const u8, count: usize, name: &str) -> Result<&'a [u8], Failure> {
    // SAFETY: as promised by the caller; any byte is a `u8`.
    unsafe { array(pointer, count, isize::MAX as usize, name) }
}

/// An array of at most so many entries; null is fine when it is empty.
///
/// # Safety
/// Null, or so many valid entries that stay as they are for `'a`.
pub(crate) unsafe fn array<'a, T>(
    pointer: *const T,
    count: usize,
    most: usize,
    name: &str,
) -> Result<&'a [T], Failure> {
    if count == 0 {
        return Ok(&[]);
    }
    check_array(pointer, count, most, name)?;
    // SAFETY: not null, aligned, of a size that memory can have, and valid as promised by the caller.
    Ok(unsafe { std::slice::from_raw_parts(pointer, count) })
}

/// An array of texts; null is fine when it is empty.
///
/// # Safety
/// Null, or so many texts that stay as they are for `'a`.
pub(crate) unsafe fn texts<'a>(
    pointer: *const *const c_char,
    count: usize,
    name: &str,
) -> Result<Vec<&'a str>, Failure> {
    // SAFETY: as promised by the caller.
    let entries = unsafe { array(pointer, count, MOST_ENTRIES, name) }?.iter().enumerate();
    // SAFETY: as promised by the caller.
    entries.map(|(at, &entry)| unsafe { text(entry, &format!("{name}[{at}]")) }).collect()
}

/// Places for so many objects to be made, set to null until they are; null is fine for none.
///
/// # Safety
/// Null, or room for so many pointers that nobody else uses for `'a`.
pub(crate) unsafe fn slots<'a, T>(
    pointer: *mut *mut T,
    count: usize,
    name: &str,
) -> Result<&'a mut [*mut T], Failure> {
    if count == 0 {
        return Ok(&mut []);
    }
    check_array(pointer, count, MOST_ENTRIES, name)?;
    // SAFETY: not null, aligned, of a size that memory can have, and the caller's to write.
    (0..count).for_each(|at| unsafe { pointer.add(at).write(std::ptr::null_mut()) });
    // SAFETY: as above, and every entry was just written.
    Ok(unsafe { std::slice::from_raw_parts_mut(pointer, count) })
}

fn check_array<T>(pointer: *const T, count: usize, most: usize, name: &str) -> Result<(), Failure> {
    if pointer.is_null() {
        return Err(null(name));
    }
    if !pointer.is_aligned() {
        return Err(Failure::argument(format!("`{name}` is not aligned to {} bytes", align_of::<T>())));
    }
    let fits = count.checked_mul(size_of::<T>()).is_some_and(|bytes| isize::try_from(bytes).is_ok());
    if count > most || !fits {
        return Err(Failure::argument(format!("`{name}` has {count} entries, at most {most} are taken")));
    }
    Ok(())
}

/// A struct that begins with its size as the caller knows it, and may grow at its end in later versions.
///
/// # Safety
/// `repr(C)`, its first field a `usize` of that size, and all zeros a valid value with the meaning "nothing given".
pub(crate) unsafe trait Versioned: Copy {}

/// A struct from the caller. Fields that its header does not know are zero; fields that this library does not know must be.
///
/// # Safety
/// Null, or a struct of as many bytes as its first field says.
pub(crate) unsafe fn read<T: Versioned>(pointer: *const T, name: &str) -> Result<Option<T>, Failure> {
    let Some(size) = (unsafe {
        // SAFETY: the caller promises a struct, or null.
        struct_size(pointer, name)?
    }) else {
        return Ok(None);
    };
    // SAFETY: the struct has `size` bytes; a byte of padding may be anything, hence `MaybeUninit`.
    let all = unsafe { std::slice::from_raw_parts(pointer.cast::<MaybeUninit<u8>>(), size) };
    let known = size.min(size_of::<T>());
    // SAFETY: fields behind the last that is known are plain data without a gap that C leaves unset.
    if all[known..].iter().any(|byte| unsafe { byte.assume_init() } != 0) {
        return Err(Failure::argument(format!(
            "`{name}` uses a field that this library does not know: it is older than the header"
        )));
    }
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: both have `known` bytes, and a value of the caller's stack is not the one that was made here.
    unsafe { std::ptr::copy_nonoverlapping(pointer.cast::<u8>(), value.as_mut_ptr().cast(), known) };
    // SAFETY: zeros are valid, and so are the caller's fields before them.
    Ok(Some(unsafe { value.assume_init() }))
}

/// Fills a struct of the caller's as far as its header knows it, and leaves its size as it is.
///
/// # Safety
/// Null, or a struct of as many bytes as its first field says, that nobody else uses.
pub(crate) unsafe fn fill<T: Versioned>(pointer: *mut T, value: T, name: &str) -> Result<(), Failure> {
    let size = unsafe {
        // SAFETY: the caller promises a struct, or null.
        struct_size(pointer, name)?
    };
    let size = given(size, name)?;
    let from = size_of::<usize>();
    let bytes = size.min(size_of::<T>()) - from;
    let source = std::ptr::from_ref(&value).cast::<u8>();
    // SAFETY: both structs have that many bytes, and `value` is this function's own.
    unsafe { std::ptr::copy_nonoverlapping(source.add(from), pointer.cast::<u8>().add(from), bytes) };
    Ok(())
}

/// The size that a struct says it has.
///
/// # Safety
/// Null, or a struct that begins with a `usize`.
unsafe fn struct_size<T: Versioned>(pointer: *const T, name: &str) -> Result<Option<usize>, Failure> {
    if pointer.is_null() {
        return Ok(None);
    }
    if !pointer.is_aligned() {
        return Err(Failure::argument(format!("`{name}` is not aligned to {} bytes", align_of::<T>())));
    }
    // SAFETY: aligned for the struct, so for its first field, which the caller promises.
    let size = unsafe { *pointer.cast::<usize>() };
    if !(size_of::<usize>()..=MOST_STRUCT).contains(&size) {
        return Err(Failure::argument(format!("set `{name}.struct_size` to the size of the struct")));
    }
    Ok(Some(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Old {
        struct_size: usize,
        a: u64,
    }

    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct New {
        struct_size: usize,
        a: u64,
        b: u64,
    }

    // SAFETY: `repr(C)`, the size first, plain integers.
    unsafe impl Versioned for Old {}
    // SAFETY: as above.
    unsafe impl Versioned for New {}

    #[test]
    fn structs_of_other_versions_are_read() {
        let new = |b| New { struct_size: size_of::<New>(), a: 7, b };
        let old = Old { struct_size: size_of::<Old>(), a: 7 };
        // SAFETY: structs of the sizes that they say.
        unsafe {
            assert_eq!(read(&raw const old, "s").unwrap(), Some(old));
            let grown = read((&raw const old).cast::<New>(), "s").unwrap().unwrap();
            assert_eq!((grown.a, grown.b), (7, 0));
            let known = new(0);
            assert_eq!(read((&raw const known).cast::<Old>(), "s").unwrap().unwrap().a, 7);
            let unknown = new(1);
            let refused = read((&raw const unknown).cast::<Old>(), "s").unwrap_err();
            assert!(refused.message.contains("older than the header"), "{}", refused.message);
            assert_eq!(read::<New>(std::ptr::null(), "s").unwrap(), None);
            let unset = Old { struct_size: 0, a: 0 };
            assert!(read(&raw const unset, "s").unwrap_err().message.contains("s.struct_size"));
        }
    }

    #[test]
    fn structs_of_other_versions_are_filled() {
        let value = New { struct_size: size_of::<New>(), a: 3, b: 4 };
        let mut new = New { struct_size: size_of::<New>(), a: 0, b: 0 };
        // An older caller's struct with something of its own behind it.
        let mut old = [size_of::<Old>() as u64, 0, 99];
        // SAFETY: structs of the sizes that they say.
        unsafe {
            fill(&raw mut new, value, "s").unwrap();
            fill(old.as_mut_ptr().cast::<New>(), value, "s").unwrap();
        }
        assert_eq!(new, value);
        assert_eq!(old, [size_of::<Old>() as u64, 3, 99]);
    }

    #[test]
    fn texts_and_arrays_are_checked() {
        // SAFETY: texts that end, arrays that are there.
        unsafe {
            assert_eq!(text(c"mañana".as_ptr(), "t").unwrap(), "mañana");
            assert_eq!(text(std::ptr::null(), "t").unwrap_err().status, KinographStatus::Null);
            let bad = text(c"ab\xff".as_ptr(), "t").unwrap_err();
            assert_eq!((bad.status, bad.message.contains("byte 2")), (KinographStatus::Utf8, true));
            let mut long = vec![b'x'; MOST_TEXT];
            long.push(0);
            assert_eq!(text(long.as_ptr().cast(), "t").unwrap().len(), MOST_TEXT);
            long.insert(0, b'x');
            assert_eq!(text(long.as_ptr().cast(), "t").unwrap_err().status, KinographStatus::Argument);

            assert!(array::<u64>(std::ptr::null(), 0, 9, "a").unwrap().is_empty());
            assert_eq!(array::<u64>(std::ptr::null(), 1, 9, "a").unwrap_err().status, KinographStatus::Null);
            let values = [1u64, 2];
            assert_eq!(array(values.as_ptr(), 2, 9, "a").unwrap(), values);
            let status = |pointer: *const u64, count| array(pointer, count, 9, "a").unwrap_err().status;
            assert_eq!(status(values.as_ptr(), 10), KinographStatus::Argument);
            assert_eq!(status(values.as_ptr().wrapping_byte_add(1), 1), KinographStatus::Argument);
            let vast = bytes([0u8].as_ptr(), usize::MAX, "a").unwrap_err();
            assert_eq!(vast.status, KinographStatus::Argument);
        }
    }
}
