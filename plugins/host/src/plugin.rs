//! A loaded library and its checked table of functions.
#![allow(unsafe_code)]

use std::collections::HashSet;
use std::ffi::{CString, c_char, c_void};
use std::mem::{ManuallyDrop, offset_of};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kinograph_backend::DeviceInfo;
use kinograph_plugin_abi::*;
use libloading::Library;

use crate::directory::Prepared;
use crate::error::{Failure, FailureKind, PluginErrorKind};
use crate::flat::size_field;
use crate::text;

/// The most devices of a plugin.
const MOST_DEVICES: usize = 64;
/// The most facts of a device.
const MOST_FACTS: u32 = 64;
const MOST_ID_BYTES: usize = 127;
const MOST_NAME_BYTES: usize = 32;
/// No table is as large as this: a size beyond it is garbage.
const MOST_TABLE_BYTES: u32 = 1 << 16;

/// A loaded plugin. Everything that comes from it holds it.
pub(crate) struct Plugin {
    /// A copy; what the plugin does not have is NULL.
    pub(crate) table: KinographPlugin,
    pub(crate) path: PathBuf,
    pub(crate) name: String,
    pub(crate) version: String,
    /// How long a cancelled job may take to stop.
    pub(crate) patience: Duration,
    /// The objects that the plugin has handed out, by kind and address.
    live: Mutex<HashSet<(&'static str, usize)>>,
    /// True once a job of it was abandoned.
    lost: AtomicBool,
    /// Where the plugin's pointers to the host lead to.
    host: Callbacks,
    library: ManuallyDrop<Library>,
    /// The private copy of the library; dropped after it, for systems that keep files while they are loaded.
    private: Option<tempfile::TempDir>,
}

// SAFETY: the interface requires that the functions of the table may be called from any thread, several at once, and that what its
// pointers lead to does not change. The rest of the struct is only changed through a mutex or an atomic.
unsafe impl Send for Plugin {}
// SAFETY: as above.
unsafe impl Sync for Plugin {}

/// What a plugin is given; boxed, as it keeps the pointer.
struct Callbacks {
    table: Box<KinographPluginHost>,
    /// What the plugin is called in the log.
    name: Box<LogName>,
}

/// The context of the callbacks.
struct LogName(String);

impl Callbacks {
    fn new(path: &Path) -> Self {
        let name = Box::new(LogName(path.file_name().unwrap_or_default().to_string_lossy().into_owned()));
        let context: *const LogName = &*name;
        let table = Box::new(KinographPluginHost {
            struct_size: size_field::<KinographPluginHost>(),
            abi_major: KINOGRAPH_PLUGIN_ABI_MAJOR,
            abi_minor: KINOGRAPH_PLUGIN_ABI_MINOR,
            reserved: 0,
            context: context.cast_mut().cast::<c_void>(),
            log: Some(log),
        });
        Self { table, name }
    }
}

/// The host's log, as plugins call it.
unsafe extern "C" fn log(context: *mut c_void, level: i32, message: *const c_char) {
    // A panic of the host's logger would end the process here.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        if context.is_null() {
            return;
        }
        // SAFETY: the interface has the plugin pass the context of its host, a `LogName` that lives as long as the plugin.
        let LogName(name) = unsafe { &*context.cast::<LogName>() };
        // SAFETY: the interface has the plugin pass a string that ends in NUL.
        let message = unsafe { text::copy(message, usize::MAX) }
            .unwrap_or_else(|wrong| format!("a message that {wrong}"));
        let level = match level {
            KINOGRAPH_PLUGIN_LOG_ERROR => log::Level::Error,
            KINOGRAPH_PLUGIN_LOG_WARN => log::Level::Warn,
            KINOGRAPH_PLUGIN_LOG_INFO => log::Level::Info,
            KINOGRAPH_PLUGIN_LOG_DEBUG => log::Level::Debug,
            _ => log::Level::Trace,
        };
        log::log!(target: "kinograph::plugin", level, "{name}: {message}");
    }));
}

/// The functions that may not be NULL. `device_trim`, `plan` and `compile_separately` may.
macro_rules! required {
    ($table:expr; $($name:ident),*) => {
        [$((stringify!($name), $table.$name.is_some())),*]
    };
}

