//! The autoencoder: video to latents and back, tile by tile, with no more than a tile in memory.

use std::ops::ControlFlow;

use kinograph_backend::{Control, HostTensor};

use super::Model;
use super::component::Component;
use super::job::{Grid, single};
use super::tiled::{Carried, Piece, Planes, Scale, Tiled};
use crate::error::RequestError;
use crate::media::{FrameSource, MediaError, check_count, frame_of_planes, planes_of_frame};
use crate::progress::{Progress, Run, Stage};
use crate::tiling::{Seam, Tiles};
use crate::{Error, request::TileChoice};

/// How the autoencoder is to work. What is left open is as the package says.
#[derive(Clone, Debug, Default)]
pub struct CodecOptions {
    pub(crate) tiles: TileChoice,
    pub(crate) memory_limit: Option<u64>,
    pub(crate) size: Option<(usize, usize)>,
    pub(crate) frames: Option<usize>,
    pub(crate) control: Control,
}

impl CodecOptions {
    /// As the package says.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tiles along time, in frames of what is read: of video for the encoder, of the latent for the decoder.
    #[must_use]
    pub fn tiles(mut self, tiles: Tiles) -> Self {
        self.tiles.temporal = Some(tiles);
        self
    }

    /// Tiles along rows and columns, in latent positions.
    #[must_use]
    pub fn spatial_tiles(mut self, tiles: Tiles) -> Self {
        self.tiles.spatial = Some(tiles);
        self
    }

    /// The most bytes that the job may need, weights included: smaller spatial tiles are taken to stay below.
    #[must_use]
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    /// Decoding keeps so many columns and rows of each frame, from the upper left.
    #[must_use]
    pub fn size(mut self, width: usize, height: usize) -> Self {
        self.size = Some((width, height));
        self
    }

    /// Decoding keeps so many frames.
    #[must_use]
    pub fn frames(mut self, frames: usize) -> Self {
        self.frames = Some(frames);
        self
    }

    /// A handle by which another thread may cancel the job.
    #[must_use]
    pub fn control(mut self, control: Control) -> Self {
        self.control = control;
        self
    }
}

/// What the encoder makes of a video.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Encoded {
    /// \[1, channels, frames, rows, columns\], as the backbone sees it.
    pub latents: HostTensor,
    /// Frames of the video.
    pub frames: usize,
    /// Its size in pixels; the latents may stand for a little more.
    pub size: (usize, usize),
}

/// Frames of one size, wherever they go.
pub(super) type FrameTaker<'a> = dyn FnMut(&[u8]) -> Result<(), MediaError> + 'a;

