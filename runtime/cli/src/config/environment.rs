//! Settings from environment variables.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::error::ConfigError;
use super::{Layer, Setting, Source, pairs, parse};

/// What the environment says.
pub(super) fn layer() -> Result<Layer, ConfigError> {
    Ok(Layer {
        device: variable("KINOGRAPH_DEVICE", parse::device)?,
        place: variable("KINOGRAPH_PLACE", pairs::parse)?,
        fallback: variable("KINOGRAPH_FALLBACK", parse::device)?,
        device_options: variable("KINOGRAPH_DEVICE_OPTIONS", pairs::parse)?,
        model: raw("KINOGRAPH_MODEL").map(|path| setting(PathBuf::from(path), "KINOGRAPH_MODEL")),
        plugins: raw("KINOGRAPH_PLUGINS").map(|list| setting(directories(&list), "KINOGRAPH_PLUGINS")),
        memory_limit: variable("KINOGRAPH_MEMORY_LIMIT", str::parse)?,
        threads: variable("KINOGRAPH_THREADS", parse::threads)?,
        numerics: variable("KINOGRAPH_NUMERICS", str::parse)?,
        log: variable("KINOGRAPH_LOG", parse::log)?.or_else(rust_log),
    })
}

/// The directories of a list as the platform writes it: with colons between them, on Windows with semicolons.
fn directories(list: &OsStr) -> Vec<PathBuf> {
    env::split_paths(list).filter(|path| !path.as_os_str().is_empty()).collect()
}

/// The variable that other Rust programs know too; it is not ours to be strict about.
fn rust_log() -> Option<Setting<String>> {
    let filter = raw("RUST_LOG")?.into_string().ok()?;
    Some(setting(filter, "RUST_LOG"))
}

fn variable<T, E: ToString>(
    name: &'static str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Option<Setting<T>>, ConfigError> {
    let Some(value) = raw(name) else {
        return Ok(None);
    };
    let parsed = match value.to_str() {
        Some(text) => parse(text).map_err(|e| format!("`{text}`: {}", e.to_string())),
        None => Err("is not UTF-8".to_owned()),
    };
    let value = parsed.map_err(|reason| ConfigError::Variable { name, reason })?;
    Ok(Some(setting(value, name)))
}

/// The value of a variable. An empty one counts as not set, as shells can hardly unset one for a single command.
fn raw(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

fn setting<T>(value: T, name: &'static str) -> Setting<T> {
    Setting { value, source: Source::Environment { name } }
}
