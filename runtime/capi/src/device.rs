//! The runtime and its devices.

use std::collections::BTreeMap;
use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use kinograph::{Device, DeviceInfo, DeviceOptions, Placement, Runtime};

use crate::failure::{Failure, KinographError, c_text, free, guard};
use crate::pointers::{MOST_ENTRIES, Versioned, array, give, given, read, slot, text};
use crate::status::KinographStatus;

/// The backends that a host has. Nothing in Kinograph is process-global: a host may make several. Several threads may use one
/// at once; devices do not need it once they are open.
#[derive(Debug)]
pub struct KinographRuntime(pub(crate) RwLock<Backends>);

/// What a runtime has: plugins change it, all else reads.
#[derive(Debug)]
pub(crate) struct Backends {
    pub(crate) runtime: Runtime,
    /// Remembers which files it tried.
    #[cfg(feature = "plugins")]
    pub(crate) plugins: kinograph::plugins::PluginHost,
}

impl KinographRuntime {
    fn new() -> Self {
        Self(RwLock::new(Backends {
            runtime: Runtime::new(),
            #[cfg(feature = "plugins")]
            plugins: kinograph::plugins::PluginHost::new(),
        }))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Backends> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The devices that there were when it was made. Several threads may read it at once; its texts live as long as it does.
#[derive(Debug)]
pub struct KinographDeviceList(Vec<Listed>);

/// A device as C reads it.
#[derive(Debug)]
struct Listed {
    id: CString,
    name: CString,
    facts: Vec<(CString, CString)>,
}

/// An open device, or what a `kinograph_device_with_...` made of some. Several threads may use it at once. What is made with it
/// keeps it open, so it may be freed at any time.
pub struct KinographDevice {
    pub(crate) device: Arc<dyn Device>,
    /// Devices that components of models have for themselves.
    pub(crate) parts: BTreeMap<String, Arc<dyn Device>>,
    id: CString,
}

impl KinographDevice {
    pub(crate) fn new(device: Arc<dyn Device>, parts: BTreeMap<String, Arc<dyn Device>>) -> Self {
        let id = c_text(device.info().id.as_str());
        Self { device, parts, id }
    }

    pub(crate) fn placement(&self) -> Placement {
        let parts = self.parts.iter();
        parts.fold(Placement::new(self.device.clone()), |all, (name, own)| {
            all.with(name.as_str(), own.clone())
        })
    }
}

/// An option of one backend, by name. Both texts are copied.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographOption {
    /// Such as "simd" of the cpu.
    pub name: *const c_char,
    /// Such as "avx2".
    pub value: *const c_char,
}

/// How a device is opened. All zeros but the size mean: as the device likes best.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographDeviceOptions {
    /// The size of this struct.
    pub struct_size: usize,
    /// Threads that it may use; 0 leaves it to the device.
    pub threads: usize,
    /// Options of the one backend; unknown ones are refused.
    pub options: *const KinographOption,
    /// How many there are.
    pub option_count: usize,
    /// A directory of the host's own in which a device may keep, from one process to the next, what takes long to find again:
    /// compiled kernels, measurements. It is made when something is kept, and trusted as much as the program's own files. Null
    /// keeps nothing.
    pub cache: *const c_char,
}

// SAFETY: `repr(C)`, the size first, and zeros are no threads, no options and no directory.
unsafe impl Versioned for KinographDeviceOptions {}

/// Makes a runtime with the built-in backends.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_runtime_new(
    runtime: Option<&mut MaybeUninit<*mut KinographRuntime>>,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        give(slot(runtime, "runtime")?, KinographRuntime::new());
        Ok(())
    })
}

/// Frees a runtime; null is fine.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_runtime_free(runtime: Option<Box<KinographRuntime>>) {
    free(runtime);
}

/// Lists the devices that are there now, without opening them.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_runtime_devices(
    runtime: Option<&KinographRuntime>,
    devices: Option<&mut MaybeUninit<*mut KinographDeviceList>>,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let slot = slot(devices, "devices")?;
        let found = given(runtime, "runtime")?.read().runtime.devices();
        give(slot, KinographDeviceList(found.into_iter().map(listed).collect()));
        Ok(())
    })
}

fn listed(info: DeviceInfo) -> Listed {
    let facts = info.facts.into_iter().map(|(key, value)| (c_text(key), c_text(value))).collect();
    Listed { id: c_text(info.id), name: c_text(info.name), facts }
}

/// How many devices there are; 0 of null.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_device_list_count(devices: Option<&KinographDeviceList>) -> usize {
    devices.map_or(0, |devices| devices.0.len())
}