impl Model {
    /// Encodes a video. Frames are read as they are needed; where a side is no multiple of the compression, the last
    /// row or column is repeated.
    ///
    /// # Errors
    /// A package without encoder, a video without frames, what reading it gives, and what goes wrong on the device.
    pub fn encode(
        &self,
        video: &mut dyn FrameSource,
        options: &CodecOptions,
        mut on_progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Encoded, Error> {
        let plan = self.plan_encode(video.width(), video.height(), video.frames(), options)?;
        let mut run = Run::new(&options.control, &mut on_progress);
        let component = self.encoder.as_ref().ok_or(RequestError::NoEncoder)?;
        let latent = &self.manifest.latent;
        let (_, ch, cw) = latent.compression;
        let size = (video.width(), video.height());
        let padded = (size.0.next_multiple_of(cw), size.1.next_multiple_of(ch));
        let tiled = Tiled {
            component,
            scale: Scale::down(latent),
            channels: (3, latent.channels),
            gives: "gives a latent of",
            spatial: in_pixels(plan.spatial, (ch, cw)),
        };
        check_overlap(component, plan.temporal)?;
        let mut reader = Reader::new(video, padded);
        let latents = encode_tiles(&tiled, &mut reader, plan.temporal, &mut run)?;
        let frames = reader.frames;
        if frames == 0 {
            return Err(RequestError::NoFrames.into());
        }
        run.done(Stage::Encode);
        Ok(Encoded { latents: self.latents_of_frames(latents, padded)?, frames, size })
    }

    /// Decodes latents as the backbone sees them, \[1, channels, frames, rows, columns\], to frames of interleaved red,
    /// green and blue, which are given on as soon as they are finished.
    ///
    /// # Errors
    /// Latents of another shape, what `on_frame` answers, and what goes wrong on the device.
    pub fn decode(
        &self,
        latents: &HostTensor,
        options: &CodecOptions,
        mut on_frame: impl FnMut(&[u8]) -> Result<(), MediaError>,
        mut on_progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let (values, grid) = self.check_latents(latents)?;
        let plan = self.plan_decode(grid, options)?;
        let mut run = Run::new(&options.control, &mut on_progress);
        let whole = Scale::up(&self.manifest.latent).apply(grid, Piece::Begin);
        let (width, height) = options.size.unwrap_or((whole.columns, whole.rows));
        let frames = options.frames.unwrap_or(whole.frames);
        if width > whole.columns || height > whole.rows || frames > whole.frames {
            return Err(RequestError::Crop { frames, width, height, whole: whole_of(whole) }.into());
        }
        let cut = Cut { frames, width, height };
        self.decode_tiles(values, grid, &plan, cut, &mut on_frame, &mut run)
    }

    /// Decodes one latent \[channels, frames, rows, columns\] by a plan.
    pub(super) fn decode_tiles(
        &self,
        values: &[f32],
        grid: Grid,
        plan: &CodecPlan,
        keep: Cut,
        on_frame: &mut FrameTaker<'_>,
        run: &mut Run<'_>,
    ) -> Result<(), Error> {
        let tiled = self.decoder_tiles(plan.spatial);
        let z = self.denormalised(values, grid);
        check_overlap(&self.decoder, plan.temporal)?;
        if self.decoder.streams() && plan.spatial.is_some() {
            return self.decode_streams(&tiled, Planes { data: &z, grid }, plan, keep, on_frame, run);
        }
        let tiles = Tiles::within(plan.temporal, grid.frames);
        let ct = self.manifest.latent.compression.0;
        let frame = tiled.scale.apply(Grid { frames: 1, ..grid }, Piece::Begin);
        let mut carried = Carried::new();
        let mut seam = Seam::new(tiles.overlap() * ct, 3 * frame.plane());
        let (mut left, count) = (keep.frames, tiles.count(grid.frames));
        let flops = tiled.flops(first_tile(tiles, grid), piece_of(count))?;
        run.tell(Stage::Decode, 0, count)?;
        for (k, range) in tiles.ranges(grid.frames).enumerate() {
            let piece = if range.start == 0 { Piece::Begin } else { Piece::Later };
            let mut made = tiled.run(Planes { data: &z, grid }, range, piece, &mut carried, run.control)?;
            seam.join(&mut made, k + 1 == count);
            for planes in made.chunks_exact((3 * frame.plane()).max(1)).take(left) {
                if run.control.is_cancelled() {
                    return Err(Error::Cancelled);
                }
                on_frame(&frame_of_planes(planes, frame.columns, keep.width, keep.height))?;
                left -= 1;
            }
            run.worked(flops);
            run.tell(Stage::Decode, k + 1, count)?;
        }
        Ok(())
    }

    /// Decodes a clip one tile of its frames after another, each from begin to end, so that what is carried in time is that of
    /// one tile: for the whole frame it can be far more than a clip of finished frames, which waits meanwhile.
    fn decode_streams(
        &self,
        tiled: &Tiled<'_>,
        input: Planes<'_>,
        plan: &CodecPlan,
        keep: Cut,
        on_frame: &mut FrameTaker<'_>,
        run: &mut Run<'_>,
    ) -> Result<(), Error> {
        let tiles = Tiles::within(plan.temporal, input.grid.frames);
        let of = tiled.count(input.grid) * tiles.count(input.grid.frames);
        let (flops, mut done) = (self.decode_flops(input.grid, plan)? / of.max(1) as f64, 0);
        run.tell(Stage::Decode, 0, of)?;
        let control = run.control;
        let video = tiled.run_streams(input, tiles, control, || {
            done += 1;
            run.worked(flops);
            run.tell(Stage::Decode, done, of)
        })?;
        let whole = tiled.scale.apply(input.grid, Piece::Begin);
        for planes in video.chunks_exact((3 * whole.plane()).max(1)).take(keep.frames) {
            if control.is_cancelled() {
                return Err(Error::Cancelled);
            }
            on_frame(&frame_of_planes(planes, whole.columns, keep.width, keep.height))?;
        }
        Ok(())
    }

    /// Floating-point operations of decoding a latent, a short last tile counted as a whole one.
    pub(super) fn decode_flops(&self, grid: Grid, plan: &CodecPlan) -> Result<f64, Error> {
        let tiles = Tiles::within(plan.temporal, grid.frames);
        let count = tiles.count(grid.frames);
        let tile = self.decoder_tiles(plan.spatial).flops(first_tile(tiles, grid), piece_of(count))?;
        Ok(tile * count as f64)
    }

    fn decoder_tiles(&self, tiles: Option<Tiles>) -> Tiled<'_> {
        let latent = &self.manifest.latent;
        Tiled {
            component: &self.decoder,
            scale: Scale::up(latent),
            channels: (latent.channels, 3),
            gives: "gives a video of",
            spatial: (tiles, tiles),
        }
    }

