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

/// The candidate nearest to a misspelt name, if one is near.
pub(super) fn nearest(name: &str, candidates: &[&'static str]) -> Option<&'static str> {
    let distance = |candidate: &&'static str| edit_distance(&name.to_ascii_lowercase(), candidate);
    candidates.iter().copied().min_by_key(distance).filter(|c| distance(c) <= 3)
}

/// Levenshtein distance, on names cut to 64 bytes so that a hostile name costs nothing.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let (a, b) = (&a[..a.len().min(64)], &b[..b.len().min(64)]);
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
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

    #[test]
    fn nearest_names() {
        let names = ["device", "model", "memory_limit"];
        for (name, expected) in [("devices", "device"), ("Modle", "model"), ("memory-limit", "memory_limit")]
        {
            assert_eq!(nearest(name, &names), Some(expected));
        }
        for name in ["solver_tolerance", "größe", &"x".repeat(100_000)] {
            assert_eq!(nearest(name, &names), None);
        }
    }
}
