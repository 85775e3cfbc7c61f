//! Replay manifests: everything that decides the bits of a video, so that anyone makes the same again on any device.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use kinograph_backend::HostTensor;
use kinograph_graph::exact;
use serde::{Deserialize, Serialize};

use crate::files::Unread;
use crate::guidance::Guidance;
use crate::model::Model;
use crate::numerics::Numerics;
use crate::package::{Package, PackageError};
use crate::request::Request;
use crate::sampler::Solver;
use crate::schedule::Schedule;
use crate::tiling::Tiles;

/// The largest manifest that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// What made a video, and what it was.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Replay {
    /// The version of this form.
    pub format: u32,
    /// The arithmetic.
    pub numerics: Arithmetic,
    /// The model.
    pub model: ModelMark,
    /// Every setting of the job, none left to defaults.
    pub request: Settings,
    /// What came of it.
    pub output: Digests,
}

/// The arithmetic of a job.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Arithmetic {
    /// As `--numerics` takes it.
    pub kind: String,
    /// The version of reproducible numerics.
    pub version: u32,
}

/// Which model.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ModelMark {
    /// Its name.
    pub name: String,
    /// BLAKE3 of the package: [`Package::digest`].
    pub digest: String,
}

/// The settings of a job.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Settings {
    /// What to show.
    pub prompt: String,
    /// What to steer away from.
    pub negative: String,
    /// The seed of the noise.
    pub seed: u64,
    /// The number of frames.
    pub frames: usize,
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// Frames a second.
    pub fps: u32,
    /// How a step is taken.
    pub solver: String,
    /// The times of sampling.
    pub schedule: String,
    /// Steps, for schedules that leave them open.
    pub steps: usize,
    /// How strongly the prompt steers.
    pub guidance: String,
    /// The tokens to which prompts are padded or cut, if not the package's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_tokens: Option<usize>,
    /// The decoder's tiles along time, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiles: Option<String>,
    /// The decoder's tiles along rows and columns, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spatial_tiles: Option<String>,
}

/// BLAKE3 of what a job made.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Digests {
    /// Of the latent at the end of sampling, as little-endian `f32`.
    pub latents: String,
    /// Of the latent after each step of sampling, to find where two devices part; none where a checkpoint was the beginning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
    /// Of all frames, interleaved red, green and blue, before they are written into a file.
    pub frames: String,
}

/// Why a manifest cannot be replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is no manifest.
    #[error("{path}: {reason}")]
    Format {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// It was made with another version of the arithmetic.
    #[error(
        "it was made with version {found} of reproducible numerics; this program has version {own}, whose bits differ"
    )]
    Version {
        /// The manifest's.
        found: u32,
        /// This program's.
        own: u32,
    },
    /// It was made with native numerics, which promise nothing.
    #[error(
        "it was made with {0} numerics, whose bits differ from device to device; make it with --numerics reproducible"
    )]
    Native(String),
    /// It was made with another model.
    #[error(
        "it was made with the model `{found}` of digest {digest}, and this is `{own}` of digest {own_digest}; name the right one with --model"
    )]
    Model {
        /// The manifest's.
        found: String,
        /// Its digest.
        digest: String,
        /// The model that is there.
        own: String,
        /// Its digest.
        own_digest: String,
    },
}

