//! The settings of a run, merged from flags, environment, files and defaults; each knows where it comes from.
//!
//! docs/configuration.md is the user's view of this module.

mod bytes;
mod environment;
mod error;
mod file;
mod pairs;
mod parse;
mod show;
mod source;

use std::path::PathBuf;

pub(crate) use bytes::ByteSize;
pub(crate) use pairs::{Pairs, parse as parse_pairs};
pub(crate) use parse::{device as parse_device, threads as parse_threads};
pub(crate) use show::run;
pub(crate) use source::{Setting, Source};

use kinograph::Numerics;

use crate::args::ConfigFlags;
use error::ConfigError;
use file::Looked;

/// The settings of a run.
#[derive(Debug)]
pub(crate) struct Config {
    /// The id of the device.
    pub(crate) device: Setting<String>,
    /// Devices of single components.
    pub(crate) place: Setting<Pairs>,
    /// The device for what the chosen one does not take.
    pub(crate) fallback: Setting<Option<String>>,
    /// Options of the device.
    pub(crate) device_options: Setting<Pairs>,
    /// The model package, a directory or its manifest; `None` is the model inside the program.
    pub(crate) model: Setting<Option<PathBuf>>,
    /// The directories that plugins are loaded from.
    pub(crate) plugins: Setting<Vec<PathBuf>>,
    /// The most memory that a job may take; `None` is no limit.
    pub(crate) memory_limit: Setting<Option<ByteSize>>,
    /// Threads of the device; `None` leaves them to the device.
    pub(crate) threads: Setting<Option<u16>>,
    /// The arithmetic of all devices.
    pub(crate) numerics: Setting<Numerics>,
    /// A filter of log messages, as `env_logger` takes it.
    pub(crate) log: Setting<String>,
    files: Vec<Looked>,
}

/// What one source says; what it leaves open is for the sources below it.
#[derive(Debug, Default)]
struct Layer {
    device: Option<Setting<String>>,
    place: Option<Setting<Pairs>>,
    fallback: Option<Setting<String>>,
    device_options: Option<Setting<Pairs>>,
    model: Option<Setting<PathBuf>>,
    plugins: Option<Setting<Vec<PathBuf>>>,
    memory_limit: Option<Setting<ByteSize>>,
    threads: Option<Setting<u16>>,
    numerics: Option<Setting<Numerics>>,
    log: Option<Setting<String>>,
}

impl Config {
    /// Merges all sources, the strongest first.
    ///
    /// # Errors
    /// A value that any source has wrong, also where a stronger one overrides it: a slip should show when it is made.
    pub(crate) fn load(flags: &ConfigFlags) -> Result<Self, ConfigError> {
        let mut merged = Layer::of_flags(flags).over(environment::layer()?);
        let mut files = Vec::new();
        for candidate in file::candidates(flags.config.as_deref()) {
            let layer = file::read(&candidate)?;
            files.push(Looked { exists: layer.is_some(), candidate });
            merged = merged.over(layer.unwrap_or_default());
        }
        Ok(merged.finish(files))
    }
}

impl Layer {
    fn of_flags(flags: &ConfigFlags) -> Self {
        let log = match (flags.quiet, flags.verbose) {
            (true, _) => Some(("error", "--quiet")),
            (false, 0) => None,
            (false, 1) => Some(("info", "--verbose")),
            (false, 2) => Some(("debug", "--verbose")),
            (false, _) => Some(("trace", "--verbose")),
        };
        Self {
            device: flags.device.clone().map(|v| Setting::flag(v, "--device")),
            place: pairs::joined(&flags.place).map(|v| Setting::flag(v, "--place")),
            fallback: flags.fallback.clone().map(|v| Setting::flag(v, "--fallback")),
            device_options: pairs::joined(&flags.device_option).map(|v| Setting::flag(v, "--device-option")),
            model: flags.model.clone().map(|v| Setting::flag(v, "--model")),
            plugins: Some(&flags.plugins)
                .filter(|v| !v.is_empty())
                .map(|v| Setting::flag(v.clone(), "--plugins")),
            memory_limit: flags.memory_limit.map(|v| Setting::flag(v, "--memory-limit")),
            threads: flags.threads.map(|v| Setting::flag(v, "--threads")),
            numerics: flags.numerics.map(|v| Setting::flag(v, "--numerics")),
            log: log.map(|(level, flag)| Setting::flag(level.to_owned(), flag)),
        }
    }

    /// This layer, with what it leaves open taken from the one below.
    fn over(self, below: Layer) -> Self {
        Self {
            device: self.device.or(below.device),
            place: self.place.or(below.place),
            fallback: self.fallback.or(below.fallback),
            device_options: self.device_options.or(below.device_options),
            model: self.model.or(below.model),
            plugins: self.plugins.or(below.plugins),
            memory_limit: self.memory_limit.or(below.memory_limit),
            threads: self.threads.or(below.threads),
            numerics: self.numerics.or(below.numerics),
            log: self.log.or(below.log),
        }
    }

    /// The settings, with defaults for what no source has set.
    fn finish(self, files: Vec<Looked>) -> Config {
        Config {
            device: self.device.unwrap_or_else(|| Setting::default("cpu".to_owned())),
            place: self.place.unwrap_or_else(|| Setting::default(Pairs::default())),
            fallback: Setting::optional(self.fallback),
            device_options: self.device_options.unwrap_or_else(|| Setting::default(Pairs::default())),
            model: Setting::optional(self.model),
            plugins: self.plugins.unwrap_or_else(|| Setting::default(Vec::new())),
            memory_limit: Setting::optional(self.memory_limit),
            threads: Setting::optional(self.threads),
            numerics: self.numerics.unwrap_or_else(|| Setting::default(Numerics::Native)),
            log: self.log.unwrap_or_else(|| Setting::default("warn".to_owned())),
            files,
        }
    }
}
