//! The entry of a plugin and its table.
#![allow(unsafe_code)]

use std::ffi::{CString, c_void};
use std::ptr;
use std::sync::{Mutex, PoisonError};

use kinograph_backend::{Backend, DeviceInfo};
use kinograph_plugin_abi::*;

use crate::codes::Failure;
use crate::guard::{guarded, quiet};
use crate::objects;

/// What makes the table of a plugin. Used by [`export_backend`](crate::export_backend).
#[derive(Debug)]
pub enum Entry {}

/// One use of the plugin by a host: the `context` of its table.
pub struct Host {
    backend: Box<dyn Backend>,
    table: KinographPlugin,
    /// Strings that the host was given; they stay until the end.
    texts: Mutex<Vec<Described>>,
    _name: CString,
    _version: CString,
}

/// What was told of a device.
#[derive(PartialEq)]
struct Described {
    id: CString,
    name: CString,
    facts: Vec<(CString, CString)>,
    pairs: Pairs,
}

/// Pointers into `facts`.
struct Pairs(Vec<KinographPluginPair>);

impl PartialEq for Pairs {
    /// They follow from the facts.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Host {
    pub(crate) fn backend(&self) -> &dyn Backend {
        &*self.backend
    }
}

impl Entry {
    /// The table for a host, or NULL when the backend fails to start, which the host's log is told. A host of another version gets
    /// a table that says which one this is, and that it cannot use.
    ///
    /// # Safety
    /// `host` is NULL or leads to a table as the interface has it, valid until `destroy` returns.
    pub unsafe fn make(
        host: *const KinographPluginHost,
        version: &str,
        backend: impl FnOnce() -> Box<dyn Backend>,
    ) -> *const KinographPlugin {
        if host.is_null() {
            return ptr::null();
        }
        // SAFETY: the first fields are there in every version.
        if unsafe { (*host).abi_major } != KINOGRAPH_PLUGIN_ABI_MAJOR {
            return &raw const FOREIGN.0;
        }
        let mut table = ptr::null();
        let mut error = KinographPluginError {
            struct_size: size_of::<KinographPluginError>() as u32,
            node: 0,
            bytes: 0,
            message: [0; KINOGRAPH_PLUGIN_MESSAGE_BYTES],
        };
        let status = guarded(&raw mut error, || {
            let no_text = |_| Failure::invalid("the name or the version of the backend has a NUL in it");
            let backend = backend();
            let name = CString::new(backend.name()).map_err(no_text)?;
            table = Host::leak(backend, name, CString::new(version).map_err(no_text)?);
            Ok(KINOGRAPH_PLUGIN_OK)
        });
        if status != KINOGRAPH_PLUGIN_OK {
            // SAFETY: a host of this major version has these fields, and takes messages already.
            unsafe {
                if let Some(log) = (*host).log {
                    log((*host).context, KINOGRAPH_PLUGIN_LOG_ERROR, error.message.as_ptr());
                }
            }
        }
        table
    }
}

/// A table without functions: a host of another version reads the version, and nothing behind it.
struct Foreign(KinographPlugin);

// SAFETY: its pointers are NULL, and nothing writes to it.
unsafe impl Sync for Foreign {}

static FOREIGN: Foreign = Foreign(KinographPlugin {
    struct_size: size_of::<KinographPlugin>() as u32,
    abi_major: KINOGRAPH_PLUGIN_ABI_MAJOR,
    abi_minor: KINOGRAPH_PLUGIN_ABI_MINOR,
    // SAFETY: zeros are numbers, NULL and no functions.
    ..unsafe { std::mem::zeroed() }
});

impl Host {
    /// Gives the table; `destroy` frees what is behind it.
    fn leak(backend: Box<dyn Backend>, name: CString, version: CString) -> *const KinographPlugin {
        let table = table(&name, &version);
        let host = Box::new(Host { backend, table, texts: Mutex::default(), _name: name, _version: version });
        let host: *mut Host = Box::into_raw(host);
        // SAFETY: it was just made, and nobody else knows it yet.
        unsafe {
            (*host).table.context = host.cast::<c_void>();
            &raw const (*host).table
        }
    }

    /// Keeps what is told of a device until the end, once.
    fn describe(&self, info: &DeviceInfo, to: &mut KinographPluginDeviceInfo) -> Result<(), Failure> {
        let described = Described::new(info)?;
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let at = texts.iter().position(|known| *known == described).unwrap_or_else(|| {
            texts.push(described);
            texts.len() - 1
        });
        let known = &texts[at];
        (to.id, to.name) = (known.id.as_ptr(), known.name.as_ptr());
        (to.facts, to.fact_count) = (known.pairs.0.as_ptr(), known.pairs.0.len() as u32);
        Ok(())
    }
}

// SAFETY: the pointers lead to strings beside them, which do not change.
unsafe impl Send for Pairs {}

impl Described {
    fn new(info: &DeviceInfo) -> Result<Self, Failure> {
        let text =
            |text: &str| CString::new(text).map_err(|_| Failure::invalid("a device's text has a NUL in it"));
        let facts = info
            .facts
            .iter()
            .map(|(key, value)| Ok((text(key)?, text(value)?)))
            .collect::<Result<Vec<_>, Failure>>()?;
        let pair = |(key, value): &(CString, CString)| KinographPluginPair {
            key: key.as_ptr(),
            value: value.as_ptr(),
        };
        let pairs = Pairs(facts.iter().map(pair).collect());
        Ok(Self { id: text(&info.id)?, name: text(&info.name)?, facts, pairs })
    }
}

