//! The backends of the configuration: those built in, and those of plugins.

use std::path::PathBuf;

use kinograph::Runtime;
use serde::Serialize;

use crate::config::Config;

/// What can open devices, and the plugins that cannot.
pub(crate) struct Loaded {
    pub(crate) runtime: Runtime,
    pub(crate) refused: Vec<Refused>,
}

/// A plugin that was refused, or a directory that could not be searched.
#[derive(Debug, Serialize)]
pub(crate) struct Refused {
    pub(crate) path: PathBuf,
    pub(crate) reason: String,
}

/// The runtime of the configuration; what was refused is logged.
pub(crate) fn runtime(config: &Config) -> anyhow::Result<Runtime> {
    let loaded = load(config)?;
    for Refused { path, reason } in &loaded.refused {
        log::warn!("plugin {} ({}): {reason}", path.display(), config.plugins.source);
    }
    Ok(loaded.runtime)
}

/// Loads the plugins of the configuration.
#[cfg(feature = "plugins")]
pub(crate) fn load(config: &Config) -> anyhow::Result<Loaded> {
    use kinograph::plugins::{PluginDirectories, PluginError, PluginHost};

    let mut runtime = Runtime::new();
    let directories = PluginDirectories::new(&config.plugins.value);
    let refused = runtime.load_plugins(&mut PluginHost::new(), &directories);
    let refused =
        refused.into_iter().map(|PluginError { path, kind }| Refused { path, reason: kind.to_string() });
    Ok(Loaded { runtime, refused: refused.collect() })
}

/// Refuses to leave plugins out silently.
#[cfg(not(feature = "plugins"))]
pub(crate) fn load(config: &Config) -> anyhow::Result<Loaded> {
    anyhow::ensure!(
        config.plugins.value.is_empty(),
        "{}: this build loads no plugins: build with the cargo feature `plugins`",
        config.plugins.source
    );
    Ok(Loaded { runtime: Runtime::new(), refused: Vec::new() })
}
