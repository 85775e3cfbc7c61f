//! The autoencoder by the runtime, in tiles and whole: each tile against the exact evaluation, what the runtime makes of the
//! tiles against the formula of blending, and how far a tiled clip is from one that was never cut.

use std::fmt;
use std::ops::{ControlFlow, Range};

use kinograph::CodecOptions;
use kinograph::media::{FrameRate, FrameSource, MediaError};
use kinograph::tiling::Tiles;
use kinograph_backend::HostTensor;
use kinograph_graph::{DType, Tensor, TensorDesc};
use serde::Deserialize;

use super::arithmetic::covering;
use super::score::Stopped;
use super::{Ended, HeatMap, Score, Subject, tiny};
use crate::random::Rng;

/// Pixels of a latent along each axis, frames included.
const UP: usize = 8;
const CHANNELS: usize = 4;
/// The step between two bytes, in the decoder's range.
const BYTE: f64 = 1.0 / 127.5;

/// How a clip of latents is cut.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tiling {
    /// Tiles along time, such as `4:2`.
    temporal: Option<String>,
    /// Tiles along rows and columns.
    spatial: Option<String>,
    /// Latent frames.
    frames: usize,
    /// Latent rows and columns.
    #[serde(default = "two")]
    rows: usize,
    #[serde(default = "two")]
    columns: usize,
    #[serde(default)]
    pub(super) full: bool,
}

fn two() -> usize {
    2
}

impl fmt::Display for Tiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { frames, rows, columns, .. } = self;
        write!(f, "{} of {frames}", self.temporal.as_deref().unwrap_or("whole"))?;
        if let Some(spatial) = &self.spatial {
            write!(f, ", {spatial} of {rows}x{columns}")?;
        }
        Ok(())
    }
}

/// Latents \[1, channels, frames, rows, columns\].
struct Latents {
    values: Vec<f32>,
    size: [usize; 3],
}

/// A video \[channels, frames, rows, columns\] in f64.
#[derive(Clone)]
struct Video {
    data: Vec<f64>,
    channels: usize,
    size: [usize; 3],
}

type Cut = [Range<usize>; 3];

pub(super) fn run(subject: &Subject, tiling: &Tiling, seed: u64) -> Ended {
    let latents = Latents::draw([tiling.frames, tiling.rows, tiling.columns], seed);
    let tiles = |text: &Option<String>| -> Result<Option<Tiles>, String> {
        text.as_deref().map(|text| text.parse::<Tiles>().map_err(|e| e.to_string())).transpose()
    };
    let (temporal, spatial) = (tiles(&tiling.temporal)?, tiles(&tiling.spatial)?);
    let mut score = Score::default();
    let due = composed(subject, &latents, [temporal, spatial, spatial], seed, &mut score)?;
    let whole = composed(subject, &latents, [None; 3], seed, &mut score)?;
    let mut options = CodecOptions::new().tiles(temporal.unwrap_or(whole_tiles(tiling.frames)?));
    if let Some(spatial) = spatial {
        options = options.spatial_tiles(spatial);
    }
    let model = tiny::model(subject.device.clone(), seed)?;
    let bytes = subject.host.decode(&model, &latents.tensor()?, &options)?;
    check_bytes(&mut score, &due, &bytes);
    maps(&mut score, &due, &whole, &bytes, temporal, spatial);
    Ok(score)
}

fn whole_tiles(frames: usize) -> Result<Tiles, String> {
    Tiles::new(frames.max(1), 0).map_err(|e| e.to_string())
}

/// What the runtime should make of the device's own tiles: each weighted by the formula and added, in f64. The tiles
/// themselves are held against the exact evaluation.
fn composed(
    subject: &Subject,
    latents: &Latents,
    tiles: [Option<Tiles>; 3],
    seed: u64,
    score: &mut Score,
) -> Result<Video, Stopped> {
    let size = latents.size.map(|n| n * UP);
    let mut out = Video { data: vec![0.0; 3 * size.iter().product::<usize>()], channels: 3, size };
    let axes: [Vec<(Range<usize>, Vec<f64>)>; 3] =
        std::array::from_fn(|a| strips(tiles[a], latents.size[a], UP));
    for (frames, weights_t) in &axes[0] {
        for (rows, weights_h) in &axes[1] {
            for (columns, weights_w) in &axes[2] {
                let cut = [frames.clone(), rows.clone(), columns.clone()];
                let tile = decoded(subject, &latents.cut(&cut), seed, score)?;
                let start = cut.map(|range| range.start * UP);
                out.add(&tile, start, [weights_t, weights_h, weights_w]);
            }
        }
    }
    Ok(out)
}