    /// Latents of the decoder's own scale, of those that the backbone sees.
    fn denormalised(&self, values: &[f32], grid: Grid) -> Vec<f32> {
        let mut z = values.to_vec();
        for (channel, values) in z.chunks_mut((grid.frames * grid.plane()).max(1)).enumerate() {
            let (shift, scale) = self.manifest.latent.affine(channel);
            values.iter_mut().for_each(|v| *v = *v / scale + shift);
        }
        z
    }

    /// Latent frames \[frames, channels, rows, columns\] of the encoder as the backbone sees them, channels first.
    fn latents_of_frames(
        &self,
        frames: Vec<f32>,
        (width, height): (usize, usize),
    ) -> Result<HostTensor, Error> {
        let latent = &self.manifest.latent;
        let (_, ch, cw) = latent.compression;
        let plane = (height / ch) * (width / cw);
        let count = frames.len() / (latent.channels * plane).max(1);
        let mut out = Vec::with_capacity(frames.len());
        for channel in 0..latent.channels {
            let (shift, scale) = latent.affine(channel);
            for frame in 0..count {
                let at = (frame * latent.channels + channel) * plane;
                out.extend(frames[at..at + plane].iter().map(|v| (v - shift) * scale));
            }
        }
        let shape = [1, latent.channels, count, height / ch, width / cw];
        HostTensor::f32(shape, out).map_err(|e| Error::tensor("encoder", e))
    }

    fn check_latents<'t>(&self, latents: &'t HostTensor) -> Result<(&'t [f32], Grid), Error> {
        let found = &latents.desc().shape;
        let channels = self.manifest.latent.channels;
        match (latents.as_f32(), single(found)) {
            (Some(values), &[c, frames, rows, columns]) if c == channels && !values.is_empty() => {
                Ok((values, Grid { frames, rows, columns }))
            }
            _ => {
                let reason = format!("the model's latents are f32 of [{channels}, frames, rows, columns]");
                Err(RequestError::LatentShape { found: latents.desc().to_string(), reason }.into())
            }
        }
    }
}

/// How the autoencoder will work: its tiles in time, and in rows and columns of the latent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct CodecPlan {
    pub(crate) temporal: Option<Tiles>,
    pub(crate) spatial: Option<Tiles>,
}

/// What is kept of a decoded video.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub(super) frames: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

fn whole_of(grid: Grid) -> String {
    format!("{} frames of {}x{}", grid.frames, grid.columns, grid.rows)
}

/// The kind of piece that most of so many are.
pub(super) fn piece_of(count: usize) -> Piece {
    if count > 1 { Piece::Later } else { Piece::Begin }
}

/// Pieces of a stream need no overlap, and with one would carry on from the wrong frame.
fn check_overlap(component: &Component, tiles: Option<Tiles>) -> Result<(), Error> {
    match tiles.map_or(0, Tiles::overlap) {
        overlap if overlap > 0 && component.streams() => Err(RequestError::StreamOverlap { overlap }.into()),
        _ => Ok(()),
    }
}

/// The first tile along time, which none is longer than.
fn first_tile(tiles: Tiles, grid: Grid) -> Grid {
    Grid { frames: tiles.size().min(grid.frames), ..grid }
}

/// Tiles of latent positions as tiles of pixels.
pub(super) fn in_pixels(tiles: Option<Tiles>, (ch, cw): (usize, usize)) -> (Option<Tiles>, Option<Tiles>) {
    // Tiles too large to be counted are larger than any frame, which is then one tile.
    let scaled = |by: usize| {
        let tiles = tiles?;
        Tiles::new(tiles.size().checked_mul(by)?, tiles.overlap().checked_mul(by)?).ok()
    };
    (scaled(ch), scaled(cw))
}

