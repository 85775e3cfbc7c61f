//! Plugins: loaded, refused with a word to the host, or not in this build.

use std::ffi::{CStr, CString, c_char, c_void};
use std::path::Path;
use std::ptr::{null, null_mut};

use kinograph_capi::KinographStatus as S;
use kinograph_capi::*;

use crate::support::{Failed, NOT_UTF8, call, refusal, runtime};

/// Files and reasons, as the callback heard them.
type Heard = Vec<(String, String)>;

/// # Safety
/// `user` is a `Heard` that nobody else uses during the call.
unsafe extern "C" fn on_refused(user: *mut c_void, plugin: *const KinographRefusedPlugin) {
    // SAFETY: as promised by the caller; the texts live until this returns.
    let (heard, size, path, reason) = unsafe {
        let plugin = &*plugin;
        let text = |pointer| CStr::from_ptr(pointer).to_str().unwrap().to_owned();
        (&mut *user.cast::<Heard>(), plugin.struct_size, text(plugin.path), text(plugin.reason))
    };
    assert_eq!(size, size_of::<KinographRefusedPlugin>());
    heard.push((path, reason));
}

fn plugin_options() -> KinographPluginOptions {
    KinographPluginOptions {
        struct_size: size_of::<KinographPluginOptions>(),
        digests: null(),
        digest_count: 0,
        listed_only: 0,
        reserved: 0,
        user: null_mut(),
        refused: None,
    }
}

fn load_raw(
    runtime: &KinographRuntime,
    directories: &[*const c_char],
    options: *const KinographPluginOptions,
) -> Result<(), Failed> {
    // SAFETY: texts and structs are null or alive.
    call(|error| unsafe {
        let (first, count) = (directories.as_ptr(), directories.len());
        kinograph_runtime_load_plugins(Some(runtime), first, count, options, error)
    })
}

/// Loads directories, with a list of digests or without, and gives what was heard.
fn load(runtime: &KinographRuntime, directories: &[&Path], list: Option<&[&str]>) -> Result<Heard, Failed> {
    let text = |text: &str| CString::new(text).unwrap();
    let directories: Vec<_> = directories.iter().map(|path| text(path.to_str().unwrap())).collect();
    let directories: Vec<_> = directories.iter().map(|path| path.as_ptr()).collect();
    let digests: Vec<_> = list.unwrap_or_default().iter().map(|digest| text(digest)).collect();
    let digests: Vec<_> = digests.iter().map(|digest| digest.as_ptr()).collect();
    let mut heard = Heard::new();
    let options = KinographPluginOptions {
        digests: digests.as_ptr(),
        digest_count: digests.len(),
        listed_only: u32::from(list.is_some()),
        user: (&raw mut heard).cast(),
        refused: Some(on_refused),
        ..plugin_options()
    };
    load_raw(runtime, &directories, &raw const options).map(|()| heard)
}

#[test]
fn what_is_asked_of_plugins_is_checked() {
    let (runtime, folder) = (runtime(), tempfile::tempdir().unwrap());
    let path = CString::new(folder.path().to_str().unwrap()).unwrap();
    let status = |directories: &[*const c_char], options: *const KinographPluginOptions| {
        refusal(load_raw(&runtime, directories, options)).0
    };
    let valid = [path.as_ptr()];
    assert_eq!(status(&[path.as_ptr(), NOT_UTF8.as_ptr()], null()), S::Utf8);
    assert_eq!(status(&[path.as_ptr(), null()], null()), S::Null);
    let (_, message) = refusal(load_raw(&runtime, &[path.as_ptr(), null()], null()));
    assert_eq!(message, "`directories[1]` is null");
    // SAFETY: null is what is tested; texts are alive.
    unsafe {
        let missing = |e: crate::support::ErrorSlot<'_>| {
            kinograph_runtime_load_plugins(Some(&runtime), null(), 1, null(), e)
        };
        assert_eq!(refusal(call(missing)).0, S::Null);
        let nobody = |e: crate::support::ErrorSlot<'_>| {
            kinograph_runtime_load_plugins(None, valid.as_ptr(), 1, null(), e)
        };
        assert_eq!(refusal(call(nobody)).0, S::Null);
        let many = kinograph_runtime_load_plugins(Some(&runtime), valid.as_ptr(), usize::MAX, null(), None);
        assert_eq!(many, S::Argument);
    }

    let digests = [c"af13".as_ptr()];
    let listed = KinographPluginOptions { digests: digests.as_ptr(), digest_count: 1, ..plugin_options() };
    for bad in [
        KinographPluginOptions { struct_size: 3, ..plugin_options() },
        KinographPluginOptions { listed_only: 2, ..plugin_options() },
        KinographPluginOptions { reserved: 1, ..plugin_options() },
        // A list that would not be kept to.
        listed,
    ] {
        assert_eq!(status(&valid, &raw const bad), S::Argument);
    }
    let none = KinographPluginOptions { listed_only: 1, digest_count: 1, ..plugin_options() };
    assert_eq!(status(&valid, &raw const none), S::Null);
    let digests = [NOT_UTF8.as_ptr()];
    let wrong = KinographPluginOptions { digests: digests.as_ptr(), listed_only: 1, ..listed };
    assert_eq!(status(&valid, &raw const wrong), S::Utf8);
}

