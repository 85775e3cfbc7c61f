use std::collections::BTreeMap;

use kinograph_graph::{Bindings, DType, Number};
use serde::Deserialize;

use crate::guidance::Guidance;
use crate::sampler::Solver;
use crate::schedule::Schedule;
use crate::tiling::Tiles;
use crate::tokenize::TokenizerOptions;

/// The version of `model.toml` that this crate reads.
const FORMAT: u32 = 1;

/// What `model.toml` says.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Manifest {
    /// The version of the format, 1.
    pub format: u32,
    /// The model's name.
    pub name: String,
    /// The model's own version.
    pub version: String,
    /// What it is, for people.
    #[serde(default)]
    pub doc: String,
    /// The licence of the weights.
    #[serde(default)]
    pub license: String,
    /// What it makes.
    pub video: VideoSpec,
    /// Its latent space.
    pub latent: LatentSpec,
    /// Its sampler's defaults.
    pub sampler: SamplerSpec,
    /// The tiles of its autoencoder; without them a clip is one tile.
    pub tiling: Option<TilingSpec>,
    /// Its text encoders; their outputs are concatenated along the sequence in this order.
    pub text: Vec<TextSpec>,
    /// The flow-matching backbone: inputs `latent`, `time`, `text`, `text_mask`, output `velocity`.
    pub backbone: ComponentSpec,
    /// The decoder of the autoencoder: input `latent`, output `video`.
    pub decoder: ComponentSpec,
    /// The encoder of the autoencoder: input `video`, output `latent`.
    pub encoder: Option<ComponentSpec>,
    /// A cheap picture of a latent.
    pub preview: Option<PreviewSpec>,
}

/// What a model makes: defaults and limits.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VideoSpec {
    /// Default width in pixels.
    pub width: usize,
    /// Default height in pixels.
    pub height: usize,
    /// Default number of frames.
    pub frames: usize,
    /// Default frames per second.
    pub fps: u32,
    /// The frame rates that it knows.
    pub fps_choices: Vec<u32>,
    /// Widths and heights must be a multiple of this, in pixels.
    pub multiple: usize,
    /// The most it can make.
    pub max_width: usize,
    /// The most it can make.
    pub max_height: usize,
    /// The most it can make.
    pub max_frames: usize,
    /// The sizes it was trained on, width and height; others up to the limits may look worse.
    pub trained_sizes: Vec<(usize, usize)>,
    /// What the encoders are told, with `{prompt}` and `{fps}` replaced.
    pub prompt: String,
    /// The same for an image, which has no frame rate; without it, as for a video.
    pub image_prompt: Option<String>,
}

/// A latent space.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatentSpec {
    /// Channels.
    pub channels: usize,
    /// Frames, rows and columns of pixels that one latent stands for.
    pub compression: (usize, usize, usize),
    /// The backbone sees (z - shift) * scale: one number, or one a channel.
    pub shift: Vec<f32>,
    /// See `shift`.
    pub scale: Vec<f32>,
    /// Whether the first latent frame stands for one frame of video and only those after it for as many as `compression` says.
    #[serde(default)]
    pub causal: bool,
}

/// Defaults of sampling.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamplerSpec {
    /// The solver.
    #[serde(default)]
    pub solver: Solver,
    /// The spacing of the steps.
    pub schedule: Schedule,
    /// The number of steps.
    pub steps: usize,
    /// Classifier-free guidance.
    pub guidance: Guidance,
    /// What the backbone is told of the time; without it, the time itself.
    pub told: Option<ToldSpec>,
}

/// How a backbone is told of the time by which it was trained: as the level of noise, which is 1 less the time, times a
/// number.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ToldSpec {
    /// What the level is multiplied by.
    pub scale: f64,
    /// Whether the product is then cut to a whole number, full noise counting as just below.
    #[serde(default)]
    pub truncate: bool,
}

impl ToldSpec {
    /// What the backbone is told at time `t`.
    pub fn at(self, t: f64) -> f32 {
        let level = 1.0 - t;
        match self.truncate {
            true => (level.min(1.0 - crate::sampler::LEAST_SIGNAL) * self.scale).trunc() as f32,
            false => level as f32 * self.scale as f32,
        }
    }
}

/// Tiles of the autoencoder along time, each in frames of what it reads.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TilingSpec {
    /// Of the encoder, in frames of video.
    pub encoder: Tiles,
    /// Of the decoder, in frames of the latent.
    pub decoder: Tiles,
}

/// A graph and its weights.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComponentSpec {
    /// The graph file.
    pub graph: String,
    /// The weight files.
    pub weights: Vec<String>,
    /// The type that the weights are stored in, for plans made without the files.
    pub dtype: Option<DType>,
    /// Parameters of the graph to override.
    #[serde(default)]
    pub params: BTreeMap<String, ParamValue>,
    /// Other names under which a weight of the graph may be stored.
    #[serde(default)]
    pub aliases: BTreeMap<String, Vec<String>>,
}

/// A parameter's value.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
pub enum ParamValue {
    /// A switch: 1 or 0.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A real number.
    Float(f64),
}

/// A text encoder: inputs `ids` and `mask`, output `text`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextSpec {
    /// Its name, such as its role.
    pub name: String,
    /// The graph file.
    pub graph: String,
    /// The weight files.
    pub weights: Vec<String>,
    /// The type that the weights are stored in, for plans made without the files.
    pub dtype: Option<DType>,
    /// Parameters of the graph to override.
    #[serde(default)]
    pub params: BTreeMap<String, ParamValue>,
    /// Other names under which a weight of the graph may be stored.
    #[serde(default)]
    pub aliases: BTreeMap<String, Vec<String>>,
    /// How its text becomes ids.
    pub tokenizer: TokenizerOptions,
}

