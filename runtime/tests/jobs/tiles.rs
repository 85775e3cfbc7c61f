//! The autoencoder in tiles, against tiles run one by one and blended here by the formula.

use std::ops::ControlFlow;

use kinograph::media::{FrameRate, FrameSource, MediaError};
use kinograph::tiling::Tiles;
use kinograph::{CodecOptions, HostTensor, Model, Progress, Request};

use crate::common::flipbook;

fn quiet(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Frames in memory as a source.
struct Clip {
    frames: Vec<Vec<u8>>,
    size: (usize, usize),
    at: usize,
}

impl FrameSource for Clip {
    fn width(&self) -> usize {
        self.size.0
    }

    fn height(&self) -> usize {
        self.size.1
    }

    fn rate(&self) -> Option<FrameRate> {
        None
    }

    fn frames(&self) -> Option<usize> {
        None
    }

    fn next_frame(&mut self, rgb: &mut Vec<u8>) -> Result<bool, MediaError> {
        let Some(frame) = self.frames.get(self.at) else { return Ok(false) };
        rgb.clear();
        rgb.extend_from_slice(frame);
        self.at += 1;
        Ok(true)
    }
}

fn clip(frames: &[Vec<u8>], size: (usize, usize)) -> Clip {
    Clip { frames: frames.to_vec(), size, at: 0 }
}

fn decode(model: &Model, latents: &HostTensor, options: &CodecOptions) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let take = |frame: &[u8]| {
        frames.push(frame.to_vec());
        Ok(())
    };
    model.decode(latents, options, take, quiet).unwrap_or_else(|e| panic!("{e}"));
    frames
}

fn encode(model: &Model, frames: &[Vec<u8>], size: (usize, usize)) -> HostTensor {
    let made = model.encode(&mut clip(frames, size), &CodecOptions::new(), quiet);
    made.unwrap_or_else(|e| panic!("{e}")).latents
}

/// A box of latents \[1, channels, frames, rows, columns\].
fn part(z: &HostTensor, frames: [usize; 2], rows: [usize; 2], columns: [usize; 2]) -> HostTensor {
    let [_, c, t, h, w] = z.desc().shape[..] else { panic!() };
    let values = z.as_f32().unwrap();
    let mut out = Vec::new();
    for channel in 0..c {
        for frame in frames[0]..frames[1] {
            for row in rows[0]..rows[1] {
                let line = ((channel * t + frame) * h + row) * w;
                out.extend_from_slice(&values[line + columns[0]..line + columns[1]]);
            }
        }
    }
    let shape = [1, c, frames[1] - frames[0], rows[1] - rows[0], columns[1] - columns[0]];
    HostTensor::f32(shape, out).unwrap()
}

/// A real clip's latents: 48 frames are 6 latent frames.
fn sampled(model: &Model) -> HostTensor {
    let request = Request::new("a red circle moves left").frames(48).steps(8).seed(2);
    model.sample(&request, quiet).unwrap()
}

/// Bytes as the blend of bytes may differ from the blend of numbers by their rounding.
const ROUNDING: f64 = 1.01;

#[test]
fn a_decoded_clip_is_the_blend_of_its_tiles_at_every_length() {
    let model = flipbook();
    let z = sampled(&model);
    let whole = CodecOptions::new().tiles(Tiles::new(64, 0).unwrap());
    let full = |range: [usize; 2]| decode(&model, &part(&z, range, [0, 8], [0, 8]), &whole);
    for length in 1..=6 {
        // The package's tiles: 4 latent frames, 2 of them shared.
        let ranges: Vec<[usize; 2]> = match length {
            5 | 6 => vec![[0, 4], [2, length]],
            _ => vec![[0, length]],
        };
        let tiles: Vec<Vec<Vec<u8>>> = ranges.iter().map(|r| full(*r)).collect();
        let z = part(&z, [0, length], [0, 8], [0, 8]);
        let made = decode(&model, &z, &CodecOptions::new());
        assert_eq!(made.len(), 8 * length);
        for (f, frame) in made.iter().enumerate() {
            // The later tile starts at frame 16 and is blended in over 16 frames.
            let w = if tiles.len() > 1 { ((f as f64 - 16.0) / 16.0).clamp(0.0, 1.0) } else { 0.0 };
            for (i, &got) in frame.iter().enumerate() {
                let earlier = tiles[0].get(f).map_or(0.0, |t| f64::from(t[i]));
                let later =
                    tiles.get(1).and_then(|t| t.get(f.wrapping_sub(16))).map_or(0.0, |t| f64::from(t[i]));
                let want = (1.0 - w) * earlier + w * later;
                assert!((f64::from(got) - want).abs() <= ROUNDING, "{length}: frame {f}: {got} {want}");
            }
        }
    }
}

#[test]
fn every_number_of_frames_is_right() {
    let model = flipbook();
    let z = sampled(&model);
    let all = decode(&model, &z, &CodecOptions::new());
    for frames in 1..=40 {
        let latent = part(&z, [0, usize::div_ceil(frames, 8)], [0, 8], [0, 8]);
        let made = decode(&model, &latent, &CodecOptions::new().frames(frames));
        assert_eq!(made.len(), frames);
        if latent.desc().shape[2] >= 4 {
            assert!(made[..16] == all[..16], "{frames}: the first tile does not know what comes");
        }
    }
    let refused = model.decode(&z, &CodecOptions::new().frames(49), |_| Ok(()), quiet);
    assert!(refused.unwrap_err().to_string().contains("49 frames"));
}

