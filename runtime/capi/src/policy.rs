//! Devices that are chosen for a model.

use std::collections::BTreeMap;
use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::path::Path;

use kinograph::{Package, Policy};

use crate::device::{KinographDevice, KinographDeviceOptions, KinographRuntime, device_options};
use crate::failure::{Failure, KinographError, guard};
use crate::model::{KinographFile, flipbook, in_memory};
use crate::pointers::{Versioned, give, given, read, slot, text};
use crate::status::KinographStatus;

/// Which package: one by its path, or files in memory. All zeros but the size: flipbook, the small model inside the library.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographPackage {
    /// The size of this struct.
    pub struct_size: usize,
    /// A path as `kinograph_model_load` takes it, or null.
    pub path: *const c_char,
    /// Files as `kinograph_model_load_memory` takes them, or null.
    pub files: *const KinographFile,
    /// How many.
    pub file_count: usize,
}

// SAFETY: `repr(C)`, the size first, and zeros are no path and no files.
unsafe impl Versioned for KinographPackage {}

/// Opens the best device for a package among those that take all of it: by "auto" the first graphics processor, else the cpu; by
/// "fastest" the one that runs a short probe in the least time; by "least-memory" the one whose plan for a default job needs the
/// least. `options`, which may be null, are given to each device, and one that has no such option is out. The times of "fastest"
/// are kept in `options->cache`. Where no device takes the package, `KINOGRAPH_STATUS_COMPILE` comes with the reason of each;
/// `kinograph_device_id` says which was chosen. The package is only looked at: load it as usual.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_runtime_choose(
    runtime: Option<&KinographRuntime>,
    policy: *const c_char,
    package: *const KinographPackage,
    options: *const KinographDeviceOptions,
    device: Option<&mut MaybeUninit<*mut KinographDevice>>,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let slot = slot(device, "device")?;
        let runtime = given(runtime, "runtime")?;
        // SAFETY: a text of the caller.
        let policy = policy_of(unsafe { text(policy, "policy") }?)?;
        // SAFETY: a struct of the caller, or null.
        let package = unsafe { package_of(package) }?;
        // SAFETY: a struct of the caller, or null.
        let options = unsafe { device_options(options) }?;
        let times = options.cache.as_ref().map(|folder| folder.join("probe.json"));
        let choice = runtime.read().runtime.choose(policy, &package, &options, times.as_deref())?;
        give(slot, KinographDevice::new(choice.device, BTreeMap::new()));
        Ok(())
    })
}

fn policy_of(name: &str) -> Result<Policy, Failure> {
    name.parse().map_err(|()| {
        let known = Policy::ALL.map(Policy::name).join(", ");
        Failure::argument(format!("`{name}` is no policy; there are {known}"))
    })
}

/// The package that is meant.
///
/// # Safety
/// Null, or a struct whose size, path and files are as it says.
unsafe fn package_of(package: *const KinographPackage) -> Result<Package, Failure> {
    // SAFETY: as promised by the caller.
    let KinographPackage { path, files, file_count, .. } =
        given(unsafe { read(package, "package") }?, "package")?;
    match (path.is_null(), file_count) {
        (true, 0) => flipbook(),
        // SAFETY: as promised by the caller.
        (true, _) => unsafe { in_memory(files, file_count) },
        // SAFETY: as promised by the caller.
        (false, 0) => Ok(Package::open(Path::new(unsafe { text(path, "package.path") }?))?),
        (false, _) => Err(Failure::argument("`package` has a path and files: give one of them")),
    }
}
