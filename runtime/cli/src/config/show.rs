//! `kinograph config`: the merged settings and where each comes from.

use std::collections::BTreeMap;
use std::io::{self, Write, stdout};

use serde::Serialize;
use serde_json::{Value, json};

use super::file::{Looked, Place};
use super::{Config, Source};
use crate::args::Show;
use crate::json;

pub(crate) fn run(options: &Show, config: &Config) -> anyhow::Result<()> {
    if options.json {
        return json::print(&Report::new(config));
    }
    Ok(table(config, &mut stdout().lock())?)
}

/// A setting ready to be shown.
struct Row<'a> {
    key: &'static str,
    /// For programs.
    value: Value,
    /// For people.
    text: String,
    source: &'a Source,
}

fn rows(config: &Config) -> [Row<'_>; 10] {
    let Config {
        device,
        place,
        fallback,
        device_options,
        model,
        plugins,
        memory_limit,
        threads,
        numerics,
        log,
        files: _,
    } = config;
    let directories: Vec<String> = plugins.value.iter().map(|path| path.display().to_string()).collect();
    let directory = model.value.as_ref().map(|path| path.display().to_string());
    [
        Row { key: "device", value: json!(device.value), text: device.value.clone(), source: &device.source },
        Row {
            key: "place",
            value: json!(place.value.0),
            text: place.value.to_string(),
            source: &place.source,
        },
        Row {
            key: "fallback",
            value: json!(fallback.value),
            text: fallback.value.clone().unwrap_or_else(|| "(none)".to_owned()),
            source: &fallback.source,
        },
        Row {
            key: "device_options",
            value: json!(device_options.value.0),
            text: device_options.value.to_string(),
            source: &device_options.source,
        },
        Row {
            key: "model",
            value: json!(directory),
            text: directory.unwrap_or_else(|| "(inside the program)".to_owned()),
            source: &model.source,
        },
        Row {
            key: "plugins",
            value: json!(directories),
            text: if directories.is_empty() { "(none)".to_owned() } else { directories.join(", ") },
            source: &plugins.source,
        },
        Row {
            key: "memory_limit",
            value: json!(memory_limit.value.map(|size| size.0)),
            text: memory_limit.value.map_or_else(|| "(none)".to_owned(), |size| size.to_string()),
            source: &memory_limit.source,
        },
        Row {
            key: "threads",
            value: json!(threads.value),
            text: threads.value.map_or_else(|| "(one a core)".to_owned(), |n| n.to_string()),
            source: &threads.source,
        },
        Row {
            key: "numerics",
            value: json!(numerics.value.to_string()),
            text: numerics.value.to_string(),
            source: &numerics.source,
        },
        Row { key: "log", value: json!(log.value), text: log.value.clone(), source: &log.source },
    ]
}

fn table(config: &Config, out: &mut impl Write) -> io::Result<()> {
    let rows = rows(config);
    let width = rows.iter().map(|row| row.text.chars().count()).max().unwrap_or(0);
    for Row { key, text, source, .. } in &rows {
        writeln!(out, "{key:<14}  {text:<width$}  {source}")?;
    }
    writeln!(out, "\nfiles, the stronger first:")?;
    for Looked { candidate, exists } in &config.files {
        let found = if *exists { "read" } else { "not there" };
        writeln!(out, "  {found:<9}  {}", candidate.path.display())?;
    }
    Ok(())
}

/// What `--json` prints; docs/configuration.md promises these names.
#[derive(Serialize)]
struct Report<'a> {
    settings: BTreeMap<&'static str, SettingReport<'a>>,
    files: Vec<FileReport>,
}

#[derive(Serialize)]
struct SettingReport<'a> {
    value: Value,
    source: &'a Source,
}

#[derive(Serialize)]
struct FileReport {
    path: String,
    place: Place,
    exists: bool,
}

impl<'a> Report<'a> {
    fn new(config: &'a Config) -> Self {
        let setting = |row: Row<'a>| (row.key, SettingReport { value: row.value, source: row.source });
        let file = |Looked { candidate, exists }: &Looked| FileReport {
            path: candidate.path.display().to_string(),
            place: candidate.place,
            exists: *exists,
        };
        Self {
            settings: rows(config).into_iter().map(setting).collect(),
            files: config.files.iter().map(file).collect(),
        }
    }
}
