//! The host's arithmetic against its formulas, written anew.

use kinograph::schedule::Schedule;
use kinograph::tiling::Tiles;

use super::{Host, Score};

/// Half the distance from 1 to the next `f32`.
const UNIT: f64 = 1.0 / (1u64 << 24) as f64;

/// Noise: published blocks of the generator, the transform in f64, and that it does not matter who fills which part.
pub(super) fn noise(host: &dyn Host) -> Result<Score, String> {
    known_answers()?;
    let mut score = Score::default();
    for (seed, stream) in [(0, 0), (42, 0), (42, 1), (u64::MAX, 7), (1 << 40, u64::MAX)] {
        let mut whole = vec![0.0f32; 4099];
        host.noise(&mut whole, seed, stream, 0);
        for (i, &found) in whole.iter().enumerate() {
            let exact = normal(seed, stream, i as u64);
            score.add(exact, f64::from(found), UNIT * exact.abs() + 1e-14);
        }
        for (first, length) in [(0, 1), (1, 1), (1, 5), (1000, 2001), (4098, 1)] {
            let mut part = vec![0.0f32; length];
            host.noise(&mut part, seed, stream, first as u64);
            if part != whole[first..first + length] {
                return Err(format!(
                    "seed {seed}: {length} numbers from {first} on differ from those of the whole"
                ));
            }
        }
    }
    moments(host)?;
    Ok(score)
}

/// Blocks that the generator's authors publish: counter, key, result.
fn known_answers() -> Result<(), String> {
    let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
    let answers: [([u32; 4], [u32; 2], [u32; 4]); 3] = [
        ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
        ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
        (pi, [0xa409_3822, 0x299f_31d0], [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]),
    ];
    for (counter, key, due) in answers {
        if philox(counter, key) != due {
            return Err("the suite's own generator is wrong".into());
        }
        let own = kinograph::noise::Philox::new(u64::from(key[1]) << 32 | u64::from(key[0])).block(counter);
        if own != due {
            return Err(format!("Philox of {counter:x?} under {key:x?} is {own:x?}, published is {due:x?}"));
        }
    }
    Ok(())
}

fn philox(mut c: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let (a, b) = (u64::from(c[0]) * 0xd251_1f53, u64::from(c[2]) * 0xcd9e_8d57);
        c = [(b >> 32) as u32 ^ c[1] ^ key[0], b as u32, (a >> 32) as u32 ^ c[3] ^ key[1], a as u32];
        key = [key[0].wrapping_add(0x9e37_79b9), key[1].wrapping_add(0xbb67_ae85)];
    }
    c
}

fn normal(seed: u64, stream: u64, index: u64) -> f64 {
    let halves = |v: u64| [v as u32, (v >> 32) as u32];
    let ([b0, b1], [s0, s1]) = (halves(index / 2), halves(stream));
    let out = philox([b0, b1, s0, s1], halves(seed));
    let unit =
        |low: u32, high: u32| (((u64::from(high) << 32 | u64::from(low)) >> 11) as f64) / (1u64 << 53) as f64;
    let radius = (-2.0 * (unit(out[0], out[1]) + 1.0 / (1u64 << 53) as f64).ln()).sqrt();
    let angle = std::f64::consts::TAU * unit(out[2], out[3]);
    radius * if index.is_multiple_of(2) { angle.cos() } else { angle.sin() }
}

/// Mean 0, variance 1, no skew, kurtosis 3, each within five standard errors.
fn moments(host: &dyn Host) -> Result<(), String> {
    const COUNT: usize = 1 << 18;
    let mut out = vec![0.0f32; COUNT];
    host.noise(&mut out, 2026, 3, 0);
    let moment = |k: i32| out.iter().map(|&x| f64::from(x).powi(k)).sum::<f64>() / COUNT as f64;
    // Variances of the powers of a normal number.
    for (k, due, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0f64)] {
        let found = moment(k);
        if (found - due).abs() > 5.0 * (variance / COUNT as f64).sqrt() {
            return Err(format!("the mean of the power {k} of {COUNT} numbers is {found}, due is {due}"));
        }
    }
    Ok(())
}

