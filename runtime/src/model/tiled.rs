//! One half of the autoencoder, run tile by tile.

use std::ops::Range;

use kinograph_backend::{Control, HostTensor};

use super::component::{Component, States, expect};
use super::job::{Grid, zeros};
use crate::Error;
use crate::package::LatentSpec;
use crate::tiling::{Strip, Tiles, strips};

/// Positions of the result for positions of the input, in time, rows and columns: multiplied by the compression, or divided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// A decoder's, not an encoder's.
    up: bool,
    compression: (usize, usize, usize),
    /// Whether the first latent frame of a clip stands for a single frame.
    causal: bool,
}

/// Which part of a clip is meant, for an autoencoder to which the first frame is special.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// The begin of a clip, or all of it.
    Begin,
    /// One that comes after another.
    Later,
}

impl Scale {
    /// A decoder's.
    pub(crate) fn up(latent: &LatentSpec) -> Self {
        Self { up: true, compression: latent.compression, causal: latent.causal }
    }

    /// An encoder's. A part of a latent frame counts as a whole one.
    pub(crate) fn down(latent: &LatentSpec) -> Self {
        Self { up: false, ..Self::up(latent) }
    }

    pub(crate) fn apply(self, grid: Grid, piece: Piece) -> Grid {
        let Grid { frames, rows, columns } = grid;
        let (t, h, w) = self.compression;
        let alone = usize::from(self.causal && piece == Piece::Begin && frames > 0);
        match self.up {
            true => Grid {
                frames: (frames - alone).saturating_mul(t).saturating_add(alone),
                rows: rows.saturating_mul(h),
                columns: columns.saturating_mul(w),
            },
            false => {
                Grid { frames: alone + (frames - alone).div_ceil(t), rows: rows / h, columns: columns / w }
            }
        }
    }

    /// The frames of a piece of video that is fed to a causal encoder, for tiles of `size` frames.
    pub(crate) fn piece_frames(self, size: usize, piece: Piece) -> usize {
        let alone = self.causal && piece == Piece::Begin;
        if alone { size.saturating_sub(self.compression.0 - 1).max(1) } else { size }
    }

    /// How many frames a causal encoder is fed with for so many: it takes no part of a latent frame.
    pub(crate) fn fed_frames(self, frames: usize, piece: Piece) -> usize {
        if !self.causal {
            return frames;
        }
        let alone = usize::from(piece == Piece::Begin && frames > 0);
        alone + (frames - alone).next_multiple_of(self.compression.0)
    }

    fn rows(self) -> (usize, usize) {
        self.ratio(self.compression.1)
    }

    fn columns(self) -> (usize, usize) {
        self.ratio(self.compression.2)
    }

    fn ratio(self, by: usize) -> (usize, usize) {
        if self.up { (by, 1) } else { (1, by) }
    }
}

/// What the tiles of a frame leave for those of the next frames, tile by tile.
pub(super) type Carried = Vec<States>;

/// A component that turns a box of frames into another, and how it is cut.
pub(super) struct Tiled<'a> {
    pub(super) component: &'a Component,
    pub(super) scale: Scale,
    /// Channels of what it reads and what it makes.
    pub(super) channels: (usize, usize),
    /// What it makes, for messages.
    pub(super) gives: &'static str,
    /// Tiles along rows and columns of what it reads.
    pub(super) spatial: (Option<Tiles>, Option<Tiles>),
}

/// Planes \[channels, frames, rows, columns\].
#[derive(Clone, Copy)]
pub(super) struct Planes<'a> {
    pub(super) data: &'a [f32],
    pub(super) grid: Grid,
}

