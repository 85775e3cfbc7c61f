use kinograph_backend::DeviceError;
use kinograph_backend::DeviceOptions;

use crate::provider::Provider;

/// Weights of a graph up to this many bytes are copied when the choice is left to the device: then ONNX Runtime converts
/// and packs them once instead of at every run.
const COPIED: u64 = 256 << 20;

/// Where a session reads weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum WeightPlace {
    /// Small ones copied, large ones in the mapped file.
    #[default]
    Auto,
    /// In the mapped file.
    Mapped,
    /// Converted and packed copies.
    Copied,
}

impl WeightPlace {
    /// Whether weights of so many bytes are read where they lie.
    pub(crate) fn in_place(self, bytes: u64) -> bool {
        match self {
            WeightPlace::Auto => bytes > COPIED,
            WeightPlace::Mapped => true,
            WeightPlace::Copied => false,
        }
    }
}

/// The options of a device.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Options {
    pub(crate) threads: Option<usize>,
    /// Whether the processor may do what the provider does not take.
    pub(crate) fallback: bool,
    pub(crate) weights: WeightPlace,
    /// Whether activations may be approximated as the library likes.
    pub(crate) approximate: bool,
    /// Options of the provider.
    pub(crate) provider: Vec<(String, String)>,
}

impl Options {
    pub(crate) fn parse(provider: Provider, given: &DeviceOptions) -> Result<Self, DeviceError> {
        let mut options = Self { threads: given.threads, ..Self::default() };
        let wrong = |name: &str, takes: &str| {
            Err(DeviceError::Internal(format!("the option `{name}` of an ort device takes {takes}")))
        };
        for (name, value) in &given.extra {
            match (name.as_str(), value.as_str()) {
                ("library", _) => {}
                ("fallback", "cpu") => options.fallback = true,
                ("fallback", "none") => options.fallback = false,
                ("fallback", _) => return wrong(name, "`cpu` or `none`"),
                ("activations", "exact") => options.approximate = false,
                ("activations", "approximate") => options.approximate = true,
                ("activations", _) => return wrong(name, "`exact` or `approximate`"),
                ("weights", "auto") => options.weights = WeightPlace::Auto,
                ("weights", "mapped") => options.weights = WeightPlace::Mapped,
                ("weights", "copied") => options.weights = WeightPlace::Copied,
                ("weights", _) => return wrong(name, "`auto`, `mapped` or `copied`"),
                _ if provider.is_configurable() && !name.contains('\0') && !value.contains('\0') => {
                    options.provider.push((name.clone(), value.clone()));
                }
                _ => {
                    return Err(DeviceError::Internal(format!(
                        "the device has no option `{name}`; it has `library`, `fallback`, `weights` and `activations`"
                    )));
                }
            }
        }
        Ok(options)
    }
}