/// A schedule against its formula.
pub(super) fn schedule(host: &dyn Host, text: &str, steps: &[usize]) -> Result<Score, String> {
    let schedule: Schedule = text.parse().map_err(|e| format!("{e}"))?;
    let mut score = Score::default();
    for &steps in steps {
        let times = host.times(&schedule, steps)?;
        if times.len() != steps + 1 || times[0] != 0.0 || times[steps] != 1.0 {
            return Err(format!("{steps} steps must have {} times from 0 to 1, found {times:?}", steps + 1));
        }
        for (i, &found) in times.iter().enumerate() {
            let due = time(&schedule, i, steps)?;
            // A handful of operations in f64. A time that is one less a level inherits the level's absolute error.
            let size = match &schedule {
                Schedule::Levels { shift, .. } => shift.max(shift.recip()),
                _ => due,
            };
            score.add(due, found, 8.0 * f64::EPSILON * size);
        }
    }
    Ok(score)
}

/// The time after so many steps: i / n; Movie Gen's linear-quadratic (3.4.2): the first half of the steps as long as those of a
/// linear schedule of N, the other half growing quadratically to 1; s-shifted noise levels; or such that fall to a least one, and
/// then at once to none.
fn time(schedule: &Schedule, i: usize, steps: usize) -> Result<f64, String> {
    let (k, n) = (i as f64, steps as f64);
    Ok(match schedule {
        Schedule::Linear => k / n,
        Schedule::LinearQuadratic { linear_steps_of } => {
            let (of, half) = (f64::from(*linear_steps_of), (steps / 2) as f64);
            let (start, rest, j) = (half / of, n - half, k - half);
            // The quadratic a j^2 + b j + start goes on with the slope of the linear part and ends at 1.
            let a = (1.0 - start - rest / of) / (rest * rest);
            if k <= half { k / of } else { start + j / of + a * j * j }
        }
        Schedule::Shifted { shift } => {
            // One less the noise level s m / (1 + (s - 1) m) at m = 1 - k / n, without the difference that would cancel.
            (k / n) / (1.0 + (shift - 1.0) * (1.0 - k / n))
        }
        Schedule::Levels { .. } if i == steps => 1.0,
        Schedule::Levels { shift, least, open } => {
            let fallen = (1.0 - least) * k / if *open { n } else { (n - 1.0).max(1.0) };
            fallen / (1.0 + (shift - 1.0) * (1.0 - fallen))
        }
        Schedule::Explicit(times) => times[i],
        other => return Err(format!("the suite has no formula for the schedule {other}")),
    })
}

/// Weights of two tiles: `j / N` for the later one of Movie Gen's 3.1.5, and the rest for the earlier.
pub(super) fn blend(host: &dyn Host) -> Result<Score, String> {
    let mut score = Score::default();
    for overlap in 1..=32usize {
        for j in 0..overlap {
            let due = j as f64 / overlap as f64;
            score.add(due, f64::from(host.blend_weight(j, overlap)), UNIT * due);
        }
    }
    Ok(score)
}

/// Tiles cover an axis, neighbours share the overlap, and none is longer than it may be.
pub(super) fn cover(host: &dyn Host) -> Result<Score, String> {
    let mut score = Score::default();
    for (size, overlap) in [(1, 0), (2, 0), (2, 1), (3, 1), (4, 1), (4, 2), (5, 2), (8, 3), (8, 4), (32, 0)] {
        let tiles = Tiles::new(size, overlap).map_err(|e| e.to_string())?;
        for total in 1..=40usize {
            let found = host.tiles(tiles, total);
            let due = covering(size, overlap, total);
            if found != due {
                return Err(format!("tiles {tiles} of {total} are {found:?}, due are {due:?}"));
            }
            score.elements += found.len();
        }
    }
    Ok(score)
}

/// Each tile begins `size - overlap` after the last; the first that reaches the end is the last.
pub(super) fn covering(size: usize, overlap: usize, total: usize) -> Vec<std::ops::Range<usize>> {
    let mut out = Vec::new();
    let mut start = 0;
    loop {
        let end = (start + size).min(total);
        out.push(start..end);
        if end == total {
            return out;
        }
        start += size - overlap;
    }
}
