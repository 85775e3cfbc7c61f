//! Which device runs which component.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use kinograph_backend::Device;

use crate::Error;

/// Devices of a model's components: one for all, or some on devices of their own.
///
/// Components go by their names: a text encoder's own name or `text` for all of them, `backbone`, `decoder`, `encoder`.
#[derive(Clone)]
pub struct Placement {
    default: Arc<dyn Device>,
    parts: BTreeMap<String, Arc<dyn Device>>,
}

/// The name that stands for every text encoder.
pub(crate) const TEXT: &str = "text";

impl fmt::Debug for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.parts.iter().map(|(name, device)| (name, &device.info().id));
        f.debug_map().entry(&"default", &self.default.info().id).entries(parts).finish()
    }
}

impl From<Arc<dyn Device>> for Placement {
    fn from(device: Arc<dyn Device>) -> Self {
        Self::new(device)
    }
}

impl Placement {
    /// Every component on one device.
    pub fn new(device: Arc<dyn Device>) -> Self {
        Self { default: device, parts: BTreeMap::new() }
    }

    /// A component on a device of its own.
    #[must_use]
    pub fn with(mut self, component: impl Into<String>, device: Arc<dyn Device>) -> Self {
        self.parts.insert(component.into(), device);
        self
    }

    /// The device of all components that have none of their own.
    pub fn default_device(&self) -> &Arc<dyn Device> {
        &self.default
    }

    /// The device of a component; `is_text` when it is a text encoder.
    pub(crate) fn device(&self, component: &str, is_text: bool) -> &Arc<dyn Device> {
        let own = self.parts.get(component);
        own.or_else(|| self.parts.get(TEXT).filter(|_| is_text)).unwrap_or(&self.default)
    }

    /// Checks that every name is one of the components.
    pub(crate) fn check(&self, text: &[&str]) -> Result<(), Error> {
        let others = [TEXT, "backbone", "decoder", "encoder"];
        let known = |name: &str| others.contains(&name) || text.contains(&name);
        match self.parts.keys().find(|name| !known(name)) {
            None => Ok(()),
            Some(name) => Err(Error::Component {
                component: name.clone(),
                reason: format!(
                    "is placed on a device, but the model has no such component; it has {}",
                    others.iter().chain(text).copied().collect::<Vec<_>>().join(", ")
                ),
            }),
        }
    }
}
