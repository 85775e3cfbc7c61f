//! A loaded model: components on a device, and jobs that run through them.

mod component;
mod generate;
mod job;

use std::fmt;
use std::sync::Arc;

use kinograph_backend::Device;

pub use component::Component;
pub use generate::Generated;

use crate::Error;
use crate::package::{Manifest, Package, TextSpec};
use crate::tokenize::{MAX_FILE_BYTES, Tokenizer};

/// A text encoder: its tokenizer and its graph.
struct TextEncoder {
    component: Component,
    tokenizer: Tokenizer,
}

/// A model on a device. Weights are mapped, graphs are parsed and checked; what a job needs for its
/// sizes is compiled when it first runs and kept. May be used from several threads at once.
pub struct Model {
    manifest: Manifest,
    device: Arc<dyn Device>,
    text: Vec<TextEncoder>,
    backbone: Component,
    decoder: Component,
    encoder: Option<Component>,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("name", &self.manifest.name)
            .field("device", self.device.info())
            .finish()
    }
}

impl Model {
    /// Loads a package for a device.
    ///
    /// # Errors
    /// A file of the package that is missing or wrong; a graph that lacks an input that the runtime
    /// gives, or a weight.
    pub fn load(package: Package, device: Arc<dyn Device>) -> Result<Self, Error> {
        let manifest = package.manifest().clone();
        let text = manifest
            .text
            .iter()
            .map(|spec| {
                let component =
                    Component::load(&package, &spec.name, &spec.component(), &["ids", "mask"], "text")?;
                Ok(TextEncoder { component, tokenizer: tokenizer(&package, spec)? })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let backbone_inputs = ["latent", "time", "text", "text_mask"];
        let backbone =
            Component::load(&package, "backbone", &manifest.backbone, &backbone_inputs, "velocity")?;
        let decoder = Component::load(&package, "decoder", &manifest.decoder, &["latent"], "video")?;
        let load_encoder = |spec| Component::load(&package, "encoder", spec, &["video"], "latent");
        let encoder = manifest.encoder.as_ref().map(load_encoder).transpose()?;
        Ok(Self { manifest, device, text, backbone, decoder, encoder })
    }

    /// What the package says.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The device that it runs on.
    pub fn device(&self) -> &Arc<dyn Device> {
        &self.device
    }

    /// Its components in the order in which a job runs them.
    pub fn components(&self) -> impl Iterator<Item = &Component> {
        self.text.iter().map(|t| &t.component).chain([&self.backbone, &self.decoder]).chain(&self.encoder)
    }
}

fn tokenizer(package: &Package, spec: &TextSpec) -> Result<Tokenizer, Error> {
    let file = spec.tokenizer.file.as_deref();
    let bytes = file.map(|name| package.read(name, MAX_FILE_BYTES as u64)).transpose()?;
    Tokenizer::new(spec.tokenizer.clone(), bytes.as_deref())
        .map_err(|source| Error::tokenize(&spec.name, source))
}
