use std::io::{Write, stdout};

use kinograph::Runtime;

pub(crate) fn run() -> anyhow::Result<()> {
    let mut out = stdout().lock();
    for device in Runtime::new().devices() {
        writeln!(out, "{}  {}", device.id, device.name)?;
        for (key, value) in &device.facts {
            writeln!(out, "    {key}: {value}")?;
        }
    }
    Ok(())
}