unsafe extern "C" fn destroy(context: *mut c_void) {
    // SAFETY: the context is what `leak` made, and this is the last call.
    quiet(|| drop(unsafe { Box::from_raw(context.cast::<Host>()) }));
}

unsafe extern "C" fn device_count(
    context: *mut c_void,
    count: *mut usize,
    error: *mut KinographPluginError,
) -> KinographPluginStatus {
    // SAFETY: the context is what `leak` made, and `count` may be written.
    guarded(error, || unsafe {
        *count = (*context.cast::<Host>()).backend.devices()?.len();
        Ok(KINOGRAPH_PLUGIN_OK)
    })
}

unsafe extern "C" fn device_info(
    context: *mut c_void,
    index: usize,
    info: *mut KinographPluginDeviceInfo,
    error: *mut KinographPluginError,
) -> KinographPluginStatus {
    // SAFETY: the context is what `leak` made, and `info` may be written.
    guarded(error, || unsafe {
        let host = &*context.cast::<Host>();
        let devices = host.backend.devices()?;
        let found = devices.get(index).ok_or_else(|| Failure::invalid("the device is not there any more"))?;
        host.describe(found, &mut *info)?;
        Ok(KINOGRAPH_PLUGIN_OK)
    })
}

fn table(name: &CString, version: &CString) -> KinographPlugin {
    KinographPlugin {
        struct_size: size_of::<KinographPlugin>() as u32,
        abi_major: KINOGRAPH_PLUGIN_ABI_MAJOR,
        abi_minor: KINOGRAPH_PLUGIN_ABI_MINOR,
        reserved: 0,
        flags: KINOGRAPH_PLUGIN_KEEP_LOADED,
        name: name.as_ptr(),
        version: version.as_ptr(),
        context: ptr::null_mut(),
        destroy: Some(destroy),
        device_count: Some(device_count),
        device_info: Some(device_info),
        device_open: Some(objects::device_open),
        device_close: Some(objects::device_close),
        device_trim: Some(objects::device_trim),
        support: Some(objects::support),
        plan: Some(objects::plan),
        compile: Some(objects::compile),
        executable_memory: Some(objects::executable_memory),
        executable_free: Some(objects::executable_free),
        upload: Some(objects::upload),
        download: Some(objects::download),
        buffer_info: Some(objects::buffer_info),
        buffer_free: Some(objects::buffer_free),
        run: Some(objects::run),
        job_wait: Some(objects::job_wait),
        job_outputs: Some(objects::job_outputs),
        job_cancel: Some(objects::job_cancel),
        job_free: Some(objects::job_free),
        compile_separately: Some(objects::compile_separately),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::c_char;

    use super::*;
    use crate::guard::text;

    type Heard = Mutex<Vec<String>>;

    /// # Safety
    /// The context leads to what was heard so far, the message to a string.
    unsafe extern "C" fn hear(context: *mut c_void, level: i32, message: *const c_char) {
        assert_eq!(level, KINOGRAPH_PLUGIN_LOG_ERROR);
        // SAFETY: the caller's.
        let (heard, message) = unsafe { (&*context.cast::<Heard>(), text(message).unwrap()) };
        heard.lock().unwrap().push(message.to_owned());
    }

    fn host(heard: &Heard, abi_major: u32) -> KinographPluginHost {
        KinographPluginHost {
            struct_size: size_of::<KinographPluginHost>() as u32,
            abi_major,
            abi_minor: KINOGRAPH_PLUGIN_ABI_MINOR,
            reserved: 0,
            context: std::ptr::from_ref(heard).cast_mut().cast(),
            log: Some(hear),
        }
    }

    #[test]
    fn a_backend_that_does_not_start_says_why() {
        let heard = Heard::default();
        let host = host(&heard, KINOGRAPH_PLUGIN_ABI_MAJOR);
        // SAFETY: the host's table is alive.
        let table = unsafe { Entry::make(&raw const host, "1.0", || panic!("there is no driver")) };
        assert!(table.is_null());
        assert_eq!(*heard.lock().unwrap(), ["the plugin panicked: there is no driver"]);
    }

    #[test]
    fn a_host_of_another_version_learns_this_one() {
        let heard = Heard::default();
        let host = host(&heard, KINOGRAPH_PLUGIN_ABI_MAJOR + 1);
        // SAFETY: the host's table is alive, and the plugin's lives as long as the program.
        let table = unsafe { &*Entry::make(&raw const host, "1.0", || panic!("it is not asked")) };
        assert_eq!(
            (table.abi_major, table.abi_minor),
            (KINOGRAPH_PLUGIN_ABI_MAJOR, KINOGRAPH_PLUGIN_ABI_MINOR)
        );
        assert!(table.destroy.is_none() && heard.lock().unwrap().is_empty());
        // SAFETY: NULL is allowed.
        assert!(unsafe { Entry::make(ptr::null(), "1.0", || panic!("it is not asked")) }.is_null());
    }
}
