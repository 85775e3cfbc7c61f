use std::collections::BTreeMap;
use std::io::{self, Write, stdout};

use kinograph::{DeviceInfo, Policy, Runtime};
use serde::Serialize;

use crate::args::Devices;
use crate::config::Config;
use crate::json;

pub(crate) fn run(options: &Devices, config: &Config) -> anyhow::Result<()> {
    let (mut devices, mut missing) = (Vec::new(), Vec::new());
    for (backend, answer) in Runtime::new().survey() {
        match answer {
            Ok(found) => devices.extend(found),
            Err(reason) => missing.push((backend, reason.to_string())),
        }
    }
    if options.json {
        return json::print(&Report::new(&devices, &missing, &config.device.value));
    }
    Ok(list(&devices, &missing, config, &mut stdout().lock())?)
}

fn list(
    devices: &[DeviceInfo],
    missing: &[(String, String)],
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
}

#[derive(Serialize)]
struct DeviceReport<'a> {
    id: &'a str,
    name: &'a str,
    facts: BTreeMap<&'a str, &'a str>,
    chosen: bool,
}

impl<'a> Report<'a> {
    fn new(devices: &'a [DeviceInfo], missing: &'a [(String, String)], chosen: &str) -> Self {
        let report = |device: &'a DeviceInfo| DeviceReport {
            id: &device.id,
            name: &device.name,
            facts: device.facts.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect(),
            chosen: device.id == chosen,
        };
        let unavailable =
            missing.iter().map(|(backend, reason)| (backend.as_str(), reason.as_str())).collect();
        Self { devices: devices.iter().map(report).collect(), unavailable }
    }
}
