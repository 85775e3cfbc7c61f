//! Opening an adapter.
#![allow(missing_docs, unreachable_pub)]

use std::sync::Arc;

use kinograph_backend::{Backend, Device, DeviceOptions};
use kinograph_wgpu::WgpuBackend;

/// An adapter under these options; none is a skip, or a failure where every device is required.
pub fn open(id: &str, options: &[(&str, &str)]) -> Option<Arc<dyn Device>> {
    let extra = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    match WgpuBackend.open(id, &DeviceOptions { threads: None, extra, ..Default::default() }) {
        Ok(device) => Some(device),
        Err(error) if std::env::var_os("KINOGRAPH_REQUIRE_ALL").is_some() => panic!("{error}"),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}
