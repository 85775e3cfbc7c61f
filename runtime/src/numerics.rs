//! The arithmetic that a device computes with.

mod device;
mod selftest;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use kinograph_backend::Device;
use kinograph_graph::exact::Slices;

pub use device::Reproducible;
pub use selftest::Fault;

/// Which arithmetic a device computes with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Numerics {
    /// The device's fastest kernels, within the bounds of the op table.
    #[default]
    Native,
    /// The same bits on every device: docs/reproducible.md.
    Reproducible(Precision),
}

/// How many bits the operands of products have in reproducible numerics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// One slice of eight bits.
    R8,
    /// Two slices.
    #[default]
    R16,
}

impl Precision {
    /// The slices of eight bits that operands of products are cut into.
    pub fn slices(self) -> Slices {
        match self {
            Precision::R8 => Slices::One,
            Precision::R16 => Slices::Two,
        }
    }
}

impl Numerics {
    /// The device with this arithmetic: itself, or one that was found to be reproducible.
    ///
    /// # Errors
    /// When the device fails the self-test of reproducible numerics.
    pub fn on(self, device: Arc<dyn Device>) -> Result<Arc<dyn Device>, ReproducibleError> {
        match self {
            Numerics::Native => Ok(device),
            Numerics::Reproducible(precision) => Ok(Arc::new(Reproducible::open(device, precision)?)),
        }
    }
}

impl fmt::Display for Numerics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Numerics::Native => f.write_str("native"),
            Numerics::Reproducible(Precision::R16) => f.write_str("reproducible"),
            Numerics::Reproducible(Precision::R8) => f.write_str("reproducible-r8"),
        }
    }
}

impl FromStr for Numerics {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "native" => Ok(Numerics::Native),
            "reproducible" | "reproducible-r16" => Ok(Numerics::Reproducible(Precision::R16)),
            "reproducible-r8" => Ok(Numerics::Reproducible(Precision::R8)),
            _ => {
                Err(format!("`{text}` is no arithmetic; there are native, reproducible and reproducible-r8"))
            }
        }
    }
}

/// Why a device is not used with reproducible numerics.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReproducibleError {
    /// It computes other bits than the specification says.
    #[error("{device} is not reproducible: {fault}: {detail}")]
    Fault {
        /// The device's id.
        device: String,
        /// What it does.
        fault: Fault,
        /// Where it was seen.
        detail: String,
    },
    /// It does not compute what the test asks.
    #[error("{device} could not be tested for reproducible numerics ({fault}): {reason}")]
    Untested {
        /// The device's id.
        device: String,
        /// What was tested.
        fault: Fault,
        /// Why it could not be.
        reason: String,
    },
}
