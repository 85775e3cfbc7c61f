//! Text from a plugin.
#![allow(unsafe_code)]

use std::ffi::c_char;

/// The most bytes of a plugin's string, as the header says.
const MOST: usize = 4095;

/// Copies a string of a plugin: at most so many bytes are looked at, and what is not UTF-8 becomes U+FFFD.
///
/// # Safety
/// `text` is NULL, or can be read up to its NUL or for 4,096 bytes, whichever comes first. Nothing writes there
/// meanwhile.
pub(crate) unsafe fn copy(text: *const c_char, most: usize) -> Result<String, String> {
    if text.is_null() {
        return Err("is NULL".into());
    }
    let most = most.min(MOST);
    let mut bytes = Vec::new();
    for at in 0..=most {
        // SAFETY: the caller's, as no NUL stood before `at` and `at` is at most 4,095.
        match unsafe { text.add(at).read() } as u8 {
            0 => return Ok(printable(&bytes)),
            byte => bytes.push(byte),
        }
    }
    Err(format!("is longer than {most} bytes, or does not end in NUL"))
}

/// The text of an array that should end in NUL. One that does not is cut.
pub(crate) fn of_array(array: &[c_char]) -> String {
    let bytes: Vec<u8> = array.iter().map(|&c| c as u8).take_while(|&byte| byte != 0).collect();
    printable(&bytes)
}

/// Control characters could forge lines of a log or steer a terminal.
fn printable(bytes: &[u8]) -> String {
    let safe = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    String::from_utf8_lossy(bytes).chars().map(safe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(bytes: &[u8], most: usize) -> Result<String, String> {
        assert!(bytes.len() > most || bytes.contains(&0));
        // SAFETY: there is a NUL, or more than the bytes that are looked at.
        unsafe { copy(bytes.as_ptr().cast(), most) }
    }

    #[test]
    fn strings_are_bounded_and_made_printable() {
        assert_eq!(copied(b"name\0more", 8), Ok("name".into()));
        assert_eq!(copied(b"\0", 8), Ok(String::new()));
        assert_eq!(copied(b"12345678\0", 8), Ok("12345678".into()));
        assert!(copied(b"123456789\0", 8).unwrap_err().contains("longer than 8 bytes"));
        assert_eq!(copied(b"a\xffb\x1b[2J\nc\0", 16), Ok("a\u{fffd}b\u{fffd}[2J\u{fffd}c".into()));
        // SAFETY: NULL is allowed.
        assert_eq!(unsafe { copy(std::ptr::null(), 8) }, Err("is NULL".into()));
        assert_eq!(of_array(&[97, 98]), "ab");
        assert_eq!(of_array(&[97, 0, 98]), "a");
    }
}
