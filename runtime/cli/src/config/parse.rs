//! Values from text, the same for flags, environment and files.

use log::LevelFilter;

const MAX_THREADS: u16 = 1024;

/// The id of a device; whether there is one shows when it is opened.
pub(crate) fn device(text: &str) -> Result<String, String> {
    match text {
        "" => Err("must name a device; `kinograph devices` lists them".to_owned()),
        id => Ok(id.to_owned()),
    }
}

/// A number of threads.
pub(crate) fn threads(text: &str) -> Result<u16, String> {
    let number = text.parse().ok().filter(|n| (1..=MAX_THREADS).contains(n));
    number.ok_or_else(|| format!("must be a whole number from 1 to {MAX_THREADS}"))
}

/// A level, or a filter as `env_logger` takes it: `kinograph=debug,warn/pattern`.
///
/// Stricter than `env_logger`, to which any lone word is a module: here a module needs its level, so that a level
/// misspelt is not taken for a module that nobody has.
pub(super) fn log(text: &str) -> Result<String, String> {
    let directives = text.split_once('/').map_or(text, |(directives, _)| directives);
    for directive in directives.split(',').map(str::trim) {
        let level = directive.split_once('=').map_or(directive, |(_, level)| level.trim());
        if level.parse::<LevelFilter>().is_err() {
            return Err(format!(
                "`{level}` is no level; give off, error, warn, info, debug or trace, or a filter such as \
                 warn,kinograph=debug"
            ));
        }
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        for filter in
            ["info", "WARN", "off", "warn,kinograph=debug", "kinograph::model = trace", "info/step .*"]
        {
            assert_eq!(log(filter).as_deref(), Ok(filter));
        }
        for filter in ["", "inof", "kinograph", "kinograph=", "warn,", "a=b=info", "warn,kinograph=inof"] {
            assert!(log(filter).is_err(), "{filter}");
        }
    }
}