/// Encodes tile after tile: latent frames \[frames, channels, rows, columns\].
fn encode_tiles(
    tiled: &Tiled<'_>,
    reader: &mut Reader<'_>,
    tiles: Option<Tiles>,
    run: &mut Run<'_>,
) -> Result<Vec<f32>, Error> {
    let size = tiles.map_or(usize::MAX, Tiles::size);
    let overlap = tiles.map_or(0, Tiles::overlap);
    let shared = tiled.scale.apply(Grid { frames: overlap, rows: 0, columns: 0 }, Piece::Later).frames;
    let of = reader.expected.zip(tiles).map_or(0, |(frames, tiles)| tiles.count(frames));
    run.tell(Stage::Encode, 0, of)?;
    let (mut latents, mut seam, mut k) = (Vec::new(), None, 0);
    let mut carried = Carried::new();
    loop {
        let piece = if k == 0 { Piece::Begin } else { Piece::Later };
        // Where the first frame is a latent frame by itself, the first piece has that one and else the frames of one
        // latent frame less, so that all pieces make as many latent frames.
        let size = tiled.scale.piece_frames(size, piece);
        if !reader.fill(size)? {
            break;
        }
        let last = reader.ended;
        reader.repeat_last(tiled.scale.fed_frames(reader.tile.len(), piece));
        let grid = reader.grid();
        let planes = reader.planes();
        let input = Planes { data: &planes, grid };
        let mut made = tiled.run(input, 0..grid.frames, piece, &mut carried, run.control)?;
        let plane = tiled.scale.apply(grid, piece).plane() * tiled.channels.1;
        seam.get_or_insert_with(|| Seam::new(shared, plane)).join(&mut made, last);
        latents.append(&mut made);
        k += 1;
        run.tell(Stage::Encode, k, of.max(if last { k } else { 0 }))?;
        if last {
            break;
        }
        reader.keep(overlap);
    }
    Ok(latents)
}

/// Reads frames ahead by one, so that the last tile is known to be the last.
struct Reader<'a> {
    source: &'a mut dyn FrameSource,
    /// Size with the repeated rows and columns.
    padded: (usize, usize),
    expected: Option<usize>,
    /// Frames of the present tile, each \[3, rows, columns\].
    tile: Vec<Vec<f32>>,
    ahead: Option<Vec<f32>>,
    buffer: Vec<u8>,
    frames: usize,
    ended: bool,
}

impl<'a> Reader<'a> {
    fn new(source: &'a mut dyn FrameSource, padded: (usize, usize)) -> Self {
        let expected = source.frames();
        Self {
            source,
            padded,
            expected,
            tile: Vec::new(),
            ahead: None,
            buffer: Vec::new(),
            frames: 0,
            ended: false,
        }
    }

    fn read(&mut self) -> Result<Option<Vec<f32>>, Error> {
        if self.ended || !self.source.next_frame(&mut self.buffer)? {
            return Ok(None);
        }
        // A host may have its own source, which need not keep its word.
        check_count(self.buffer.len(), 1, self.source.height(), self.source.width())?;
        self.frames += 1;
        Ok(Some(planes_of_frame(&self.buffer, self.source.width(), self.padded)))
    }

    /// Reads until the tile has so many frames. False when there is none at all.
    fn fill(&mut self, size: usize) -> Result<bool, Error> {
        while self.tile.len() < size && !self.ended {
            match self.ahead.take().map_or_else(|| self.read(), |frame| Ok(Some(frame)))? {
                Some(frame) => self.tile.push(frame),
                None => self.ended = true,
            }
        }
        if !self.ended {
            self.ahead = self.read()?;
            self.ended = self.ahead.is_none();
        }
        Ok(!self.tile.is_empty())
    }

    /// Repeats the last frame until the tile has so many.
    fn repeat_last(&mut self, frames: usize) {
        if let Some(last) = self.tile.last().cloned() {
            self.tile.resize(frames.max(self.tile.len()), last);
        }
    }

    /// Forgets all frames of the tile but the last so many.
    fn keep(&mut self, frames: usize) {
        self.tile.drain(..self.tile.len().saturating_sub(frames));
    }

    fn grid(&self) -> Grid {
        Grid { frames: self.tile.len(), rows: self.padded.1, columns: self.padded.0 }
    }

    /// The tile as \[3, frames, rows, columns\].
    fn planes(&self) -> Vec<f32> {
        let plane = self.padded.0 * self.padded.1;
        let channel = |c: usize| self.tile.iter().flat_map(move |f| &f[c * plane..(c + 1) * plane]);
        (0..3).flat_map(channel).copied().collect()
    }
}
