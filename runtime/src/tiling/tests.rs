use super::*;

#[test]
fn tiles_cover_everything_and_share_the_overlap() {
    for (size, overlap) in [(4, 2), (1, 0), (5, 2), (32, 0), (6, 3)] {
        let tiles = Tiles::new(size, overlap).unwrap();
        for total in 0..100 {
            let ranges: Vec<_> = tiles.ranges(total).collect();
            assert_eq!(ranges.len(), tiles.count(total));
            assert_eq!(ranges.last().map_or(0, |r| r.end), total);
            for pair in ranges.windows(2) {
                assert_eq!(pair[0].len(), size);
                assert_eq!(pair[1].start + overlap, pair[0].end);
                assert!(pair[0].end < total && pair[1].len() > overlap);
            }
        }
    }
}

#[test]
fn impossible_tiles_are_refused() {
    for (size, overlap) in [(0, 0), (4, 3), (1, 1), (usize::MAX, usize::MAX)] {
        assert!(Tiles::new(size, overlap).is_err(), "{size} {overlap}");
    }
    assert_eq!(Tiles::new(usize::MAX, 0).unwrap().count(usize::MAX), 1);
    for text in ["", "4:", ":2", "4:2:1", "-4", "4.0", "0", "4:3", "99999999999999999999"] {
        assert!(text.parse::<Tiles>().is_err(), "{text}");
    }
    for text in ["4:2", "32"] {
        assert_eq!(text.parse::<Tiles>().unwrap().to_string(), text);
    }
}

/// The formula of the paper with the weights where they belong, computed apart from the streaming code: what frame
/// `f` is when tile `k` gives `tile(k, f)` for it.
fn blended(tiles: Tiles, total: usize, scale: usize, tile: impl Fn(usize, usize) -> f64, f: usize) -> f64 {
    let (stride, n) = ((tiles.size() - tiles.overlap()) * scale, tiles.overlap() * scale);
    let last = tiles.count(total) - 1;
    let k = (f / stride).min(last);
    let j = f - k * stride;
    if k > 0 && j < n {
        let w = j as f64 / n as f64;
        return (1.0 - w) * tile(k - 1, f) + w * tile(k, f);
    }
    tile(k, f)
}

#[test]
fn a_seam_is_the_papers_blend() {
    let made = |k: usize, f: usize| (f as f64 * 0.37).sin() + k as f64;
    for total in 1..=9 {
        let (tiles, scale, frame) = (Tiles::new(4, 2).unwrap(), 8, 3);
        let mut seam = Seam::new(tiles.overlap() * scale, frame);
        let mut out: Vec<f32> = Vec::new();
        let ranges = tiles.ranges(total);
        let count = ranges.len();
        for (k, range) in ranges.enumerate() {
            let frames = range.start * scale..range.end * scale;
            let mut tile: Vec<f32> = frames.flat_map(|f| [made(k, f) as f32; 3]).collect();
            seam.join(&mut tile, k + 1 == count);
            out.extend(tile);
        }
        assert_eq!(out.len(), total * scale * frame);
        for (i, got) in out.iter().enumerate() {
            let want = blended(tiles, total, scale, made, i / frame);
            assert!((f64::from(*got) - want).abs() < 1e-6, "{total} frames, {i}: {got} {want}");
        }
    }
}

#[test]
fn a_seam_without_overlap_gives_the_tiles() {
    let mut seam = Seam::new(0, 2);
    let mut tile = vec![1.0, 2.0, 3.0, 4.0];
    seam.join(&mut tile, false);
    assert_eq!(tile, [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn strips_weigh_every_position_with_one_in_all() {
    for (tiles, total, scale) in [
        (Tiles::new(8, 2).ok(), 29, (8, 1)),
        (Tiles::new(4, 2).ok(), 16, (8, 1)),
        (Tiles::new(64, 16).ok(), 160, (1, 8)),
        (None, 13, (8, 1)),
    ] {
        let mut sum = vec![0.0; total * scale.0 / scale.1];
        for strip in strips(tiles, total, scale) {
            for (i, w) in strip.weights.iter().enumerate() {
                sum[strip.start + i] += w;
            }
        }
        assert!(sum.iter().all(|s| (s - 1.0f32).abs() < 1e-6), "{tiles:?}: {sum:?}");
    }
}

#[test]
fn tiles_beyond_an_axis_are_one_tile_whatever_their_size() {
    let huge = Tiles::new(usize::MAX, usize::MAX / 2).unwrap();
    for scale in [(8, 1), (1, 8)] {
        assert_eq!(strips(Some(huge), 16, scale), strips(None, 16, scale));
    }
    assert_eq!(Tiles::within(Some(huge), 16), Tiles::whole(16));
    assert_eq!(Tiles::within(Tiles::new(4, 2).ok(), 16).count(16), 7);
    let (mut seam, mut tile) = (Seam::new(usize::MAX, 3), vec![1.0; 6]);
    seam.join(&mut tile, true);
    assert_eq!(tile, [1.0; 6]);
}
