//! What the autoencoder needs, and the tiles that make it need less.

use super::{Part, StagePlan, bytes};
use crate::Error;
use crate::model::codec::{CodecPlan, in_pixels, piece_of};
use crate::model::job::Grid;
use crate::model::tiled::{self, Piece, Scale};
use crate::package::Manifest;
use crate::progress::Stage;
use crate::tiling::Tiles;

/// Square tiles of a frame, each about half the last, with a quarter of overlap; down to 8 latent rows and columns.
pub(super) fn smaller_tiles(grid: Grid) -> impl Iterator<Item = Tiles> {
    let sides = std::iter::successors(Some(grid.rows.max(grid.columns)), |side| Some(side.div_ceil(2)));
    let even = sides.skip(1).map(|side| side.next_multiple_of(4)).take_while(|&side| side >= 8);
    let mut last = usize::MAX;
    even.take_while(move |&side| std::mem::replace(&mut last, side) > side)
        .filter_map(|side| Tiles::new(side, side / 4).ok())
}

/// One half of the autoencoder over a clip of what it reads.
pub(super) fn codec_stage(
    part: &Part<'_>,
    manifest: &Manifest,
    stage: Stage,
    grid: Grid,
    plan: CodecPlan,
) -> Result<StagePlan, Error> {
    let (_, ch, cw) = manifest.latent.compression;
    let encodes = stage == Stage::Encode;
    let spatial = if encodes { in_pixels(plan.spatial, (ch, cw)) } else { (plan.spatial, plan.spatial) };
    let side = |tiles: Option<Tiles>, total: usize| {
        tiles.map_or((total, 1), |t| (t.size().min(total), t.count(total)))
    };
    let fed = if encodes {
        Scale::down(&manifest.latent).fed_frames(grid.frames, Piece::Begin)
    } else {
        grid.frames
    };
    let (frames, in_time) = side(plan.temporal, fed);
    let (rows, down) = side(spatial.0, grid.rows);
    let (columns, across) = side(spatial.1, grid.columns);
    let tile = Grid { frames, rows, columns };
    // Shorter last tiles along each axis are compiled apart.
    let kinds = [in_time, down, across].iter().map(|&n| if n > 1 { 2 } else { 1 }).product();
    let piece = piece_of(in_time);
    let sizes = tiled::sizes(tile, piece);
    let mut row = part.stage(stage, &sizes, &sizes, kinds)?;
    row.tiles = in_time * down * across;
    row.forwards = Some(row.tiles as u64);
    // The tile as it comes from the device and as frames, the frames of the tile before that are still to be blended, and
    // what it is made of.
    let pixels = |g: Grid| bytes(&g.shape(1, 3));
    let latents = |g: Grid| bytes(&g.shape(1, manifest.latent.channels));
    let whole = Grid { frames, ..grid };
    row.host = match encodes {
        true => pixels(whole).saturating_mul(3).saturating_add(pixels(tile)),
        false => {
            let up = |g: Grid| Scale::up(&manifest.latent).apply(g, piece);
            let tail = plan.temporal.map_or(0, |t| t.overlap().min(frames));
            let shared = Grid { frames: tail, ..whole };
            let clip = latents(grid).saturating_mul(2);
            let tiles = [latents(tile), pixels(up(tile)), pixels(up(whole)), pixels(up(shared))];
            tiles.into_iter().fold(clip, u64::saturating_add)
        }
    };
    // What each tile carries to the next piece; what a run leaves is an output of it, and counted there.
    let (carried, kept) = part.blueprint.carried_bytes(&sizes)?;
    // What a piece is made of is given to it, but for states that it does not change.
    row.memory.run -= row.memory.reused.saturating_sub(kept);
    let streams = carried > 0 && plan.spatial.is_some() && !encodes;
    row.host = row.host.saturating_add(match streams {
        // Tile after tile through the whole clip, whose frames wait.
        true => carried.saturating_add(pixels(Scale::up(&manifest.latent).apply(grid, Piece::Begin))),
        false => carried.saturating_mul((down * across) as u64),
    });
    Ok(row)
}
