//! A loaded model: components on a device, and jobs that run through them.

mod apart;
mod checkpoint;
mod codec;
mod component;
mod generate;
mod job;
mod plan;
mod sampling;
mod text;
mod tiled;
mod velocity;

use std::fmt;
use std::sync::Arc;

use kinograph_backend::Device;

pub use checkpoint::CheckpointError;
pub use codec::{CodecOptions, Encoded};
pub use component::Component;
pub use generate::{Generated, Streamed};
pub(crate) use plan::graphs;
pub use plan::{Plan, StagePlan, Tactics, plan};

use crate::Error;
use crate::package::{Manifest, Package, TextSpec};
use crate::placement::Placement;
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
    placement: Placement,
    text: Vec<TextEncoder>,
    backbone: Component,
    decoder: Component,
    encoder: Option<Component>,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("name", &self.manifest.name).field("devices", &self.placement).finish()
    }
}

impl Model {
    /// Loads a package for a device, or for several: see [`Placement`].
    ///
    /// # Errors
    /// A file of the package that is missing or wrong; a graph that lacks an input that the runtime
    /// gives, or a weight.
    pub fn load(package: Package, devices: impl Into<Placement>) -> Result<Self, Error> {
        let placement = devices.into();
        let manifest = package.manifest().clone();
        let names: Vec<&str> = manifest.text.iter().map(|spec| spec.name.as_str()).collect();
        placement.check(&names)?;
        let text = manifest
            .text
            .iter()
            .map(|spec| {
                let device = placement.device(&spec.name, true).clone();
                let component =
                    Component::load(&package, &spec.name, &spec.component(), &component::TEXT, device)?;
                Ok(TextEncoder { component, tokenizer: tokenizer(&package, spec)? })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let load = |name, spec, interface| {
            Component::load(&package, name, spec, interface, placement.device(name, false).clone())
        };
        let backbone = load("backbone", &manifest.backbone, &component::BACKBONE)?;
        let decoder = load("decoder", &manifest.decoder, &component::DECODER)?;
        let encoder = manifest.encoder.as_ref();
        let encoder = encoder.map(|spec| load("encoder", spec, &component::ENCODER)).transpose()?;
        Ok(Self { manifest, placement, text, backbone, decoder, encoder })
    }

    /// What the package says.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The device that it runs on, but for components that have one of their own.
    pub fn device(&self) -> &Arc<dyn Device> {
        self.placement.default_device()
    }

    /// Gives back what is kept for later jobs: compiled graphs, buffers of the device, pages of weights.
    pub fn release(&self) {
        self.components().for_each(Component::release);
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
