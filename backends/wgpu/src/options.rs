//! The options of a device.

use std::path::PathBuf;

use kinograph_backend::{DeviceError, DeviceOptions};

use crate::gpu::internal;
use crate::lower::Halves;
use crate::shader::Pin;

/// How many invocations may share a tile.
pub(crate) const LANES: [u32; 3] = [16, 32, 64];

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) max_submission_ms: u64,
    pub(crate) memory: Option<u64>,
    pub(crate) subgroups: Option<bool>,
    pub(crate) lanes: Option<u32>,
    pub(crate) dots: Option<bool>,
    pub(crate) matrices: Option<bool>,
    pub(crate) pin: Pin,
    pub(crate) storage: Halves,
    pub(crate) tuning: Option<bool>,
    pub(crate) guards: bool,
    pub(crate) cache: Option<PathBuf>,
}

impl Options {
    pub(crate) fn parse(options: &DeviceOptions) -> Result<Self, DeviceError> {
        let mut parsed = Self {
            max_submission_ms: 100,
            memory: None,
            subgroups: None,
            lanes: None,
            dots: None,
            matrices: None,
            pin: Pin::default(),
            storage: Halves::Declared,
            tuning: None,
            guards: false,
            cache: options.cache.clone(),
        };
        for (name, value) in &options.extra {
            parsed.set(name, value)?;
        }
        let other = parsed.dots == Some(true) || parsed.pin == Pin::Decorated;
        if parsed.matrices == Some(true) && other {
            return Err(internal(
                "`matrices` goes with neither `dots` nor `no_contraction`; leave one of them out",
            ));
        }
        Ok(parsed)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), DeviceError> {
        let takes = |what: &str| internal(format!("the option `{name}` takes {what}, not `{value}`"));
        let number = || value.parse().ok().filter(|&n| n > 0).ok_or_else(|| takes("a whole number above 0"));
        let switch = || value.parse().map_err(|_| takes("true or false"));
        match name {
            "max_submission_ms" => self.max_submission_ms = number()?,
            "memory" => self.memory = Some(number()?),
            "subgroups" => self.subgroups = Some(switch()?),
            "dots" => self.dots = Some(switch()?),
            "matrices" => self.matrices = Some(switch()?),
            "no_contraction" => self.pin = if switch()? { Pin::Decorated } else { Pin::Xor },
            "tuning" => self.tuning = Some(switch()?),
            "guards" => self.guards = switch()?,
            "storage" => {
                self.storage = match value {
                    "f32" => Halves::None,
                    "f16" => Halves::All,
                    _ => return Err(takes("f32 or f16")),
                };
            }
            "lanes" => {
                let known = value.parse().ok().filter(|lanes| LANES.contains(lanes));
                self.lanes = Some(known.ok_or_else(|| takes("16, 32 or 64"))?);
            }
            _ => {
                return Err(internal(format!(
                    "a wgpu device has no option `{name}`; it has max_submission_ms, memory, subgroups, lanes, dots, matrices, no_contraction, storage, tuning and guards"
                )));
            }
        }
        Ok(())
    }
}
