//! Gaussian noise that is the same on every host, thread count and tile order.
//!
//! The noise at index `i` of stream `s` under seed `k` is a pure function of `(k, s, i)`: a counter-based generator
//! (Philox 4x32-10; Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) turned into normals by the
//! Box-Muller transform. There is no state to advance, so any part of a latent may be filled by anybody in any order.
//!
//! The transform uses integers and the IEEE-exact `f64` operations `+ - * / sqrt` only: the platform's `ln`, `sin` and
//! `cos` differ in their last bits between hosts, so this module carries its own (see `transform`). Results are rounded to
//! `f32` once, at the end.
//!
//! ```
//! use kinograph::noise::{fill_normal, fill_normal_at, normal};
//!
//! let mut whole = [0.0; 8];
//! fill_normal(&mut whole, 42, 0);
//! let mut tail = [0.0; 3];
//! fill_normal_at(&mut tail, 42, 0, 5);
//! assert_eq!(tail, whole[5..]);
//! assert_eq!(normal(42, 0, 5), whole[5]);
//! ```

mod transform;

pub(crate) use transform::ln;

#[cfg(test)]
mod tests;

/// Multipliers of the two halves of a round (the paper, table 2).
const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// What the two key words grow by after each round: the golden ratio, and sqrt(3) - 1.
const KEY_STEPS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
/// Ten rounds are the published variant; seven already pass BigCrush, three are margin.
const ROUNDS: u32 = 10;

/// Philox 4x32-10: four random words from a 128-bit counter under a 64-bit key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Philox {
    key: [u32; 2],
}

impl Philox {
    /// A generator whose key is the seed, low word first.
    pub const fn new(seed: u64) -> Self {
        Self { key: words(seed) }
    }

    /// The four words of one counter value, least significant counter word first.
    pub const fn block(&self, counter: [u32; 4]) -> [u32; 4] {
        let mut c = counter;
        let mut key = self.key;
        let mut round = 0;
        while round < ROUNDS {
            let p0 = words(widening_mul(MULTIPLIERS[0], c[0]));
            let p1 = words(widening_mul(MULTIPLIERS[1], c[2]));
            c = [p1[1] ^ c[1] ^ key[0], p1[0], p0[1] ^ c[3] ^ key[1], p0[0]];
            key = [key[0].wrapping_add(KEY_STEPS[0]), key[1].wrapping_add(KEY_STEPS[1])];
            round += 1;
        }
        c
    }

    /// Two 64-bit words for block `block` of stream `stream`.
    ///
    /// The counter's low half is the block and its high half the stream, so no two streams of one seed ever meet.
    pub const fn pair(&self, stream: u64, block: u64) -> [u64; 2] {
        let (b, s) = (words(block), words(stream));
        let out = self.block([b[0], b[1], s[0], s[1]]);
        [join(out[0], out[1]), join(out[2], out[3])]
    }

    /// The standard normals of indices `2 * block` and `2 * block + 1` of a stream.
    pub fn normal_pair(&self, stream: u64, block: u64) -> [f32; 2] {
        let [radius, angle] = self.pair(stream, block);
        transform::box_muller(radius, angle)
    }
}

const fn widening_mul(a: u32, b: u32) -> u64 {
    a as u64 * b as u64
}

/// A 64-bit value as its low and high word.
const fn words(x: u64) -> [u32; 2] {
    [(x & 0xFFFF_FFFF) as u32, (x >> 32) as u32]
}

const fn join(low: u32, high: u32) -> u64 {
    (high as u64) << 32 | low as u64
}

/// The standard normal (mean 0, variance 1) at `index` of `stream` under `seed`.
///
/// Always finite, of magnitude at most 8.58. To fill a slice, [`fill_normal`] does half the work.
pub fn normal(seed: u64, stream: u64, index: u64) -> f32 {
    let pair = Philox::new(seed).normal_pair(stream, index / 2);
    if index.is_multiple_of(2) { pair[0] } else { pair[1] }
}

/// Fills `out` with the standard normals of indices `0..out.len()`: `out[i] = normal(seed, stream, i)`.
pub fn fill_normal(out: &mut [f32], seed: u64, stream: u64) {
    fill_normal_at(out, seed, stream, 0);
}

/// Fills `out` with the standard normals from index `first` on: `out[i] = normal(seed, stream, first + i)`.
///
/// This is what a tile or a thread calls for its own part of a latent. Indices wrap around at 2^64.
pub fn fill_normal_at(out: &mut [f32], seed: u64, stream: u64, first: u64) {
    let generator = Philox::new(seed);
    let mut index = first;
    let (head, rest) = out.split_at_mut(if first.is_multiple_of(2) { 0 } else { out.len().min(1) });
    for x in head {
        *x = generator.normal_pair(stream, index / 2)[1];
        index = index.wrapping_add(1);
    }
    for chunk in rest.chunks_mut(2) {
        let pair = generator.normal_pair(stream, index / 2);
        chunk.copy_from_slice(&pair[..chunk.len()]);
        index = index.wrapping_add(2);
    }
}