impl Plugin {
    /// Loads a library and checks its table. `path` is what it is called in messages.
    pub(crate) fn load(file: Prepared, path: PathBuf, patience: Duration) -> Result<Self, PluginErrorKind> {
        let host = Callbacks::new(&path);
        let library = open(&file.path).map_err(|e| PluginErrorKind::Load(in_full(&e)))?;
        let found = {
            // SAFETY: the symbol of this name is a function of this type in every version of the interface.
            let entry = unsafe { library.get::<KinographPluginEntry>(ENTRY_SYMBOL) };
            let entry = entry.map_err(|_| PluginErrorKind::NoEntry)?;
            // SAFETY: the host's table is complete, and it outlives the library.
            unsafe { entry(&*host.table) }
        };
        let found = NonNull::new(found.cast_mut()).ok_or(PluginErrorKind::Declined)?;
        // SAFETY: the entry gave this pointer, and the interface has it lead to the plugin's table.
        let table = match unsafe { read_table(found) } {
            Ok(table) => table,
            Err(kind) => {
                // Its `destroy` cannot be called, so what the entry began may run on: its code and the
                // table of the host stay.
                std::mem::forget((library, host));
                return Err(kind);
            }
        };
        let plugin = Self {
            name: String::new(),
            version: String::new(),
            table,
            path,
            patience,
            live: Mutex::default(),
            lost: AtomicBool::new(false),
            host,
            library: ManuallyDrop::new(library),
            private: file.private,
        };
        // From here on dropping it calls `destroy`, if there is one.
        plugin.checked()
    }

    fn checked(mut self) -> Result<Self, PluginErrorKind> {
        let t = &self.table;
        let functions = required!(t; destroy, device_count, device_info, device_open, device_close, support, compile,
            executable_memory, executable_free, upload, download, buffer_info, buffer_free, run, job_wait, job_outputs,
            job_cancel, job_free);
        if let Some((name, _)) = functions.iter().find(|(_, there)| !there) {
            return Err(PluginErrorKind::MissingFunction(name));
        }
        let wrong =
            |what: &'static str| move |reason| PluginErrorKind::Violation(format!("its {what} {reason}"));
        // SAFETY: the interface has these be strings that end in NUL.
        let name = unsafe { text::copy(t.name, MOST_NAME_BYTES) }.map_err(wrong("name"))?;
        // SAFETY: as above.
        let version = unsafe { text::copy(t.version, MOST_ID_BYTES) }.map_err(wrong("version"))?;
        if !is_name(&name) {
            let reason = format!("`{name}` is not made of a to z, 0 to 9, _ and -, a letter first");
            return Err(wrong("name")(reason));
        }
        (self.name, self.version) = (name, version);
        Ok(self)
    }

    /// The devices that are there now.
    pub(crate) fn devices(&self) -> Result<Vec<DeviceInfo>, Failure> {
        let mut count = 0;
        // SAFETY: the pointers are valid during the call.
        self.call("device_count", |error| unsafe {
            self.table.device_count.map(|f| f(self.table.context, &mut count, error))
        })?;
        if count > MOST_DEVICES {
            let message = format!("{count} devices, but {MOST_DEVICES} are the most");
            return Err(Failure::violation("device_count", message));
        }
        let mut devices: Vec<DeviceInfo> = Vec::new();
        for index in 0..count {
            let device = self.device(index)?;
            if devices.iter().any(|other| other.id == device.id) {
                return Err(Failure::violation(
                    "device_info",
                    format!("two devices are called `{}`", device.id),
                ));
            }
            devices.push(device);
        }
        Ok(devices)
    }

    fn device(&self, index: usize) -> Result<DeviceInfo, Failure> {
        let mut info = KinographPluginDeviceInfo {
            struct_size: size_field::<KinographPluginDeviceInfo>(),
            fact_count: 0,
            id: ptr::null(),
            name: ptr::null(),
            facts: ptr::null(),
        };
        // SAFETY: the pointers are valid during the call, and the index is below the count.
        self.call("device_info", |error| unsafe {
            self.table.device_info.map(|f| f(self.table.context, index, &mut info, error))
        })?;
        let wrong =
            |what: String| move |reason| Failure::violation("device_info", format!("{what} {reason}"));
        // SAFETY: the interface has the id be a string that ends in NUL and stays until the end.
        let id = unsafe { text::copy(info.id, MOST_ID_BYTES) }
            .map_err(wrong(format!("the id of device {index}")))?;
        if !self.is_id(&id) {
            let message =
                format!("the id `{id}` must be `{0}`, or `{0}:` and more letters and digits", self.name);
            return Err(Failure::violation("device_info", message));
        }
        // SAFETY: as for the id.
        let name =
            unsafe { text::copy(info.name, usize::MAX) }.map_err(wrong(format!("the name of `{id}`")))?;
        // SAFETY: the interface has the facts stay unchanged until the end.
        let facts = unsafe { facts(&info) }.map_err(wrong(format!("of `{id}`")))?;
        Ok(DeviceInfo { id, name, facts })
    }

