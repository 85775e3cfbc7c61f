//! The AV1 level a video needs, so that players know beforehand whether they can keep up.

use super::FrameRate;

/// `(index, most pixels, widest, tallest, most pixels shown a second)`, AV1 specification, annex A.3.
const LEVELS: [(u8, usize, usize, usize, u64); 13] = [
    (0, 147_456, 2048, 1152, 4_423_680),
    (1, 278_784, 2816, 1584, 8_363_520),
    (4, 665_856, 4352, 2448, 19_975_680),
    (5, 1_065_024, 5504, 3096, 31_950_720),
    (8, 2_359_296, 6144, 3456, 70_778_880),
    (9, 2_359_296, 6144, 3456, 141_557_760),
    (12, 8_912_896, 8192, 4352, 267_386_880),
    (13, 8_912_896, 8192, 4352, 534_773_760),
    (14, 8_912_896, 8192, 4352, 1_069_547_520),
    (16, 35_651_584, 16_384, 8704, 1_069_547_520),
    (17, 35_651_584, 16_384, 8704, 2_139_095_040),
    (18, 35_651_584, 16_384, 8704, 4_278_190_080),
    (19, 35_651_584, 16_384, 8704, 4_278_190_080),
];

/// The lowest level that holds such a video; none (the encoder then says "no limit") if it is beyond all.
pub(super) fn level(width: usize, height: usize, rate: FrameRate) -> Option<u8> {
    let pixels = width.checked_mul(height)?;
    let (n, d) = (u128::from(rate.numerator()), u128::from(rate.denominator()));
    let shown = u128::try_from(pixels).ok()?.checked_mul(n)?.div_ceil(d);
    let fits = |l: &&(u8, usize, usize, usize, u64)| {
        pixels <= l.1 && width <= l.2 && height <= l.3 && shown <= u128::from(l.4)
    };
    LEVELS.iter().find(fits).map(|l| l.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sizes() {
        let at = |w, h, fps| level(w, h, FrameRate::new(fps, 1).unwrap());
        assert_eq!(at(64, 64, 16), Some(0));
        assert_eq!(at(768, 768, 16), Some(4));
        assert_eq!(at(1920, 1080, 30), Some(8));
        assert_eq!(at(1920, 1080, 60), Some(9));
        assert_eq!(at(3840, 2160, 60), Some(13));
        assert_eq!(at(16, 60_000, 1), None);
    }
}