#[cfg(not(feature = "plugins"))]
#[test]
fn a_build_without_plugins_says_so() {
    let (status, message) = refusal(load(&runtime(), &[], None));
    assert_eq!(status, S::Unsupported);
    assert!(message.contains("cargo feature \"plugins\""), "{message}");
}

#[cfg(feature = "plugins")]
mod loading {
    use std::env::consts::DLL_SUFFIX;
    use std::process::Command;

    use kinograph::plugins::Digest;

    use super::*;
    use crate::support::{device, make, tensor_f32, values};
    use crate::tools::{has, package, run};

    #[test]
    fn what_is_refused_is_told() {
        let (runtime, folder) = (runtime(), tempfile::tempdir().unwrap());
        let folder = folder.path().canonicalize().unwrap();
        assert_eq!(load(&runtime, &[], None).unwrap(), []);
        assert_eq!(load(&runtime, &[&folder], None).unwrap(), [], "an empty directory");
        let (hostile, gone) = (folder.join(format!("hostile{DLL_SUFFIX}")), folder.join("gone"));
        std::fs::write(&hostile, "not a library").unwrap();
        std::fs::write(folder.join("notes.txt"), "no plugin").unwrap();
        let shown = |path: &Path| path.display().to_string();
        let heard = load(&runtime, &[&gone, &folder], None).unwrap();
        let paths: Vec<_> = heard.iter().map(|(path, _)| path.clone()).collect();
        assert_eq!(paths, [shown(&gone), shown(&hostile)]);
        assert!(heard[0].1.starts_with("cannot be searched for plugins: "), "{heard:?}");
        assert!(heard[1].1.starts_with("does not load: "), "{heard:?}");
        // It was tried, and nobody needs to hear.
        assert_eq!(load(&runtime, &[&folder], None).unwrap(), []);
        let folder = CString::new(shown(&folder)).unwrap();
        load_raw(&super::runtime(), &[folder.as_ptr()], null()).unwrap();
    }