impl Tiled<'_> {
    /// What the component makes of some of the frames: \[frames, channels, rows, columns\]. A piece that comes later needs
    /// what the ones before it carried.
    pub(super) fn run(
        &self,
        input: Planes<'_>,
        frames: Range<usize>,
        piece: Piece,
        carried: &mut Carried,
        control: &Control,
    ) -> Result<Vec<f32>, Error> {
        let grid = self.scale.apply(Grid { frames: frames.len(), ..input.grid }, piece);
        let (rows, columns) = self.strips(input.grid);
        carried.resize_with(rows.len() * columns.len(), States::default);
        if let ([_], [_], [states]) = (&rows[..], &columns[..], &mut carried[..]) {
            let tile = (frames, 0..input.grid.rows, 0..input.grid.columns);
            let made = self.run_tile(input, tile, piece, states, control)?;
            return frame_major(made.as_f32().unwrap_or(&[]), self.channels.1, grid);
        }
        let mut out = zeros(&[grid.frames, self.channels.1, grid.rows, grid.columns])?;
        let tiles = rows.iter().flat_map(|row| columns.iter().map(move |column| (row, column)));
        for ((row, column), states) in tiles.zip(carried) {
            let tile = (frames.clone(), row.input.clone(), column.input.clone());
            let made = self.run_tile(input, tile, piece, states, control)?;
            add_weighted(&mut out, grid, made.as_f32().unwrap_or(&[]), row, column, self.channels.1);
        }
        Ok(out)
    }

    /// What the component makes of all frames, tile after tile and each of them from begin to end:
    /// \[frames, channels, rows, columns\]. `after_run` is called after each run.
    pub(super) fn run_streams(
        &self,
        input: Planes<'_>,
        pieces: Tiles,
        control: &Control,
        mut after_run: impl FnMut() -> Result<(), Error>,
    ) -> Result<Vec<f32>, Error> {
        let whole = self.scale.apply(input.grid, Piece::Begin);
        let mut out = zeros(&[whole.frames, self.channels.1, whole.rows, whole.columns])?;
        let (rows, columns) = self.strips(input.grid);
        for (row, column) in rows.iter().flat_map(|row| columns.iter().map(move |column| (row, column))) {
            let (mut states, mut at) = (States::default(), 0);
            for range in pieces.ranges(input.grid.frames) {
                let piece = if range.start == 0 { Piece::Begin } else { Piece::Later };
                let made = self.scale.apply(Grid { frames: range.len(), ..input.grid }, piece);
                let tile = (range, row.input.clone(), column.input.clone());
                let values = self.run_tile(input, tile, piece, &mut states, control)?;
                let frames = &mut out[at * self.channels.1 * whole.plane()..];
                add_weighted(frames, made, values.as_f32().unwrap_or(&[]), row, column, self.channels.1);
                at += made.frames;
                after_run()?;
            }
        }
        Ok(out)
    }

    /// The number of tiles of a frame.
    pub(super) fn count(&self, grid: Grid) -> usize {
        let (rows, columns) = self.strips(grid);
        rows.len() * columns.len()
    }

    /// Operations of one run over so many frames of a box.
    pub(super) fn flops(&self, grid: Grid, piece: Piece) -> Result<f64, Error> {
        let (rows, columns) = self.strips(grid);
        let mut sum = 0.0;
        for row in &rows {
            for column in &columns {
                let tile = Grid { rows: row.input.len(), columns: column.input.len(), ..grid };
                sum += self.component.flops(sizes(tile, piece))?;
            }
        }
        Ok(sum)
    }

    fn strips(&self, grid: Grid) -> (Vec<Strip>, Vec<Strip>) {
        let rows = strips(self.spatial.0, grid.rows, self.scale.rows());
        (rows, strips(self.spatial.1, grid.columns, self.scale.columns()))
    }

    fn run_tile(
        &self,
        input: Planes<'_>,
        (frames, rows, columns): (Range<usize>, Range<usize>, Range<usize>),
        piece: Piece,
        states: &mut States,
        control: &Control,
    ) -> Result<HostTensor, Error> {
        let name = self.component.name();
        let tile = Grid { frames: frames.len(), rows: rows.len(), columns: columns.len() };
        let executable = self.component.prepare(sizes(tile, piece))?;
        let cut = cut(input, self.channels.0, frames, rows, columns);
        let tensor =
            HostTensor::f32(tile.shape(1, self.channels.0), cut).map_err(|e| Error::tensor(name, e))?;
        let buffer = self.component.upload(tensor)?;
        let made = self.component.run_piece(&*executable, vec![buffer], states, control)?;
        let expected = self.scale.apply(tile, piece).shape(1, self.channels.1);
        expect(name, self.gives, Some(made.desc()), &expected)?;
        Ok(made)
    }
}

/// The sizes of the symbols of either half for a box.
pub(super) fn sizes(grid: Grid, piece: Piece) -> super::component::Sizes {
    let first = usize::from(piece == Piece::Begin);
    vec![("B", 1), ("T", grid.frames), ("H", grid.rows), ("W", grid.columns), ("FIRST", first)]
}

/// A box out of planes.
fn cut(
    input: Planes<'_>,
    channels: usize,
    frames: Range<usize>,
    rows: Range<usize>,
    columns: Range<usize>,
) -> Vec<f32> {
    let grid = input.grid;
    let mut out = Vec::with_capacity(channels * frames.len() * rows.len() * columns.len());
    for channel in 0..channels {
        for frame in frames.clone() {
            for row in rows.clone() {
                let line = ((channel * grid.frames + frame) * grid.rows + row) * grid.columns;
                out.extend_from_slice(&input.data[line + columns.start..line + columns.end]);
            }
        }
    }
    out
}

/// \[channels, frames, plane\] as \[frames, channels, plane\].
fn frame_major(planes: &[f32], channels: usize, grid: Grid) -> Result<Vec<f32>, Error> {
    let plane = grid.plane();
    let mut out = zeros(&[grid.frames, channels, plane])?;
    for (channel, frames) in planes.chunks_exact((grid.frames * plane).max(1)).enumerate() {
        for (frame, values) in frames.chunks_exact(plane.max(1)).enumerate() {
            let at = (frame * channels + channel) * plane;
            out[at..at + plane].copy_from_slice(values);
        }
    }
    Ok(out)
}

/// Adds a tile \[channels, frames, rows, columns\] to \[frames, channels, rows, columns\], weighted.
fn add_weighted(out: &mut [f32], grid: Grid, tile: &[f32], row: &Strip, column: &Strip, channels: usize) {
    let (rows, columns) = (row.weights.len(), column.weights.len());
    for (i, line) in tile.chunks_exact(columns.max(1)).enumerate() {
        let (plane, r) = (i / rows, i % rows);
        let (channel, frame) = (plane / grid.frames, plane % grid.frames);
        let y = (frame * channels + channel) * grid.rows + row.start + r;
        let at = y * grid.columns + column.start;
        for ((x, value), weight) in out[at..at + columns].iter_mut().zip(line).zip(&column.weights) {
            let w = row.weights[r] * weight;
            *x += w * value;
        }
    }
}