/// The tiles along an axis with the weight of each position of what is made of them: over the `N` positions that two share, the
/// later one's goes from 0 up by 1 / N, and the earlier one has the rest.
fn strips(tiles: Option<Tiles>, total: usize, up: usize) -> Vec<(Range<usize>, Vec<f64>)> {
    let (size, overlap) = tiles.map_or((total, 0), |t| (t.size(), t.overlap()));
    let (ranges, shared) = (covering(size, overlap, total), overlap * up);
    let last = ranges.len() - 1;
    let weigh = |(k, range): (usize, Range<usize>)| {
        let length = range.len() * up;
        let weight = |i: usize| {
            let rising = if k > 0 && i < shared { i as f64 / shared as f64 } else { 1.0 };
            let falling = (i + shared).checked_sub(length).filter(|_| k < last);
            rising * falling.map_or(1.0, |j| 1.0 - j as f64 / shared as f64)
        };
        (range, (0..length).map(weight).collect())
    };
    ranges.into_iter().enumerate().map(weigh).collect()
}

/// One tile by the device, held against the exact evaluation.
fn decoded(subject: &Subject, latents: &Latents, seed: u64, score: &mut Score) -> Result<Video, Stopped> {
    let [t, h, w] = latents.size;
    let mut problem = tiny::problem("decoder", &[("T", t), ("H", h), ("W", w)], seed)?;
    let values = latents.values.iter().map(|&v| f64::from(v)).collect();
    problem.set_input(0, Tensor::new(TensorDesc::new(DType::F32, [1, CHANNELS, t, h, w]), values)?);
    let answer = problem.on(&*subject.device)?;
    let tile = format!("the decoder's tile of {t}x{h}x{w}");
    score.take(&problem.due()?.judge(tile, &answer.outputs), &problem);
    score.seconds += answer.seconds;
    score.flops += problem.graph().flops();
    let data = answer.outputs[0].data().to_f64();
    Ok(Video { data, channels: 3, size: latents.size.map(|n| n * UP) })
}

/// Bytes against a video: half a byte, and what three operations in f32 round, which may reach the next byte.
fn check_bytes(score: &mut Score, due: &Video, bytes: &[u8]) {
    if bytes.len() != due.data.len() {
        let found = bytes.len();
        score.first.get_or_insert(format!("{found} bytes came, due are {}", due.data.len()));
        return;
    }
    let bound = BYTE / 2.0 + 1e-6;
    for (i, &byte) in bytes.iter().enumerate() {
        // Bytes are [frame, row, column, channel].
        let (position, channel) = (i / 3, i % 3);
        let exact = due.data[channel * bytes.len() / 3 + position].clamp(-1.0, 1.0);
        let error = (f64::from(byte) * BYTE - 1.0 - exact).abs();
        score.elements += 1;
        if (error > bound || error.is_nan()) && score.first.is_none() {
            score.first = Some(format!("byte {i} is {byte}, due is {:.2}", (exact + 1.0) * 127.5));
            score.worst = score.worst.max(error / bound);
        }
    }
}

/// How far the tiled clip is from the whole one, frame by frame and over each frame.
fn maps(
    score: &mut Score,
    tiled: &Video,
    whole: &Video,
    bytes: &[u8],
    temporal: Option<Tiles>,
    spatial: Option<Tiles>,
) {
    let [frames, rows, columns] = tiled.size;
    let plane = rows * columns;
    let difference = |channel: usize, position: usize| {
        let at = channel * frames * plane + position;
        (tiled.data[at] - whole.data[at]).abs()
    };
    let mean = |positions: &mut dyn Iterator<Item = usize>| {
        let (mut sum, mut count) = (0.0, 0usize);
        for position in positions {
            sum += (0..3).map(|c| difference(c, position)).sum::<f64>();
            count += 3;
        }
        sum / count.max(1) as f64
    };
    let seams = |tiles: Option<Tiles>, total: usize| -> Vec<usize> {
        let Some(tiles) = tiles else { return Vec::new() };
        covering(tiles.size(), tiles.overlap(), total / UP).iter().skip(1).map(|r| r.start * UP).collect()
    };
    let by_row = (0..rows)
        .map(|r| {
            (0..frames).map(|f| Some(mean(&mut (0..columns).map(|c| f * plane + r * columns + c)))).collect()
        })
        .collect();
    if temporal.is_some() {
        score.maps.push(HeatMap {
            title: "Mean difference between the tiled and the whole clip, by row and frame".into(),
            rows: (0..rows).map(|r| format!("row {r}")).collect(),
            columns: "frame".into(),
            values: by_row,
            marks: seams(temporal, frames),
        });
    }
    if spatial.is_some() {
        let over = |r: usize, c: usize| mean(&mut (0..frames).map(|f| f * plane + r * columns + c));
        score.maps.push(HeatMap {
            title: "Mean difference between the tiled and the whole clip over a frame".into(),
            rows: (0..rows).map(|r| format!("row {r}")).collect(),
            columns: "column".into(),
            values: (0..rows).map(|r| (0..columns).map(|c| Some(over(r, c))).collect()).collect(),
            marks: seams(spatial, columns),
        });
    }
    if temporal.is_some() || spatial.is_some() {
        let squares: f64 =
            (0..frames * plane).map(|p| (0..3).map(|c| difference(c, p).powi(2)).sum::<f64>()).sum();
        let psnr = 10.0 * (4.0 / (squares / bytes.len().max(1) as f64)).log10();
        score.notes.push(format!("tiled against whole: {psnr:.1} dB"));
    }
}