    fn is_id(&self, id: &str) -> bool {
        let plain = |c: char| c.is_ascii_graphic();
        match id.split_once(':') {
            None => id == self.name,
            Some((name, rest)) => name == self.name && !rest.is_empty() && rest.chars().all(plain),
        }
    }

    /// Makes a call that may fail and reads how it went. The function is there: that was checked, except for those that may be NULL.
    pub(crate) fn call(
        &self,
        function: &'static str,
        call: impl FnOnce(*mut KinographPluginError) -> Option<KinographPluginStatus>,
    ) -> Result<(), Failure> {
        if self.lost.load(Ordering::Relaxed) {
            let message =
                format!("the plugin `{}` has a job that never ended; start the program again", self.name);
            return Err(Failure { function, kind: FailureKind::Lost, message });
        }
        match self.status(function, call)? {
            KINOGRAPH_PLUGIN_PENDING => Err(Failure::violation(function, "nothing is pending here")),
            _ => Ok(()),
        }
    }

    /// As [`call`](Self::call), of a job, which may be pending, and which is waited for even when another was abandoned.
    pub(crate) fn status(
        &self,
        function: &'static str,
        call: impl FnOnce(*mut KinographPluginError) -> Option<KinographPluginStatus>,
    ) -> Result<KinographPluginStatus, Failure> {
        let mut error = KinographPluginError {
            struct_size: size_field::<KinographPluginError>(),
            node: 0,
            bytes: 0,
            message: [0; KINOGRAPH_PLUGIN_MESSAGE_BYTES],
        };
        let Some(status) = call(&mut error) else {
            return Err(Failure::violation(function, "the function is NULL"));
        };
        let node = (error.node as usize).checked_sub(1);
        let kind = match status {
            KINOGRAPH_PLUGIN_OK | KINOGRAPH_PLUGIN_PENDING => return Ok(status),
            KINOGRAPH_PLUGIN_UNSUPPORTED => FailureKind::Unsupported { node },
            KINOGRAPH_PLUGIN_CANCELLED => FailureKind::Cancelled,
            KINOGRAPH_PLUGIN_OUT_OF_MEMORY => FailureKind::OutOfMemory { bytes: error.bytes },
            KINOGRAPH_PLUGIN_LOST => FailureKind::Lost,
            KINOGRAPH_PLUGIN_INVALID => FailureKind::Invalid,
            KINOGRAPH_PLUGIN_DATA => FailureKind::Data { node },
            _ => FailureKind::Internal,
        };
        let said = text::of_array(&error.message);
        let message = match (said.is_empty(), kind, status) {
            (true, FailureKind::Internal, KINOGRAPH_PLUGIN_INTERNAL) | (false, ..) => said,
            (true, FailureKind::Internal, code) => format!("it gave the unknown status {code} and no reason"),
            (true, ..) => format!("it gave no reason, only the status {status}"),
        };
        let message = if message.is_empty() { "it gave no reason".into() } else { message };
        Err(Failure { function, kind, message })
    }

    /// Takes an object that the plugin handed out.
    pub(crate) fn adopt<T>(&self, function: &'static str, pointer: *mut T) -> Result<NonNull<T>, Failure> {
        let found = NonNull::new(pointer)
            .ok_or_else(|| Failure::violation(function, "it succeeded and gave NULL"))?;
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if live.insert(key(found)) {
            return Ok(found);
        }
        Err(Failure::violation(function, "it handed out an object that is in use"))
    }

    /// Forgets an object that is about to be freed: from then on the plugin may hand out its address again.
    pub(crate) fn release<T>(&self, pointer: NonNull<T>) {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).remove(&key(pointer));
    }

    /// Notes that a job was abandoned: the plugin gets no more work, and what it handed out is still freed.
    pub(crate) fn lose(&self) {
        self.lost.store(true, Ordering::Relaxed);
        log::error!(
            "plugin `{}`: a job did not stop when it was cancelled, and was abandoned",
            self.host.name.0
        );
    }
}

fn key<T>(pointer: NonNull<T>) -> (&'static str, usize) {
    (std::any::type_name::<T>(), pointer.addr().get())
}

