//! Devices from shared libraries.

use std::ffi::{CString, c_char, c_void};
use std::mem::{MaybeUninit, size_of};

use crate::device::KinographRuntime;
use crate::failure::{Failure, KinographError, guard};
use crate::pointers::{Versioned, given, read, texts};
use crate::status::KinographStatus;

/// A plugin that was refused, for the time of the call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographRefusedPlugin {
    /// The size of this struct as the library knows it.
    pub struct_size: usize,
    /// The file, or a directory that could not be searched.
    pub path: *const c_char,
    /// Why.
    pub reason: *const c_char,
}

/// Which plugins are loaded, and who hears of the others. All zeros but the size: all, and nobody.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographPluginOptions {
    /// The size of this struct.
    pub struct_size: usize,
    /// BLAKE3 digests of files that may be loaded, each 64 hexadecimal digits as b3sum prints them.
    pub digests: *const *const c_char,
    /// How many.
    pub digest_count: usize,
    /// 1: files without such a digest are refused, all of them when there are no digests. 0: none is, and giving digests is an
    /// error.
    pub listed_only: u32,
    /// Zero.
    pub reserved: u32,
    /// Given to the callback as it is.
    pub user: *mut c_void,
    /// Called for each plugin that was refused, in the thread of the call and before it returns; may be null. It may use other
    /// objects and this runtime, but must not free it, throw, or leave by `longjmp`.
    pub refused: Option<unsafe extern "C" fn(user: *mut c_void, plugin: *const KinographRefusedPlugin)>,
}

// SAFETY: `repr(C)`, the size first, and zeros are no digests and no callback.
unsafe impl Versioned for KinographPluginOptions {}

const EVERYTHING: KinographPluginOptions = KinographPluginOptions {
    struct_size: size_of::<KinographPluginOptions>(),
    digests: std::ptr::null(),
    digest_count: 0,
    listed_only: 0,
    reserved: 0,
    user: std::ptr::null_mut(),
    refused: None,
};

/// Loads the plugins of these directories, whose devices are then those of the runtime too. Nothing is searched but the
/// directories themselves, for files with the ending of shared libraries. A plugin is native code: whoever may write there may
/// run code in this process, unless `options`, which may be null, names digests. Each plugin must pass a self-test; one that does
/// not, or whose name is taken, is refused, which is no failure of the call. Files that this runtime has tried before are left
/// alone. Other calls with the runtime wait meanwhile; a plugin that does not end its test within a minute or two is refused, and
/// its thread left to itself. `KINOGRAPH_STATUS_UNSUPPORTED` in a build without plugins.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kinograph_runtime_load_plugins(
    runtime: Option<&KinographRuntime>,
    directories: *const *const c_char,
    directory_count: usize,
    options: *const KinographPluginOptions,
    error: Option<&mut MaybeUninit<*mut KinographError>>,
) -> KinographStatus {
    guard(error, || {
        let runtime = given(runtime, "runtime")?;
        // SAFETY: texts of the caller.
        let directories = unsafe { texts(directories, directory_count, "directories") }?;
        // SAFETY: a struct of the caller, or null.
        let options = unsafe { read(options, "options") }?.unwrap_or(EVERYTHING);
        // SAFETY: texts of the caller.
        let allowed = unsafe { allowed(&options) }?;
        for refused in load(runtime, &directories, allowed.as_deref())? {
            tell(&options, &refused);
        }
        Ok(())
    })
}

/// The digests, where files need one.
///
/// # Safety
/// The texts are as the options say.
unsafe fn allowed<'a>(options: &KinographPluginOptions) -> Result<Option<Vec<&'a str>>, Failure> {
    // SAFETY: as promised by the caller.
    let digests = unsafe { texts(options.digests, options.digest_count, "options.digests") }?;
    match (options.listed_only, options.reserved) {
        (1, 0) => Ok(Some(digests)),
        (0, 0) if digests.is_empty() => Ok(None),
        (0, 0) => Err(Failure::argument("set `options.listed_only`, or give no `options.digests`")),
        _ => Err(Failure::argument("`options.listed_only` is 0 or 1, and `options.reserved` is 0")),
    }
}

/// A file and the reason why it was refused.
type Refused = (CString, CString);

fn tell(options: &KinographPluginOptions, (path, reason): &Refused) {
    let Some(call) = options.refused else { return };
    let told = KinographRefusedPlugin {
        struct_size: size_of::<KinographRefusedPlugin>(),
        path: path.as_ptr(),
        reason: reason.as_ptr(),
    };
    // SAFETY: the host's function with its own `user`, in the thread of the call; the texts live until it returns.
    unsafe { call(options.user, &raw const told) };
}

#[cfg(feature = "plugins")]
fn load(
    runtime: &KinographRuntime,
    directories: &[&str],
    allowed: Option<&[&str]>,
) -> Result<Vec<Refused>, Failure> {
    use kinograph::plugins::{Digest, DigestError, PluginDirectories, PluginError};

    let mut directories = PluginDirectories::new(directories.iter().copied());
    if let Some(digests) = allowed {
        let parsed: Result<Vec<Digest>, DigestError> = digests.iter().map(|digest| digest.parse()).collect();
        directories = directories.allow_only(parsed.map_err(|e| Failure::argument(e.to_string()))?);
    }
    let mut backends = runtime.0.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    let crate::device::Backends { runtime, plugins } = &mut *backends;
    let refused = runtime.load_plugins(plugins, &directories);
    let texts = |PluginError { path, kind }: PluginError| {
        (crate::failure::c_text(path.display().to_string()), crate::failure::c_text(kind.to_string()))
    };
    Ok(refused.into_iter().map(texts).collect())
}

#[cfg(not(feature = "plugins"))]
fn load(_: &KinographRuntime, _: &[&str], _: Option<&[&str]>) -> Result<Vec<Refused>, Failure> {
    let message = "this build loads no plugins: build with the cargo feature \"plugins\"";
    Err(Failure::new(KinographStatus::Unsupported, message))
}
