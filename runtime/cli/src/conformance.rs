//! `kinograph conformance`: the suite on the devices of the configuration.

use std::io::stdout;

use kinograph::DeviceOptions;
use kinograph_conformance::program::{Command, Devices, run as run_command};

use crate::config::Config;
use crate::plugins;

/// Runs a command of the suite; a device that does not conform is an error.
pub(crate) fn run(command: &Command, config: &Config) -> anyhow::Result<()> {
    let runtime = plugins::runtime(config)?;
    let options = DeviceOptions {
        threads: config.threads.value.map(usize::from),
        extra: config.device_options.value.0.clone(),
        cache: None,
    };
    let (ids, numerics) = (vec![config.device.value.clone()], config.numerics.value);
    let devices = Devices { runtime: &runtime, ids, options, numerics };
    anyhow::ensure!(run_command(command, &devices, &mut stdout().lock())?, "not every device conforms");
    Ok(())
}