impl Replay {
    /// Everything that decides the bits of a request's video; what it leaves open is the model's.
    /// Noise that the request brings is not among it, nor are tiles that only its memory limit asks for.
    ///
    /// # Errors
    /// A file of the package that cannot be read.
    pub fn new(package: &Package, request: &Request, numerics: Numerics) -> Result<Self, PackageError> {
        let manifest = package.manifest();
        let (video, sampler) = (&manifest.video, &manifest.sampler);
        let (width, height) = request.size.unwrap_or((video.width, video.height));
        let schedule = request.schedule.as_ref().unwrap_or(&sampler.schedule);
        let tiles = request.tiles.temporal.or(manifest.tiling.map(|t| t.decoder));
        Ok(Self {
            format: 1,
            numerics: Arithmetic { kind: numerics.to_string(), version: exact::VERSION },
            model: ModelMark { name: manifest.name.clone(), digest: package.digest()? },
            request: Settings {
                prompt: request.prompt.clone(),
                negative: request.negative.clone(),
                seed: request.seed,
                frames: request.frames.unwrap_or(video.frames),
                width,
                height,
                fps: request.fps.unwrap_or(video.fps),
                solver: request.solver.unwrap_or(sampler.solver).to_string(),
                schedule: schedule.to_string(),
                steps: request.steps.or(schedule.steps()).unwrap_or(sampler.steps),
                guidance: request.guidance.unwrap_or(sampler.guidance).to_string(),
                text_tokens: request.text_tokens,
                tiles: tiles.map(|t| t.to_string()),
                spatial_tiles: request.tiles.spatial.map(|t| t.to_string()),
            },
            output: Digests::default(),
        })
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// A file that cannot be read or is no manifest.
    pub fn read(path: &Path) -> Result<Self, ReplayError> {
        let shown = path.display().to_string();
        let format = |reason: String| ReplayError::Format { path: shown.clone(), reason };
        let bytes = crate::files::read(path, MAX_BYTES).map_err(|unread| match unread {
            Unread::Io(source) => ReplayError::Io { path: shown.clone(), source },
            Unread::NotPlain => format("not a plain file".into()),
            Unread::TooLarge(most) => format(format!("larger than {most} bytes")),
        })?;
        let text = std::str::from_utf8(&bytes).map_err(|e| format(format!("not UTF-8: {e}")))?;
        let replay: Self = toml::from_str(text).map_err(|e| format(e.to_string()))?;
        if replay.format != 1 {
            return Err(format(format!("format {} is not known; it is 1", replay.format)));
        }
        Ok(replay)
    }

    /// The manifest as a file.
    pub fn to_toml(&self) -> String {
        // A struct of strings and numbers is always written.
        toml::to_string(self).unwrap_or_default()
    }

    /// The arithmetic to replay with.
    ///
    /// # Errors
    /// When it was made with one that this program does not have, or with native numerics.
    pub fn numerics(&self) -> Result<Numerics, ReplayError> {
        match self.numerics.kind.parse() {
            Ok(Numerics::Native) => Err(ReplayError::Native(self.numerics.kind.clone())),
            _ if self.numerics.version != exact::VERSION => {
                Err(ReplayError::Version { found: self.numerics.version, own: exact::VERSION })
            }
            Ok(numerics) => Ok(numerics),
            Err(why) => Err(unfit("kind", &self.numerics.kind, why)),
        }
    }

    /// Checks that a package is the one that it was made with.
    ///
    /// # Errors
    /// When it is another.
    pub fn check_model(&self, package: &Package) -> Result<(), crate::Error> {
        let own_digest = package.digest()?;
        if own_digest == self.model.digest {
            return Ok(());
        }
        Err(crate::Error::Replay(Box::new(ReplayError::Model {
            found: self.model.name.clone(),
            digest: self.model.digest.clone(),
            own: package.manifest().name.clone(),
            own_digest,
        })))
    }

    /// The request to replay.
    ///
    /// # Errors
    /// A setting that this program does not know, by name.
    pub fn request(&self) -> Result<Request, ReplayError> {
        let s = &self.request;
        let mut request = Request::new(&s.prompt)
            .negative(&s.negative)
            .seed(s.seed)
            .frames(s.frames)
            .size(s.width, s.height)
            .fps(s.fps)
            .steps(s.steps)
            .solver(parsed::<Solver>("solver", &s.solver)?)
            .schedule(parsed::<Schedule>("schedule", &s.schedule)?)
            .guidance(parsed::<Guidance>("guidance", &s.guidance)?);
        if let Some(tokens) = s.text_tokens {
            request = request.text_tokens(tokens);
        }
        if let Some(tiles) = &s.tiles {
            request = request.tiles(parsed::<Tiles>("tiles", tiles)?);
        }
        if let Some(tiles) = &s.spatial_tiles {
            request = request.spatial_tiles(parsed::<Tiles>("spatial_tiles", tiles)?);
        }
        Ok(request)
    }

    /// The digest of latents.
    pub fn digest_of_latents(latents: &HostTensor) -> String {
        blake3::hash(latents.data().as_bytes()).to_hex().to_string()
    }
}

/// BLAKE3 of numbers as little-endian `f32`.
fn digest_of(numbers: &[f32]) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut bytes = [0; 4096];
    for part in numbers.chunks(bytes.len() / 4) {
        let own = &mut bytes[..4 * part.len()];
        own.chunks_exact_mut(4).zip(part).for_each(|(to, x)| to.copy_from_slice(&x.to_le_bytes()));
        hasher.update(own);
    }
    hasher.finalize().to_hex().to_string()
}

/// A setting of a manifest from its text.
fn parsed<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, ReplayError>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|why: T::Err| unfit(name, text, why))
}

fn unfit(name: &str, text: &str, why: impl std::fmt::Display) -> ReplayError {
    ReplayError::Format { path: "replay manifest".into(), reason: format!("`{name}` = {text:?}: {why}") }
}

