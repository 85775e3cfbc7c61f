use std::collections::BTreeMap;
use std::io::{self, Write, stdout};

use kinograph::{DeviceInfo, Policy};
use serde::Serialize;

use crate::args::Devices;
use crate::config::Config;
use crate::json;
use crate::plugins::{self, Loaded, Refused};

pub(crate) fn run(options: &Devices, config: &Config) -> anyhow::Result<()> {
    let Loaded { runtime, refused } = plugins::load(config)?;
    let (mut devices, mut missing) = (Vec::new(), Vec::new());
    for (backend, answer) in runtime.survey() {
        match answer {
            Ok(found) => devices.extend(found),
            Err(reason) => missing.push((backend, reason.to_string())),
        }
    }
    if options.json {
        return json::print(&Report::new(&devices, &missing, &refused, &config.device.value));
    }
    Ok(list(&devices, &missing, &refused, config, &mut stdout().lock())?)
}

fn list(
    devices: &[DeviceInfo],
    missing: &[(String, String)],
    refused: &[Refused],
    config: &Config,
    out: &mut impl Write,
) -> io::Result<()> {
    let chosen = &config.device;
    for device in devices {
        let mark =
            if device.id == chosen.value { format!("  [chosen: {}]", chosen.source) } else { String::new() };
        writeln!(out, "{}  {}{mark}", device.id, device.name)?;
        for (key, value) in &device.facts {
            writeln!(out, "    {key}: {value}")?;
        }
    }
    for (backend, reason) in missing {
        writeln!(out, "{backend}  not available: {reason}")?;
    }
    if !refused.is_empty() {
        writeln!(out, "\nrefused plugins ({}):", config.plugins.source)?;
    }
    for Refused { path, reason } in refused {
        writeln!(out, "  {}  {reason}", path.display())?;
    }
    let named = chosen.value.parse::<Policy>().is_err();
    if named && !devices.iter().any(|device| device.id == chosen.value) {
        writeln!(out, "\nthe chosen device `{}` ({}) is not among them", chosen.value, chosen.source)?;
    }
    Ok(())
}

/// What `--json` prints; docs/configuration.md promises these names.
#[derive(Serialize)]
struct Report<'a> {
    devices: Vec<DeviceReport<'a>>,
    /// Backends without devices, and why.
    unavailable: BTreeMap<&'a str, &'a str>,
    refused_plugins: &'a [Refused],
}

#[derive(Serialize)]
struct DeviceReport<'a> {
    id: &'a str,
    name: &'a str,
    facts: BTreeMap<&'a str, &'a str>,
    chosen: bool,
}

impl<'a> Report<'a> {
    fn new(
        devices: &'a [DeviceInfo],
        missing: &'a [(String, String)],
        refused_plugins: &'a [Refused],
        chosen: &str,
    ) -> Self {
        let report = |device: &'a DeviceInfo| DeviceReport {
            id: &device.id,
            name: &device.name,
            facts: device.facts.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect(),
            chosen: device.id == chosen,
        };
        let unavailable =
            missing.iter().map(|(backend, reason)| (backend.as_str(), reason.as_str())).collect();
        Self { devices: devices.iter().map(report).collect(), unavailable, refused_plugins }
    }
}