impl Drop for Plugin {
    fn drop(&mut self) {
        if let Some(destroy) = self.table.destroy {
            // SAFETY: whatever the plugin handed out held this plugin and is gone.
            unsafe { destroy(self.table.context) }
        }
        if self.table.flags & KINOGRAPH_PLUGIN_KEEP_LOADED == 0 {
            // SAFETY: it is dropped here only, and nothing of the library is used after this.
            unsafe { ManuallyDrop::drop(&mut self.library) }
        }
        self.private.take();
    }
}

/// An error with its causes: what the system's loader says, such as a symbol that is missing, is one of them.
fn in_full(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(in_full);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

/// Opens a library so that what it lacks shows now, and its symbols are its own.
fn open(path: &Path) -> Result<Library, libloading::Error> {
    #[cfg(unix)]
    {
        use libloading::os::unix;
        // SAFETY: loading runs the library's code. The host named the directory, or the file's digest, for just that.
        unsafe { unix::Library::open(Some(path), unix::RTLD_NOW | unix::RTLD_LOCAL) }.map(Library::from)
    }
    #[cfg(windows)]
    {
        use libloading::os::windows;
        let flags = windows::LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | windows::LOAD_LIBRARY_SEARCH_DEFAULT_DIRS;
        // SAFETY: as above. The working directory is not searched for the libraries that this one needs.
        unsafe { windows::Library::load_with_flags(path, flags) }.map(Library::from)
    }
}

/// Copies the table as far as both sides know it.
///
/// # Safety
/// `found` leads to a table as the interface has it: its first fields are there, and so many bytes as `struct_size` says.
unsafe fn read_table(found: NonNull<KinographPlugin>) -> Result<KinographPlugin, PluginErrorKind> {
    let garbage = |reason: String| Err(PluginErrorKind::Violation(reason));
    if !found.is_aligned() {
        return garbage("its table is not aligned".into());
    }
    // SAFETY: the first fields are there in every version.
    let (size, major, minor) = unsafe {
        let table = found.as_ptr();
        ((*table).struct_size, (*table).abi_major, (*table).abi_minor)
    };
    if major != KINOGRAPH_PLUGIN_ABI_MAJOR {
        return Err(PluginErrorKind::Version {
            found: format!("{major}.{minor}"),
            host: format!("{KINOGRAPH_PLUGIN_ABI_MAJOR}.{KINOGRAPH_PLUGIN_ABI_MINOR}"),
        });
    }
    // The last function of version 1.0.
    let least = offset_of!(KinographPlugin, job_free) + size_of::<usize>();
    if (size as usize) < least || size > MOST_TABLE_BYTES {
        return garbage(format!(
            "its table of functions says that it has {size} bytes; {least} are due at least"
        ));
    }
    let mut table = std::mem::MaybeUninit::<KinographPlugin>::zeroed();
    // SAFETY: so many bytes are there on both sides. Zeros and whatever bytes the plugin has are a valid table for Rust: integers, raw
    // pointers and nullable functions.
    Ok(unsafe {
        let bytes = size_of::<KinographPlugin>().min(size as usize);
        ptr::copy_nonoverlapping(found.as_ptr().cast::<u8>(), table.as_mut_ptr().cast::<u8>(), bytes);
        table.assume_init()
    })
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(plain)
}

/// Copies the facts of a device.
///
/// # Safety
/// `info` comes from the plugin, and what its pointers lead to is there and does not change.
unsafe fn facts(info: &KinographPluginDeviceInfo) -> Result<Vec<(String, String)>, String> {
    if info.fact_count > MOST_FACTS {
        return Err(format!("{} facts, but {MOST_FACTS} are the most", info.fact_count));
    }
    let pairs = info.facts;
    if info.fact_count > 0 && (pairs.is_null() || !pairs.is_aligned()) {
        return Err("the facts are NULL or not aligned".into());
    }
    let fact = |at: usize| {
        // SAFETY: the plugin says that there are so many.
        let pair = unsafe { *pairs.add(at) };
        // SAFETY: the interface has both be strings that end in NUL.
        let (key, value) =
            unsafe { (text::copy(pair.key, MOST_ID_BYTES), text::copy(pair.value, usize::MAX)) };
        let wrong = |what: &'static str| move |reason| format!("{what} of fact {at} {reason}");
        Ok((key.map_err(wrong("the name"))?, value.map_err(wrong("the value"))?))
    };
    (0..info.fact_count as usize).map(fact).collect()
}

/// A string for the plugin.
pub(crate) fn c_string(what: &str, text: &str) -> Result<CString, Failure> {
    CString::new(text).map_err(|_| Failure {
        function: "device_open",
        kind: FailureKind::Invalid,
        message: format!("{what} has a NUL in it, which plugins cannot take"),
    })
}
