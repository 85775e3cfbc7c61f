//! Makes a plugin of any [`Backend`] in Rust.
//!
//! A plugin is a crate of type `cdylib` with one line beside its backend:
//!
//! ```
//! # use std::sync::Arc;
//! # use kinograph_backend::{Backend, Device, DeviceError, DeviceInfo, DeviceOptions};
//! #[derive(Default)]
//! struct MyBackend;
//!
//! impl Backend for MyBackend {
//!     // ...
//! #   fn name(&self) -> &str { "mine" }
//! #   fn devices(&self) -> Result<Vec<DeviceInfo>, DeviceError> { Ok(Vec::new()) }
//! #   fn open(&self, id: &str, _: &DeviceOptions) -> Result<Arc<dyn Device>, DeviceError> {
//! #       Err(DeviceError::Internal(format!("there is no device `{id}`")))
//! #   }
//! }
//!
//! kinograph_plugin_sdk::export_backend!(MyBackend);
//! ```
//!
//! Each job runs in a thread of its own. Panics are caught and become errors (so a plugin must not be built with
//! `panic = "abort"`). The library asks to stay loaded: threads and thread-local values of Rust code may outlive what made them.
//!
//! The memory of an executable's weights is the host's again when the executable is freed: whoever still holds the weights finds none
//! in them, and nothing may be reading them then in a thread of its own.
#![deny(unsafe_code)]

mod codes;
mod entry;
mod graph;
mod guard;
mod job;
mod objects;
mod weights;

use kinograph_backend::Backend;

pub use entry::{Entry, Host};
#[doc(hidden)]
pub use kinograph_plugin_abi as abi;

/// Makes the backend for the entry. An implementation detail of [`export_backend`].
#[doc(hidden)]
pub fn boxed<B: Backend + 'static>(backend: B) -> Box<dyn Backend> {
    Box::new(backend)
}

/// Exports a backend as a plugin: its type, which then has a `Default`, or an expression that makes it.
///
/// The backend's name is the plugin's name (1 to 32 of `a` to `z`, `0` to `9`, `_` and `-`, a letter first), and the ids of its devices start
/// with it. The plugin's version is that of the crate.
#[macro_export]
macro_rules! export_backend {
    ($backend:ty) => {
        $crate::export_backend!(= <$backend as ::core::default::Default>::default());
    };
    (= $backend:expr) => {
        /// The entry that hosts look for.
        #[unsafe(no_mangle)]
        #[allow(unsafe_code)]
        pub unsafe extern "C" fn kinograph_plugin_entry(
            host: *const $crate::abi::KinographPluginHost,
        ) -> *const $crate::abi::KinographPlugin {
            // SAFETY: the host calls this as the interface says, with its own table.
            unsafe { $crate::Entry::make(host, env!("CARGO_PKG_VERSION"), || $crate::boxed($backend)) }
        }
    };
}
