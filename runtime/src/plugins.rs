//! Backends from shared libraries. Cargo feature `plugins`.
//!
//! ```no_run
//! use kinograph::plugins::{PluginDirectories, PluginHost};
//! use kinograph::{DeviceOptions, Runtime};
//!
//! let (mut runtime, mut host) = (Runtime::new(), PluginHost::new());
//! for refused in runtime.load_plugins(&mut host, &PluginDirectories::new(["/usr/lib/kinograph/plugins"])) {
//!     eprintln!("{refused}");
//! }
//! let device = runtime.open("sample:0", &DeviceOptions::default())?;
//! # Ok::<(), kinograph::RuntimeError>(())
//! ```

pub use kinograph_plugin_host::{
    Digest, DigestError, Patience, PluginBackend, PluginDirectories, PluginError, PluginErrorKind, PluginHost,
};

use crate::Runtime;
use crate::backend::Backend;

impl Runtime {
    /// Adds the plugins of these directories under their own names, and gives those that were refused now. A plugin is refused when it
    /// fails its checks or its self-test ([`PluginHost::load`]), and when a backend of its name is there already: a plugin never takes
    /// the place of another backend.
    pub fn load_plugins(
        &mut self,
        host: &mut PluginHost,
        directories: &PluginDirectories,
    ) -> Vec<PluginError> {
        let before = host.refused().len();
        for backend in host.load(directories) {
            if self.has_backend(backend.name()) {
                host.refuse_name(&backend);
            } else {
                log::info!("plugin `{}` {}: {}", backend.name(), backend.version(), backend.path().display());
                self.register(Box::new(backend));
            }
        }
        host.refused()[before..].to_vec()
    }
}