/// The id of a device, by which it is opened, such as "cpu"; null beyond the last.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_device_list_id(
    devices: Option<&KinographDeviceList>,
    index: usize,
) -> *const c_char {
    find(devices, index).map_or(std::ptr::null(), |device| device.id.as_ptr())
}

/// The name of a device for people; null beyond the last.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_device_list_name(
    devices: Option<&KinographDeviceList>,
    index: usize,
) -> *const c_char {
    find(devices, index).map_or(std::ptr::null(), |device| device.name.as_ptr())
}

/// How many facts of a device are known.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_device_list_fact_count(
    devices: Option<&KinographDeviceList>,
    index: usize,
) -> usize {
    find(devices, index).map_or(0, |device| device.facts.len())
}

/// What a fact is about, such as "simd"; null beyond the last.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_device_list_fact_key(
    devices: Option<&KinographDeviceList>,
    index: usize,
    fact: usize,
) -> *const c_char {
    let found = find(devices, index).and_then(|device| device.facts.get(fact));
    found.map_or(std::ptr::null(), |(key, _)| key.as_ptr())
}

/// What a fact says, such as "avx2"; null beyond the last.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_device_list_fact_value(
    devices: Option<&KinographDeviceList>,
    index: usize,
    fact: usize,
) -> *const c_char {
    let found = find(devices, index).and_then(|device| device.facts.get(fact));
    found.map_or(std::ptr::null(), |(_, value)| value.as_ptr())
}

fn find(devices: Option<&KinographDeviceList>, index: usize) -> Option<&Listed> {
    devices.and_then(|devices| devices.0.get(index))
}

/// Frees a list and its texts; null is fine.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_device_list_free(devices: Option<Box<KinographDeviceList>>) {
    free(devices);
}

/// Opens a device by its id. `options` may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_runtime_open(
    runtime: Option<&KinographRuntime>,
    id: *const c_char,
    options: *const KinographDeviceOptions,
    device: Option<&mut MaybeUninit<*mut KinographDevice>>,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let slot = slot(device, "device")?;
        let runtime = given(runtime, "runtime")?;
        // SAFETY: a text of the caller.
        let id = unsafe { text(id, "id") }?;
        // SAFETY: a struct of the caller, or null.
        let options = unsafe { device_options(options) }?;
        let opened = runtime.read().runtime.open(id, &options)?;
        give(slot, KinographDevice::new(opened, BTreeMap::new()));
        Ok(())
    })
}

/// The options as the runtime takes them.
///
/// # Safety
/// Null, or a struct whose size and array are as it says.
pub(crate) unsafe fn device_options(
    options: *const KinographDeviceOptions,
) -> Result<DeviceOptions, Failure> {
    // SAFETY: as promised by the caller.
    let Some(given) = unsafe { read(options, "options") }? else { return Ok(DeviceOptions::default()) };
    // SAFETY: as promised by the caller.
    let entries = unsafe { array(given.options, given.option_count, MOST_ENTRIES, "options.options") }?;
    let mut extra = BTreeMap::new();
    for entry in entries {
        // SAFETY: texts of the caller.
        let (name, value) = unsafe { (text(entry.name, "option name")?, text(entry.value, "option value")?) };
        extra.insert(name.to_owned(), value.to_owned());
    }
    // SAFETY: as promised by the caller.
    let cache = unsafe { directory(given.cache, "options.cache") }?;
    Ok(DeviceOptions { threads: (given.threads > 0).then_some(given.threads), extra, cache })
}

/// A directory, if one is given. The empty path would be the working directory.
///
/// # Safety
/// Null, or a text.
unsafe fn directory(path: *const c_char, name: &str) -> Result<Option<PathBuf>, Failure> {
    if path.is_null() {
        return Ok(None);
    }
    // SAFETY: as promised by the caller.
    match unsafe { text(path, name) }? {
        "" => Err(Failure::argument(format!("`{name}` is empty"))),
        path => Ok(Some(path.into())),
    }
}

/// The id of a device, such as "cpu"; null of null. One with a fallback has the first one's, and one with devices for single
/// components that of the device for the others. Lives as long as the device.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_device_id(device: Option<&KinographDevice>) -> *const c_char {
    device.map_or(std::ptr::null(), |device| device.id.as_ptr())
}

/// Gives back memory that the device keeps for later runs; null does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_device_trim(device: Option<&KinographDevice>) {
    guard(None, || {
        let device = given(device, "device")?;
        device.parts.values().chain([&device.device]).for_each(|device| device.trim());
        Ok(())
    });
}

/// Frees a device; null is fine. It closes when nothing that was made with it is left.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_device_free(device: Option<Box<KinographDevice>>) {
    free(device);
}
