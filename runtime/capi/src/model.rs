//! Models.

use std::collections::BTreeMap;
use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::Arc;

use kinograph::{Model, Package};

use crate::device::KinographDevice;
use crate::failure::{Failure, KinographError, c_text, free, guard};
use crate::pointers::{MOST_ENTRIES, Versioned, array, bytes, fill, give, given, slot, text};
use crate::status::KinographStatus;

/// A model on a device. Several threads may use it at once, and generate at once.
#[derive(Debug)]
pub struct KinographModel {
    pub(crate) model: Model,
    name: CString,
    version: CString,
}

/// A file of a package in memory.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographFile {
    /// Its name in the package, such as "model.toml".
    pub name: *const c_char,
    /// Its bytes.
    pub data: *const u8,
    /// How many.
    pub size: usize,
}

/// What a model makes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographModelInfo {
    /// The size of this struct.
    pub struct_size: usize,
    /// Pixels across, unless a request says otherwise.
    pub width: usize,
    /// Pixels down, unless a request says otherwise.
    pub height: usize,
    /// Frames, unless a request says otherwise.
    pub frames: usize,
    /// The most pixels across.
    pub max_width: usize,
    /// The most pixels down.
    pub max_height: usize,
    /// The most frames.
    pub max_frames: usize,
    /// Width and height are multiples of this.
    pub multiple: usize,
    /// Steps of the sampler, unless a request says otherwise.
    pub steps: usize,
    /// Channels of a latent.
    pub latent_channels: usize,
    /// Frames, rows and columns of video in a latent position.
    pub compression: [usize; 3],
    /// Frames per second, unless a request says otherwise.
    pub fps: u32,
    /// 1 when it can encode a video, 0 when not.
    pub has_encoder: u32,
}

// SAFETY: `repr(C)`, the size first, and plain numbers.
unsafe impl Versioned for KinographModelInfo {}

/// Loads a package, a directory with a `model.toml` or a manifest of another name, for a device. Its weight files are mapped for as
/// long as the model lives: nobody may change them in place meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_model_load(
    device: Option<&KinographDevice>,
    path: *const c_char,
    model: Option<&mut MaybeUninit<*mut KinographModel>>,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let slot = slot(model, "model")?;
        let device = given(device, "device")?;
        // SAFETY: a text of the caller.
        let path = unsafe { text(path, "path") }?;
        give(slot, load(device, Package::open(Path::new(path))?)?);
        Ok(())
    })
}

/// Loads a package whose files are in memory, for hosts that keep models in archives of their own. The files are copied.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_model_load_memory(
    device: Option<&KinographDevice>,
    files: *const KinographFile,
    count: usize,
    model: Option<&mut MaybeUninit<*mut KinographModel>>,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let slot = slot(model, "model")?;
        let device = given(device, "device")?;
        // SAFETY: files of the caller.
        give(slot, load(device, unsafe { in_memory(files, count) }?)?);
        Ok(())
    })
}

/// A package of copies of these files.
///
/// # Safety
/// Null, or so many files whose texts and bytes are as they say.
pub(crate) unsafe fn in_memory(files: *const KinographFile, count: usize) -> Result<Package, Failure> {
    let mut package = BTreeMap::new();
    // SAFETY: as promised by the caller.
    for file in unsafe { array(files, count, MOST_ENTRIES, "files") }? {
        // SAFETY: as promised by the caller.
        let (name, data) =
            unsafe { (text(file.name, "file name")?, bytes(file.data, file.size, "file data")?) };
        package.insert(name.to_owned(), Arc::<[u8]>::from(data));
    }
    Ok(Package::in_memory(package)?)
}

/// Loads flipbook, the small model inside the library; `KINOGRAPH_STATUS_UNSUPPORTED` in a build without it.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_model_load_flipbook(
    device: Option<&KinographDevice>,
    model: Option<&mut MaybeUninit<*mut KinographModel>>,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let slot = slot(model, "model")?;
        give(slot, load(given(device, "device")?, flipbook()?)?);
        Ok(())
    })
}

#[cfg(feature = "flipbook")]
pub(crate) fn flipbook() -> Result<Package, Failure> {
    Ok(Package::built_in(kinograph_flipbook::FILES)?)
}

#[cfg(not(feature = "flipbook"))]
pub(crate) fn flipbook() -> Result<Package, Failure> {
    let message =
        "this build carries no model: load one by its path, or build with the cargo feature \"flipbook\"";
    Err(Failure::new(KinographStatus::Unsupported, message))
}

fn load(device: &KinographDevice, package: Package) -> Result<KinographModel, Failure> {
    let model = Model::load(package, device.placement())?;
    let manifest = model.manifest();
    let (name, version) = (c_text(manifest.name.as_str()), c_text(manifest.version.as_str()));
    Ok(KinographModel { model, name, version })
}

/// The model's name; null of null. Lives as long as the model.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_model_name(model: Option<&KinographModel>) -> *const c_char {
    model.map_or(std::ptr::null(), |model| model.name.as_ptr())
}

/// The model's version; null of null. Lives as long as the model.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_model_version(model: Option<&KinographModel>) -> *const c_char {
    model.map_or(std::ptr::null(), |model| model.version.as_ptr())
}

/// Says what a model makes; set `info->struct_size` first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_model_info(
    model: Option<&KinographModel>,
    info: *mut KinographModelInfo,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let model = &given(model, "model")?.model;
        // SAFETY: a struct of the caller, or null.
        unsafe { fill(info, info_of(model), "info") }
    })
}

fn info_of(model: &Model) -> KinographModelInfo {
    let manifest = model.manifest();
    let (video, latent) = (&manifest.video, &manifest.latent);
    let (frames, rows, columns) = latent.compression;
    KinographModelInfo {
        struct_size: 0,
        width: video.width,
        height: video.height,
        frames: video.frames,
        max_width: video.max_width,
        max_height: video.max_height,
        max_frames: video.max_frames,
        multiple: video.multiple,
        steps: manifest.sampler.steps,
        latent_channels: latent.channels,
        compression: [frames, rows, columns],
        fps: video.fps,
        has_encoder: u32::from(manifest.encoder.is_some()),
    }
}

/// Gives back what the model keeps for later jobs: compiled graphs, buffers of the device, pages of weights. Null does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_model_release(model: Option<&KinographModel>) {
    guard(None, || {
        given(model, "model")?.model.release();
        Ok(())
    });
}

/// Frees a model; null is fine. Jobs that run on it must have ended.
#[unsafe(no_mangle)]
pub extern "C" fn kinograph_model_free(model: Option<Box<KinographModel>>) {
    free(model);
}
