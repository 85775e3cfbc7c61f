//! Where the model and the device come from.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use etcetera::BaseStrategy;
use kinograph::{Device, DeviceOptions, Fallback, Model, Numerics, Package, Placement, Policy, Runtime};

use crate::config::{Config, Setting, Source};
use crate::plugins;

/// The model of the configuration on its devices.
pub(crate) fn model(config: &Config) -> anyhow::Result<Model> {
    let package = package(config)?;
    let placement = placement(config, &package)?;
    Ok(Model::load(package, placement)?)
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

/// The devices of the configuration: the one for all, with its fallback, and those of single components.
pub(crate) fn placement(config: &Config, package: &Package) -> anyhow::Result<Placement> {
    placement_with(config, package, config.numerics.value)
}

/// The same devices with another arithmetic.
pub(crate) fn placement_with(
    config: &Config,
    package: &Package,
    numerics: Numerics,
) -> anyhow::Result<Placement> {
    let runtime = plugins::runtime(config)?;
    let options = options(config, config.threads.value);
    let device = match config.device.value.parse::<Policy>() {
        Ok(policy) => blame(chosen(&runtime, policy, package, &options), &config.device)?,
        Err(()) => blame(runtime.open(&config.device.value, &options), &config.device)?,
    };
    let plain = plain(options.threads);
    let device = match &config.fallback.value {
        Some(id) => Arc::new(Fallback::new(device, blame(runtime.open(id, &plain), &config.fallback)?)),
        None => device,
    };
    let numerics = |device| blame(numerics.on(device), &config.numerics);
    let mut placement = Placement::new(numerics(device)?);
    for (component, id) in &config.place.value.0 {
        placement = placement.with(component, numerics(blame(runtime.open(id, &plain), &config.place)?)?);
    }
    Ok(placement)
}

fn chosen(
    runtime: &Runtime,
    policy: Policy,
    package: &Package,
    options: &DeviceOptions,
) -> Result<Arc<dyn Device>, kinograph::Error> {
    let cache = cache_directory().map(|directory| directory.join("probe.json"));
    let choice = runtime.choose(policy, package, options, cache.as_deref())?;
    for (id, seen) in &choice.seen {
        match seen {
            Ok(number) => log::info!("{policy}: {id}: {number}"),
            Err(reason) => log::info!("{policy}: {id}: {reason}"),
        }
    }
    log::info!("{policy}: {} is chosen", choice.device.info().id);
    Ok(choice.device)
}

fn options(config: &Config, threads: Option<u16>) -> DeviceOptions {
    DeviceOptions { extra: config.device_options.value.0.clone(), ..plain(threads.map(usize::from)) }
}

/// Without options of a backend's own.
fn plain(threads: Option<usize>) -> DeviceOptions {
    DeviceOptions { threads, cache: cache_directory(), ..DeviceOptions::default() }
}

/// Where this user's programs keep what they can make again.
fn cache_directory() -> Option<PathBuf> {
    Some(etcetera::choose_base_strategy().ok()?.cache_dir().join("kinograph"))
}

/// A device for measurements: that of the configuration, or the one named, with so many threads.
pub(crate) fn device_with(
    config: &Config,
    id: Option<&str>,
    threads: Option<u16>,
) -> anyhow::Result<Arc<dyn Device>> {
    let runtime = plugins::runtime(config)?;
    let device = match id {
        None => match config.device.value.parse::<Policy>() {
            Ok(policy) => {
                let made = chosen(&runtime, policy, &package(config)?, &options(config, threads));
                blame(made, &config.device)?
            }
            Err(()) => blame(runtime.open(&config.device.value, &options(config, threads)), &config.device)?,
        },
        // The options of the configuration are those of its own device.
        Some(id) => runtime.open(id, &plain(threads.map(usize::from)))?,
    };
    blame(config.numerics.value.on(device), &config.numerics)
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
