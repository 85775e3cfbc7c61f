//! Where the model and the device come from.

use std::path::Path;
use std::sync::Arc;

use kinograph::{Device, DeviceOptions, Model, Package, Runtime};

/// The package in that directory, or the one inside the program.
pub(crate) fn package(directory: Option<&Path>) -> anyhow::Result<Package> {
    match directory {
        Some(directory) => Ok(Package::open(directory)?),
        None => built_in(),
    }
}

#[cfg(feature = "flipbook")]
fn built_in() -> anyhow::Result<Package> {
    Ok(Package::built_in(kinograph_flipbook::FILES)?)
}

#[cfg(not(feature = "flipbook"))]
fn built_in() -> anyhow::Result<Package> {
    anyhow::bail!(
        "this build carries no model: name one with --model, or build with the cargo feature `flipbook`"
    )
}

/// The device of that id.
pub(crate) fn device(id: &str, threads: Option<u16>) -> anyhow::Result<Arc<dyn Device>> {
    let options = DeviceOptions { threads: threads.map(usize::from), ..DeviceOptions::default() };
    Ok(Runtime::new().open(id, &options)?)
}

/// The model of that directory on that device.
pub(crate) fn model(
    directory: Option<&Path>,
    device_id: &str,
    threads: Option<u16>,
) -> anyhow::Result<Model> {
    Ok(Model::load(package(directory)?, device(device_id, threads)?)?)
}
