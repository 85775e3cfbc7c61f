//! Where the model and the device come from.

use std::sync::Arc;

use anyhow::Context;
use kinograph::{Device, DeviceOptions, Model, Package, Runtime};

use crate::config::{Config, Setting, Source};
use crate::plugins;

/// The model of the configuration on its device.
pub(crate) fn model(config: &Config) -> anyhow::Result<Model> {
    Ok(Model::load(package(config)?, device(config)?)?)
}

/// The model of the configuration, to be looked at and not to be run.
pub(crate) fn model_to_inspect(config: &Config) -> anyhow::Result<Model> {
    let idle = DeviceOptions { threads: Some(1), ..DeviceOptions::default() };
    Ok(Model::load(package(config)?, Runtime::new().open("cpu", &idle)?)?)
}

/// The package of the configuration, or the one inside the program.
pub(crate) fn package(config: &Config) -> anyhow::Result<Package> {
    match &config.model.value {
        Some(directory) => blame(Package::open(directory), &config.model),
        None => built_in(),
    }
}

/// The device of the configuration.
pub(crate) fn device(config: &Config) -> anyhow::Result<Arc<dyn Device>> {
    device_with(config, config.threads.value)
}

/// The device of the configuration with another number of threads.
pub(crate) fn device_with(config: &Config, threads: Option<u16>) -> anyhow::Result<Arc<dyn Device>> {
    let options = DeviceOptions { threads: threads.map(usize::from), ..DeviceOptions::default() };
    blame(plugins::runtime(config)?.open(&config.device.value, &options), &config.device)
}

/// Names where a setting that fails comes from, unless it stands on the command line before everyone's eyes.
fn blame<T, V, E>(result: Result<T, E>, setting: &Setting<V>) -> anyhow::Result<T>
where
    Result<T, E>: Context<T, E>,
    E: Into<anyhow::Error>,
{
    match &setting.source {
        Source::Flag { .. } | Source::Default => result.map_err(Into::into),
        source => result.with_context(|| source.to_string()),
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