/// The runtime's encoder on so many frames, which it cuts into the package's tiles.
pub(super) fn encode(subject: &Subject, frames: usize, seed: u64) -> Ended {
    let mut clip = Clip::draw(frames, seed);
    let planes = clip.planes();
    // Asked before the runtime is, which would call a refusal an error.
    if let Some(refusal) = tiny::problem("encoder", &[], seed)?.refusal(&*subject.device) {
        return Err(refusal.into());
    }
    let model = tiny::model(subject.device.clone(), seed)?;
    let encoded = model
        .encode(&mut clip, &CodecOptions::new(), |_| ControlFlow::Continue(()))
        .map_err(|e| e.to_string())?;
    let mut score = Score::default();
    let mut start = 0;
    let found = encoded.latents.data().to_f64();
    let [_, channels, latents, rows, columns] = encoded.latents.desc().shape[..] else {
        return Err(format!("the latents are {}", encoded.latents.desc()).into());
    };
    if latents != frames.div_ceil(UP) || encoded.frames != frames {
        return Err(
            format!("{frames} frames became {latents} latent ones, due are {}", frames.div_ceil(UP)).into()
        );
    }
    // Tiles of the encoder do not overlap.
    for tile in covering(model.manifest().tiling.map_or(frames, |t| t.encoder.size()), 0, frames) {
        let sizes = [("T", tile.len()), ("H", Clip::SIDE), ("W", Clip::SIDE)];
        let mut problem = tiny::problem("encoder", &sizes, seed)?;
        let input = planes.cut(&[tile.clone(), 0..Clip::SIDE, 0..Clip::SIDE]);
        let desc = TensorDesc::new(DType::F32, [1, 3, tile.len(), Clip::SIDE, Clip::SIDE]);
        problem.set_input(0, Tensor::new(desc, input.data)?);
        let made = tile.len().div_ceil(UP);
        let whole = Video { data: found.clone(), channels, size: [latents, rows, columns] };
        let part = whole.cut(&[start..start + made, 0..rows, 0..columns]);
        let desc = TensorDesc::new(DType::F32, [1, channels, made, rows, columns]);
        let part = HostTensor::from_reference(&Tensor::new(desc, part.data)?, DType::F32);
        score.take(&problem.due()?.judge("encoder".into(), &[part]), &problem);
        score.flops += problem.graph().flops();
        start += made;
    }
    Ok(score)
}

/// So many frames out of the runtime's decoder, whose tiles overlap: the first of those that the whole latents give.
pub(super) fn decode(subject: &Subject, frames: usize, seed: u64) -> Ended {
    let latents = Latents::draw([frames.div_ceil(UP), 2, 2], seed);
    let model = tiny::model(subject.device.clone(), seed)?;
    let tiles = model.manifest().tiling.map(|t| t.decoder);
    let mut score = Score::default();
    let due = composed(subject, &latents, [tiles, None, None], seed, &mut score)?;
    let options = CodecOptions::new().frames(frames);
    let bytes = subject.host.decode(&model, &latents.tensor()?, &options)?;
    let [_, rows, columns] = due.size;
    check_bytes(&mut score, &due.cut(&[0..frames, 0..rows, 0..columns]), &bytes);
    Ok(score)
}

impl Latents {
    fn draw(size: [usize; 3], seed: u64) -> Self {
        let mut rng = Rng::new(seed.wrapping_add(77));
        let count = CHANNELS * size.iter().product::<usize>();
        Self { values: (0..count).map(|_| rng.normal() as f32).collect(), size }
    }

    fn tensor(&self) -> Result<HostTensor, String> {
        let [t, h, w] = self.size;
        HostTensor::f32([1, CHANNELS, t, h, w], self.values.clone()).map_err(|e| e.to_string())
    }

