//! Tiles of long clips and large frames, and how what is made of them is blended.
//!
//! An autoencoder works on one tile at a time, so that its memory does not grow with the clip. Neighbouring tiles overlap,
//! and over the overlap their results are mixed by weights that go linearly from one to the other (Movie Gen, 3.1.5):
//! of `N` overlapping positions, `j = 0..N-1`, the later tile has `j/N` and the earlier one the rest.
//!
//! ```
//! use kinograph::tiling::Tiles;
//!
//! // Movie Gen's decoder: 4 latent frames a tile, 2 of them shared with the next. 256 frames are 32 latent ones.
//! let tiles = Tiles::new(4, 2)?;
//! assert_eq!(tiles.count(32), 15);
//! assert_eq!(tiles.ranges(7).collect::<Vec<_>>(), [0..4, 2..6, 4..7]);
//! # Ok::<(), kinograph::tiling::TilingError>(())
//! ```

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// Tiles along one axis: their size, and how much each shares with the next. As text `4:2`, or `4` without overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
pub struct Tiles {
    size: usize,
    overlap: usize,
}

/// As it stands in `model.toml`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(alias = "frames")]
    size: usize,
    overlap: usize,
}

/// Tiles that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TilingError {
    /// A text of another form.
    #[error("tiles \"{0}\": write a size, or a size and an overlap, for example 4 or 4:2")]
    BadText(String),
    /// Sizes that do not go together.
    #[error(
        "tiles of {size} with an overlap of {overlap}: a tile has 1 or more, and at most half of it may overlap"
    )]
    BadSizes {
        /// The size.
        size: usize,
        /// The overlap.
        overlap: usize,
    },
}

impl fmt::Display for Tiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.overlap {
            0 => self.size.fmt(f),
            overlap => write!(f, "{}:{overlap}", self.size),
        }
    }
}

impl FromStr for Tiles {
    type Err = TilingError;

    fn from_str(text: &str) -> Result<Self, TilingError> {
        let number = |part: &str| part.parse().map_err(|_| TilingError::BadText(text.to_owned()));
        match text.split_once(':') {
            Some((size, overlap)) => Self::new(number(size)?, number(overlap)?),
            None => Self::new(number(text)?, 0),
        }
    }
}

impl TryFrom<Raw> for Tiles {
    type Error = TilingError;

    fn try_from(raw: Raw) -> Result<Self, TilingError> {
        Self::new(raw.size, raw.overlap)
    }
}

impl From<Tiles> for Raw {
    fn from(tiles: Tiles) -> Self {
        Self { size: tiles.size, overlap: tiles.overlap }
    }
}

impl Tiles {
    /// Tiles of `size` of which `overlap` are shared with the next.
    ///
    /// # Errors
    /// [`TilingError::BadSizes`] for a size of 0, or when more than half overlaps: three tiles would then meet.
    pub fn new(size: usize, overlap: usize) -> Result<Self, TilingError> {
        if size == 0 || overlap > size / 2 {
            return Err(TilingError::BadSizes { size, overlap });
        }
        Ok(Self { size, overlap })
    }

    /// One tile for a whole axis.
    pub(crate) fn whole(total: usize) -> Self {
        Self { size: total.max(1), overlap: 0 }
    }

    /// These tiles, or one for a whole axis that none of them is shorter than: so sizes that a caller chose never go into
    /// arithmetic as they are.
    pub(crate) fn within(tiles: Option<Self>, total: usize) -> Self {
        tiles.filter(|tiles| tiles.size < total).unwrap_or(Self::whole(total))
    }

    /// The size of a tile; the last may be shorter.
    pub fn size(self) -> usize {
        self.size
    }

    /// How much a tile shares with the next.
    pub fn overlap(self) -> usize {
        self.overlap
    }

    /// The number of tiles that cover `total`.
    pub fn count(self, total: usize) -> usize {
        match total {
            0 => 0,
            total => 1 + total.saturating_sub(self.size).div_ceil(self.stride()),
        }
    }

    /// The tiles that cover `0..total`. Each starts one stride after the last one; the first that reaches the end is the
    /// last, and is longer than the overlap.
    pub fn ranges(self, total: usize) -> impl ExactSizeIterator<Item = Range<usize>> {
        (0..self.count(total)).map(move |k| {
            let start = k * self.stride();
            start..total.min(start.saturating_add(self.size))
        })
    }

    fn stride(self) -> usize {
        self.size - self.overlap
    }
}

/// The weight of the later of two tiles at a position of the positions that they share.
pub fn weight(position: usize, overlap: usize) -> f32 {
    position as f32 / overlap as f32
}

/// Joins tiles along time. Frames come out as soon as no later tile can change them.
#[derive(Debug)]
pub(crate) struct Seam {
    /// Frames that neighbouring tiles share.
    overlap: usize,
    /// Numbers of a frame.
    frame: usize,
    /// The last frames of the tile before, already weighted.
    tail: Vec<f32>,
}

impl Seam {
    /// For frames of so many numbers.
    pub(crate) fn new(overlap: usize, frame: usize) -> Self {
        Self { overlap, frame, tail: Vec::new() }
    }

    /// Takes the next tile, frame after frame, and leaves in it the frames that are finished.
    pub(crate) fn join(&mut self, tile: &mut Vec<f32>, last: bool) {
        let shared = self.overlap.saturating_mul(self.frame);
        let frames = tile.chunks_exact_mut(self.frame.max(1)).zip(self.tail.chunks_exact(self.frame.max(1)));
        for (j, (later, earlier)) in frames.enumerate() {
            let w = weight(j, self.overlap);
            later.iter_mut().zip(earlier).for_each(|(x, e)| *x = *e + w * *x);
        }
        self.tail.clear();
        if last || shared == 0 {
            return;
        }
        self.tail.extend_from_slice(&tile[tile.len().saturating_sub(shared)..]);
        tile.truncate(tile.len().saturating_sub(shared));
        for (j, frame) in self.tail.chunks_exact_mut(self.frame.max(1)).enumerate() {
            let w = 1.0 - weight(j, self.overlap);
            frame.iter_mut().for_each(|x| *x *= w);
        }
    }
}

/// A tile along one axis of a frame, with the weight of each of its positions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Strip {
    /// What the component reads.
    pub(crate) input: Range<usize>,
    /// Where its result begins.
    pub(crate) start: usize,
    /// The weight of each position of the result.
    pub(crate) weights: Vec<f32>,
}

/// The tiles along one axis of a frame of `total` positions, in whose results a position stands for `up / down` of the input.
/// The whole axis is one strip when there are no tiles. Sizes and overlaps are multiples of `down`.
pub(crate) fn strips(tiles: Option<Tiles>, total: usize, (up, down): (usize, usize)) -> Vec<Strip> {
    let tiles = Tiles::within(tiles, total);
    let overlap = tiles.overlap * up / down;
    let count = tiles.count(total);
    let strip = |(k, input): (usize, Range<usize>)| {
        let length = input.len() * up / down;
        let weights = (0..length).map(|i| {
            let rising = if k > 0 && i < overlap { weight(i, overlap) } else { 1.0 };
            let falling = match (i + overlap).checked_sub(length) {
                Some(j) if k + 1 < count => 1.0 - weight(j, overlap),
                _ => 1.0,
            };
            rising * falling
        });
        Strip { start: input.start * up / down, weights: weights.collect(), input }
    };
    tiles.ranges(total).enumerate().map(strip).collect()
}