    #[test]
    fn what_is_not_on_the_list_is_not_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = b"not a library";
        std::fs::write(folder.path().join(format!("hostile{DLL_SUFFIX}")), bytes).unwrap();
        let other = Digest::of(b"another").to_string();
        let lists: [&[&str]; 2] = [&[], &[other.as_str()]];
        for list in lists {
            let heard = load(&runtime(), &[folder.path()], Some(list)).unwrap();
            let reason = format!(
                "is not on the list of allowed plugins, and was not loaded; its BLAKE3 digest is {}",
                Digest::of(bytes)
            );
            assert_eq!(heard.len(), 1);
            assert_eq!(heard[0].1, reason);
        }
        let runtime = runtime();
        let (status, message) = refusal(load(&runtime, &[folder.path()], Some(&[other.as_str(), "af13"])));
        assert_eq!(
            (status, message.contains("`af13` is no BLAKE3 digest")),
            (S::Argument, true),
            "{message}"
        );
        // Nothing was tried by then.
        assert_eq!(load(&runtime, &[folder.path()], None).unwrap().len(), 1);
    }

    /// Compiles the sample backend in C, and gives its digest.
    fn sample(folder: &Path) -> String {
        let plugins = package().join("../../plugins");
        let file = folder.join(format!("libsample{DLL_SUFFIX}"));
        let mut cc = Command::new("cc");
        cc.args(["-std=c99", "-O1", "-shared", "-fPIC", "-I"]).arg(plugins.join("abi/include"));
        cc.arg(plugins.join("sample-c/sample.c")).arg("-o").arg(&file).args(["-lm", "-lpthread"]);
        run(&mut cc);
        Digest::of(&std::fs::read(file).unwrap()).to_string()
    }

    fn ids(runtime: &KinographRuntime) -> Vec<String> {
        let devices = make(|out, error| kinograph_runtime_devices(Some(runtime), out, error)).unwrap();
        let id = |at| kinograph_device_list_id(Some(&devices), at);
        // SAFETY: texts of the list, which is alive.
        let text = |at| unsafe { CStr::from_ptr(id(at)) }.to_str().unwrap().to_owned();
        (0..kinograph_device_list_count(Some(&devices))).map(text).collect()
    }

    fn open(runtime: &KinographRuntime, id: &CStr) -> Box<KinographDevice> {
        // SAFETY: the text is alive.
        make(|out, error| unsafe { kinograph_runtime_open(Some(runtime), id.as_ptr(), null(), out, error) })
            .unwrap()
    }

    /// The sample backend takes `Mul`, and has no kernel for `Erf`.
    const GRAPH: &CStr = cr#"
format = 1
name = "bell"
inputs = { x = [3] }
nodes = [
  { op = "Mul", in = ["x", "x"], out = "s" },
  { op = "Erf", in = ["s"], out = "e" },
  { op = "Mul", in = ["e", "x"], out = "y" },
]
outputs = { y = "y" }
"#;

    fn compile(device: &KinographDevice) -> Result<Box<KinographExecutable>, Failed> {
        // SAFETY: the text is alive.
        make(|out, error| unsafe {
            kinograph_device_compile(Some(device), GRAPH.as_ptr(), null(), out, error)
        })
    }

    fn result(executable: &KinographExecutable) -> Vec<f32> {
        let x = tensor_f32(&[3], &[-1.0, 0.0, 0.5]);
        let input = KinographNamedTensor { name: c"x".as_ptr(), tensor: &raw const *x };
        let mut output = null_mut::<KinographTensor>();
        // SAFETY: the input is alive, and there is room for one output.
        call(|error| unsafe {
            kinograph_executable_run(Some(executable), &raw const input, 1, None, &raw mut output, 1, error)
        })
        .unwrap();
        // SAFETY: a run that succeeds gives its output to the caller.
        let output = unsafe { Box::from_raw(output) };
        values(&output).1
    }

    #[test]
    fn a_plugin_computes_and_falls_back() {
        if !has("a_plugin_computes_and_falls_back", &["cc"]) {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let digest = sample(folder.path());
        let runtime = runtime();
        let before = ids(&runtime);
        assert_eq!(load(&runtime, &[folder.path()], Some(&[digest.as_str()])).unwrap(), []);
        assert_eq!(ids(&runtime).len(), before.len() + 1);
        assert!(ids(&runtime).contains(&"sample:0".to_owned()));
        // Files that were tried are left alone.
        assert_eq!(load(&runtime, &[folder.path()], None).unwrap(), []);

        let plugin = open(&runtime, c"sample:0");
        drop(runtime);
        let (status, message) = refusal(compile(&plugin));
        assert_eq!((status, message.contains("no kernel")), (S::Compile, true), "{message}");
        let cpu = device(1);
        let both =
            make(|out, error| kinograph_device_with_fallback(Some(&plugin), Some(&cpu), out, error)).unwrap();
        // SAFETY: a text of the device, which is alive.
        assert_eq!(unsafe { CStr::from_ptr(kinograph_device_id(Some(&both))) }, c"sample:0");
        let expected = result(&compile(&cpu).unwrap());
        drop((plugin, cpu));
        let parts = compile(&both).unwrap();
        drop(both);
        let found = result(&parts);
        let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-6;
        assert!(found.iter().zip(&expected).all(near), "{found:?} and {expected:?}");
        assert!((expected[0] + 0.842_700_8).abs() < 1e-5, "{expected:?}");
    }
}