    fn cut(&self, cut: &Cut) -> Self {
        let data = self.values.iter().map(|&v| f64::from(v)).collect();
        let part = Video { data, channels: CHANNELS, size: self.size }.cut(cut);
        Self { values: part.data.iter().map(|&v| v as f32).collect(), size: part.size }
    }
}

impl Video {
    fn cut(&self, cut: &Cut) -> Self {
        let [t, h, w] = self.size;
        let mut data = Vec::new();
        for channel in 0..self.channels {
            for frame in cut[0].clone() {
                for row in cut[1].clone() {
                    let line = ((channel * t + frame) * h + row) * w;
                    data.extend_from_slice(&self.data[line + cut[2].start..line + cut[2].end]);
                }
            }
        }
        Self { data, channels: self.channels, size: [cut[0].len(), cut[1].len(), cut[2].len()] }
    }

    fn add(&mut self, tile: &Video, start: [usize; 3], weights: [&Vec<f64>; 3]) {
        let ([t, h, w], [tt, th, tw]) = (self.size, tile.size);
        for (i, value) in tile.data.iter().enumerate() {
            let (column, row) = (i % tw, i / tw % th);
            let (frame, channel) = (i / tw / th % tt, i / tw / th / tt);
            let weight = weights[0][frame] * weights[1][row] * weights[2][column];
            let line = (channel * t + start[0] + frame) * h + start[1] + row;
            self.data[line * w + start[2] + column] += weight * value;
        }
    }
}

/// A clip of noise over a gradient, as a source of frames.
struct Clip {
    frames: Vec<Vec<u8>>,
    next: usize,
}

impl Clip {
    const SIDE: usize = 16;

    fn draw(frames: usize, seed: u64) -> Self {
        let mut rng = Rng::new(seed.wrapping_add(99));
        let pixel = |frame: usize, i: usize, rng: &mut Rng| (i / 6 + 3 * frame + rng.below(90)) as u8;
        let count = 3 * Self::SIDE * Self::SIDE;
        let frames = (0..frames).map(|f| (0..count).map(|i| pixel(f, i, &mut rng)).collect()).collect();
        Self { frames, next: 0 }
    }

    /// As the encoder reads it.
    fn planes(&self) -> Video {
        let plane = Self::SIDE * Self::SIDE;
        let mut data = Vec::new();
        for channel in 0..3 {
            for frame in &self.frames {
                data.extend((0..plane).map(|p| f64::from(f32::from(frame[3 * p + channel]) / 127.5 - 1.0)));
            }
        }
        Video { data, channels: 3, size: [self.frames.len(), Self::SIDE, Self::SIDE] }
    }
}

impl FrameSource for Clip {
    fn width(&self) -> usize {
        Self::SIDE
    }

    fn height(&self) -> usize {
        Self::SIDE
    }

    fn rate(&self) -> Option<FrameRate> {
        None
    }

    fn frames(&self) -> Option<usize> {
        Some(self.frames.len())
    }

    fn next_frame(&mut self, rgb: &mut Vec<u8>) -> Result<bool, MediaError> {
        let Some(frame) = self.frames.get(self.next) else { return Ok(false) };
        rgb.clear();
        rgb.extend_from_slice(frame);
        self.next += 1;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::SafeTensors;

    #[test]
    fn blending_is_that_of_the_python_script() {
        let bytes = include_bytes!("../../goldens/pytorch.safetensors");
        let file = SafeTensors::deserialize(bytes).unwrap();
        let mut seen = 0;
        for name in file.names().into_iter().filter(|n| n.starts_with("blend.")) {
            let numbers: Vec<usize> = name.split('.').skip(1).map(|n| n.parse().unwrap()).collect();
            let (total, tiles) = (numbers[0], Tiles::new(numbers[1], numbers[2]).unwrap());
            let mut found = vec![0.0; total];
            for (k, (range, weights)) in strips(Some(tiles), total, 1).into_iter().enumerate() {
                let mut rng = Rng::new(100 + k as u64);
                for (at, weight) in range.zip(weights) {
                    found[at] += weight * f64::from((2.0 * rng.unit() - 1.0) as f32);
                }
            }
            let due = doubles(file.tensor(name).unwrap().data());
            let near = |(f, d): (&f64, &f64)| (f - d).abs() < 1e-15;
            assert!(found.iter().zip(&due).all(near), "{name}: {found:?} instead of {due:?}");
            seen += 1;
        }
        assert_eq!(seen, 6);
    }

    fn doubles(bytes: &[u8]) -> Vec<f64> {
        bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect()
    }
}