/// A linear map from latent channels to red, green and blue in -1..1.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreviewSpec {
    /// One row a colour, one number a channel.
    pub weight: [Vec<f32>; 3],
    /// One number a colour.
    pub bias: [f32; 3],
}

impl ComponentSpec {
    /// The overridden parameters as bindings of the graph.
    pub(crate) fn bindings(&self) -> Bindings {
        bindings(&self.params)
    }
}

impl TextSpec {
    /// The encoder's graph, weights and parameters.
    pub fn component(&self) -> ComponentSpec {
        ComponentSpec {
            graph: self.graph.clone(),
            weights: self.weights.clone(),
            dtype: self.dtype,
            params: self.params.clone(),
            aliases: self.aliases.clone(),
        }
    }
}

fn bindings(params: &BTreeMap<String, ParamValue>) -> Bindings {
    params.iter().fold(Bindings::new(), |b, (name, value)| {
        let number = match *value {
            ParamValue::Bool(v) => Number::Int(i64::from(v)),
            ParamValue::Int(v) => Number::Int(v),
            ParamValue::Float(v) => Number::Float(v),
        };
        b.number(name, number)
    })
}

impl VideoSpec {
    /// Why the model does not make frames of that size, if it does not.
    pub(crate) fn size_problem(&self, width: usize, height: usize) -> Option<String> {
        if width == 0 || height == 0 || width > self.max_width || height > self.max_height {
            return Some(format!("this model makes up to {}x{}", self.max_width, self.max_height));
        }
        let fits = divides(self.multiple, width) && divides(self.multiple, height);
        (!fits).then(|| format!("width and height must be multiples of {}", self.multiple))
    }

    fn templates(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.prompt).chain(&self.image_prompt)
    }
}

impl LatentSpec {
    /// Shift and scale of a channel.
    pub(crate) fn affine(&self, channel: usize) -> (f32, f32) {
        let pick = |list: &[f32], default| list.get(channel).or(list.first()).copied().unwrap_or(default);
        (pick(&self.shift, 0.0), pick(&self.scale, 1.0))
    }
}

impl Manifest {
    /// Parses and checks a `model.toml`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let manifest: Manifest = toml::from_str(text).map_err(|e| e.to_string().trim_end().to_owned())?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Checks what a family says.
    pub(crate) fn from_value(value: toml::Value) -> Result<Self, String> {
        let manifest: Manifest = value.try_into().map_err(|e| e.to_string().trim_end().to_owned())?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        let Manifest { video, latent, .. } = self;
        let (ct, ch, cw) = latent.compression;
        let rules = [
            (self.format == FORMAT, "format: this version reads only format = 1"),
            (!self.text.is_empty(), "text: a model needs at least one [[text]] encoder"),
            ((1..=MAX_CHANNELS).contains(&latent.channels), "latent.channels must be from 1 to 65536"),
            (
                [ct, ch, cw].iter().all(|c| (1..=MAX_COMPRESSION).contains(c)),
                "latent.compression must be from 1 to 1024 in each direction",
            ),
            (
                fits(&latent.shift, latent.channels),
                "latent.shift must hold one number or one a channel, all finite",
            ),
            (
                fits(&latent.scale, latent.channels),
                "latent.scale must hold one number or one a channel, all finite",
            ),
            (latent.scale.iter().all(|s| *s != 0.0), "latent.scale must not be 0"),
            (
                video.multiple > 0 && divides(ch, video.multiple) && divides(cw, video.multiple),
                "video.multiple must be a multiple of latent.compression",
            ),
            (
                (1..=MAX_PIXELS).contains(&video.max_width) && (1..=MAX_PIXELS).contains(&video.max_height),
                "video.max_width and max_height must be from 1 to 65536",
            ),
            ((1..=MAX_FRAMES).contains(&video.max_frames), "video.max_frames must be from 1 to 1048576"),
            (
                video.fps > 0 && video.fps_choices.contains(&video.fps),
                "video.fps must be one of video.fps_choices and not 0",
            ),
            (
                (1..=video.max_frames).contains(&video.frames),
                "video.frames must be from 1 to video.max_frames",
            ),
            (
                video.size_problem(video.width, video.height).is_none(),
                "video.width and height must be multiples of video.multiple up to video.max_width and max_height",
            ),
            (
                video.templates().all(|t| t.matches("{prompt}").count() == 1),
                "video.prompt and image_prompt must hold {prompt} once",
            ),
            (
                self.sampler.schedule.times(self.sampler.steps).is_ok(),
                "sampler.steps does not suit sampler.schedule",
            ),
            (
                self.sampler.told.is_none_or(|told| told.scale.is_finite() && told.scale > 0.0),
                "sampler.told.scale must be a finite number above 0",
            ),
            (
                self.tiling.is_none_or(|t| divides(ct, t.encoder.size()) && divides(ct, t.encoder.overlap())),
                "tiling.encoder must have multiples of latent.compression in time",
            ),
        ];
        if let Some((_, message)) = rules.iter().find(|(holds, _)| !holds) {
            return Err((*message).to_owned());
        }
        if let Some(preview) = &self.preview
            && preview.weight.iter().any(|row| row.len() != latent.channels)
        {
            return Err("preview.weight must hold one number a latent channel in each row".into());
        }
        Ok(())
    }
}

const MAX_CHANNELS: usize = 1 << 16;
const MAX_COMPRESSION: usize = 1 << 10;
const MAX_PIXELS: usize = 1 << 16;
const MAX_FRAMES: usize = 1 << 20;

fn divides(part: usize, whole: usize) -> bool {
    whole.checked_rem(part) == Some(0)
}

fn fits(list: &[f32], channels: usize) -> bool {
    (list.len() == 1 || list.len() == channels) && list.iter().all(|v| v.is_finite())
}