/// Across tile borders a clip changes no more than it does inside of tiles.
#[test]
fn no_seam_shows_in_time() {
    let model = flipbook();
    let made = decode(&model, &sampled(&model), &CodecOptions::new());
    let change = |f: usize| {
        let pair = made[f].iter().zip(&made[f - 1]);
        pair.map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / made[f].len() as f64
    };
    // The second tile begins at frame 16, and from frame 32 on stands alone.
    let borders = [16, 32];
    let inside: Vec<f64> = (1..48).filter(|f| !borders.contains(f)).map(change).collect();
    let most = inside.iter().copied().fold(0.0, f64::max);
    for border in borders {
        assert!(change(border) <= most, "frame {border}: {} of {most}", change(border));
    }
}

#[test]
fn spatial_tiles_are_blended_by_their_weights() {
    let model = flipbook();
    let request = Request::new("a blue square moves up").frames(8).size(96, 64).steps(6);
    let z = model.sample(&request, quiet).unwrap();
    let (size, overlap) = (8, 4);
    let options = CodecOptions::new().spatial_tiles(Tiles::new(size, overlap).unwrap());
    let made = decode(&model, &z, &options);
    // 8 rows are one tile; 12 columns are two: 0..8 and 4..12, which share 4 (32 pixels).
    let tiles: Vec<_> = [[0, 8], [4, 12]]
        .map(|columns| decode(&model, &part(&z, [0, 1], [0, 8], columns), &CodecOptions::new()))
        .into();
    for (f, frame) in made.iter().enumerate() {
        for (i, &got) in frame.iter().enumerate() {
            let (y, x, c) = (i / 3 / 96, i / 3 % 96, i % 3);
            let w = ((x as f64 - 32.0) / 32.0).clamp(0.0, 1.0);
            let at = |tile: usize, x: usize| f64::from(tiles[tile][f][(y * 64 + x) * 3 + c]);
            let earlier = if x < 64 { at(0, x) } else { 0.0 };
            let later = if x >= 32 { at(1, x - 32) } else { 0.0 };
            let want = (1.0 - w) * earlier + w * later;
            assert!((f64::from(got) - want).abs() <= ROUNDING, "{f}: {x},{y}: {got} {want}");
        }
    }
}

#[test]
fn a_video_is_encoded_in_tiles_and_comes_back() {
    let model = flipbook();
    let frames = decode(&model, &sampled(&model), &CodecOptions::new());
    // Tiles of 32 frames without overlap: each is encoded as it would be alone.
    let z = encode(&model, &frames[..45], (64, 64));
    assert_eq!(z.desc().shape, [1, 16, 6, 8, 8]);
    for (range, latent) in [([0, 32], [0, 4]), ([32, 45], [4, 6])] {
        let alone = encode(&model, &frames[range[0]..range[1]], (64, 64));
        assert!(alone == part(&z, latent, [0, 8], [0, 8]), "{range:?}");
    }
    let again = decode(&model, &z, &CodecOptions::new().frames(45));
    let squares = frames.iter().zip(&again).flat_map(|(a, b)| a.iter().zip(b));
    let error: f64 =
        squares.map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum::<f64>() / (45.0 * 64.0 * 64.0 * 3.0);
    assert!(error < 255.0f64.powi(2) / 1000.0, "better than 30 dB: {error}");
}

#[test]
fn odd_sizes_are_padded_and_cut() {
    let model = flipbook();
    let frames: Vec<Vec<u8>> = (0..3).map(|f| vec![40 * f as u8; 27 * 19 * 3]).collect();
    let made = model.encode(&mut clip(&frames, (27, 19)), &CodecOptions::new(), quiet).unwrap();
    assert_eq!((made.frames, made.size), (3, (27, 19)));
    assert_eq!(made.latents.desc().shape, [1, 16, 1, 3, 4]);
    let again = decode(&model, &made.latents, &CodecOptions::new().frames(3).size(27, 19));
    assert!(again.iter().all(|f| f.len() == 27 * 19 * 3) && again.len() == 3);
    let none = model.encode(&mut clip(&[], (16, 16)), &CodecOptions::new(), quiet);
    assert!(none.unwrap_err().to_string().contains("no frames"));
    let short = model.encode(&mut clip(&[vec![0; 5]], (27, 19)), &CodecOptions::new(), quiet).unwrap_err();
    assert!(short.to_string().contains("1 frames of 19x27 RGB need 1539 values, there are 5"), "{short}");
    assert!(model.encode(&mut clip(&[vec![]], (0, 0)), &CodecOptions::new(), quiet).is_err());
    let odd = CodecOptions::new().tiles(Tiles::new(12, 4).unwrap());
    let refused = model.encode(&mut clip(&frames, (27, 19)), &odd, quiet);
    assert!(refused.unwrap_err().to_string().contains("multiples of 8"));
}