/// The digest of frames that come one by one.
#[derive(Clone, Debug, Default)]
pub struct FrameDigest(blake3::Hasher);

impl FrameDigest {
    /// Takes a frame.
    pub fn frame(&mut self, frame: &[u8]) {
        self.0.update(frame);
    }

    /// The digest in hexadecimal.
    pub fn finish(&self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}

impl Package {
    /// BLAKE3 of all that decides what the model computes: the manifest, each graph with what it includes, tokenizers, weights.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn digest(&self) -> Result<String, PackageError> {
        let mut hasher = blake3::Hasher::new();
        let mut part = |name: &str, bytes: &[u8]| {
            hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
            hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        };
        part("manifest", &self.manifest_bytes()?);
        let manifest = self.manifest();
        let mut components: Vec<_> = manifest.text.iter().map(crate::package::TextSpec::component).collect();
        components.extend([manifest.backbone.clone(), manifest.decoder.clone()]);
        components.extend(manifest.encoder.clone());
        for spec in &components {
            part(&spec.graph, self.graph(&spec.graph)?.to_toml().as_bytes());
            for name in &spec.weights {
                self.with_file(name, |bytes| part(name, bytes))?;
            }
        }
        for name in manifest.text.iter().filter_map(|spec| spec.tokenizer.file.as_deref()) {
            self.with_file(name, |bytes| part(name, bytes))?;
        }
        Ok(hasher.finalize().to_hex().to_string())
    }
}

impl Model {
    /// What a job of this model makes, in digests: frames go to `on_frame` too. The request's own
    /// [`on_step`](Request::on_step) is not called.
    ///
    /// # Errors
    /// As [`generate_to`](Self::generate_to).
    pub fn generate_digests(
        &self,
        request: &Request,
        mut on_frame: impl FnMut(&[u8]) -> Result<(), crate::media::MediaError>,
        on_progress: impl FnMut(crate::Progress) -> std::ops::ControlFlow<()>,
    ) -> Result<(Digests, crate::Streamed), crate::Error> {
        let mut frames = FrameDigest::default();
        let take = |frame: &[u8]| {
            frames.frame(frame);
            on_frame(frame)
        };
        let steps: Arc<Mutex<Vec<(usize, String)>>> = Arc::default();
        let told = steps.clone();
        let request = request.clone().on_step(move |step, latents| {
            let digest = digest_of(latents);
            told.lock().unwrap_or_else(PoisonError::into_inner).push((step, digest));
        });
        let made = self.generate_to(&request, take, on_progress)?;
        let latents = Replay::digest_of_latents(&made.latents);
        let steps = std::mem::take(&mut *steps.lock().unwrap_or_else(PoisonError::into_inner));
        let whole = steps.first().is_some_and(|(first, _)| *first == 0);
        let steps = steps.into_iter().filter(|_| whole).map(|(_, digest)| digest).collect();
        Ok((Digests { latents, steps, frames: frames.finish() }, made))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"format = 1

[numerics]
kind = "reproducible-r8"
version = 1

[model]
name = "m"
digest = "d"

[request]
prompt = "p"
negative = "n"
seed = 18446744073709551615
frames = 3
width = 16
height = 24
fps = 8
solver = "euler"
schedule = "linear"
steps = 4
guidance = "2.5"
text_tokens = 9
tiles = "4:2"
spatial_tiles = "3"

[output]
latents = "l"
steps = ["s", "l"]
frames = "f"
"#;

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let replay: Replay = toml::from_str(TEXT).unwrap();
        assert_eq!(toml::from_str::<Replay>(&replay.to_toml()).unwrap(), replay);
        let request = replay.request().unwrap();
        assert_eq!((request.seed, request.text_tokens), (u64::MAX, Some(9)));
        assert_eq!(request.size, Some((16, 24)));
        assert!(request.tiles.temporal.is_some() && request.tiles.spatial.is_some());
    }

    #[test]
    fn an_arithmetic_that_is_not_known_is_told() {
        let mut replay: Replay = toml::from_str(TEXT).unwrap();
        assert_eq!(replay.numerics().unwrap().to_string(), "reproducible-r8");
        replay.numerics.kind = "reproducible-r24".into();
        let message = replay.numerics().unwrap_err().to_string();
        assert!(message.contains("kind") && message.contains("reproducible-r24"), "{message}");
        // Of a later version it may well be known.
        replay.numerics.version = 2;
        assert!(matches!(replay.numerics(), Err(ReplayError::Version { found: 2, .. })));
    }
}
