//! RGB to limited-range YCbCr and back in fixed point, the same on every host.

/// The matrix coefficients of a standard, as 16-bit fixed-point weights of (red, green, blue).
#[derive(Debug)]
pub(super) struct Matrix {
    y: [i32; 3],
    cb: [i32; 3],
    cr: [i32; 3],
}

const ONE: f64 = 65536.0;

impl Matrix {
    /// ITU-R BT.601, what readers take for video that says nothing else.
    pub(super) const BT601: Self = Self::new(0.299, 0.114);
    /// ITU-R BT.709.
    pub(super) const BT709: Self = Self::new(0.2126, 0.0722);

    /// From the luma weights of red and blue.
    const fn new(kr: f64, kb: f64) -> Self {
        let kg = 1.0 - kr - kb;
        // Luma spans 219 steps, chroma 224; chroma is (B - Y) / (2 (1 - kb)) and likewise for red.
        let (luma, blue, red) = (219.0 / 255.0, 112.0 / 255.0 / (1.0 - kb), 112.0 / 255.0 / (1.0 - kr));
        let (cb_r, cb_g) = (fixed(-kr * blue), fixed(-kg * blue));
        let (cr_g, cr_b) = (fixed(-kg * red), fixed(-kb * red));
        Self {
            y: [fixed(kr * luma), fixed(kg * luma), fixed(kb * luma)],
            // The third weight makes the sum zero, so that grey has no colour at all.
            cb: [cb_r, cb_g, -cb_r - cb_g],
            cr: [-cr_g - cr_b, cr_g, cr_b],
        }
    }

    fn luma(&self, rgb: [i32; 3]) -> u8 {
        narrow(16, dot(self.y, rgb), 16)
    }

    /// Chroma of a sum of `2^shift` pixels.
    fn chroma(&self, rgb: [i32; 3], shift: u32) -> (u8, u8) {
        (narrow(128, dot(self.cb, rgb), 16 + shift), narrow(128, dot(self.cr, rgb), 16 + shift))
    }
}

const fn fixed(x: f64) -> i32 {
    (if x < 0.0 { x * ONE - 0.5 } else { x * ONE + 0.5 }) as i32
}

fn dot(weights: [i32; 3], rgb: [i32; 3]) -> i32 {
    weights[0] * rgb[0] + weights[1] * rgb[1] + weights[2] * rgb[2]
}

/// `offset + value / 2^shift`, rounded to nearest and clamped. The weights of [`Matrix`] keep it within a byte anyway.
fn narrow(offset: i32, value: i32, shift: u32) -> u8 {
    let rounded = offset + ((value + (1 << (shift - 1))) >> shift);
    u8::try_from(rounded.clamp(0, 255)).unwrap_or(u8::MAX)
}

/// YCbCr to RGB, as 16-bit fixed-point weights.
#[derive(Debug)]
pub(super) struct Inverse {
    black: i32,
    y: i32,
    /// Of red; red has no blue chroma in it, nor blue any red.
    cr_red: i32,
    cr_green: i32,
    cb_green: i32,
    cb_blue: i32,
}

impl Inverse {
    /// ITU-R BT.601: luma from 16 to 235, chroma from 16 to 240.
    pub(super) const BT601: Self = Self::new(0.299, 0.114, 16, 219.0, 224.0);
    /// The same with all values from 0 to 255, as in JPEG.
    pub(super) const BT601_FULL: Self = Self::new(0.299, 0.114, 0, 255.0, 255.0);

    /// From the luma weights of red and blue, the value of black, and the steps that luma and chroma span.
    const fn new(kr: f64, kb: f64, black: i32, luma: f64, chroma: f64) -> Self {
        let kg = 1.0 - kr - kb;
        let (red, blue) = (2.0 * (1.0 - kr) * 255.0 / chroma, 2.0 * (1.0 - kb) * 255.0 / chroma);
        Self {
            black,
            y: fixed(255.0 / luma),
            cr_red: fixed(red),
            cr_green: fixed(-red * kr / kg),
            cb_green: fixed(-blue * kb / kg),
            cb_blue: fixed(blue),
        }
    }

    /// Red, green and blue; values that no colour has are clamped.
    pub(super) fn rgb(&self, y: u8, cb: u8, cr: u8) -> [u8; 3] {
        let luma = self.y * (i32::from(y) - self.black);
        let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
        [self.cr_red * cr, self.cr_green * cr + self.cb_green * cb, self.cb_blue * cb]
            .map(|colour| narrow(0, luma + colour, 16))
    }
}

/// The three planes of a frame; reused from frame to frame.
#[derive(Debug, Default)]
pub(super) struct Planes {
    pub(super) y: Vec<u8>,
    pub(super) cb: Vec<u8>,
    pub(super) cr: Vec<u8>,
}

impl Planes {
    fn clear(&mut self) {
        self.y.clear();
        self.cb.clear();
        self.cr.clear();
    }

    /// Colour in every pixel.
    pub(super) fn fill_444(&mut self, rgb: &[u8], matrix: &Matrix) {
        self.clear();
        for pixel in pixels(rgb) {
            self.y.push(matrix.luma(pixel));
            let (cb, cr) = matrix.chroma(pixel, 0);
            self.cb.push(cb);
            self.cr.push(cr);
        }
    }

    /// Colour averaged over 2x2 pixels; an odd last column or row counts twice. Chroma planes are half, rounded up.
    pub(super) fn fill_420(&mut self, rgb: &[u8], width: usize, matrix: &Matrix) {
        self.clear();
        self.y.extend(pixels(rgb).map(|pixel| matrix.luma(pixel)));
        let rows: Vec<&[u8]> = rgb.chunks_exact(width * 3).collect();
        for pair in rows.chunks(2) {
            let (top, bottom) = (pair[0], pair[pair.len() - 1]);
            for (a, b) in top.chunks(6).zip(bottom.chunks(6)) {
                let corners = [&a[..3], &a[a.len() - 3..], &b[..3], &b[b.len() - 3..]];
                let sum = [0, 1, 2].map(|c| corners.iter().map(|p| i32::from(p[c])).sum());
                let (cb, cr) = matrix.chroma(sum, 2);
                self.cb.push(cb);
                self.cr.push(cr);
            }
        }
    }
}

fn pixels(rgb: &[u8]) -> impl Iterator<Item = [i32; 3]> {
    rgb.chunks_exact(3).map(|p| [i32::from(p[0]), i32::from(p[1]), i32::from(p[2])])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ycc(rgb: [u8; 3], matrix: &Matrix) -> [u8; 3] {
        let mut planes = Planes::default();
        planes.fill_444(&rgb, matrix);
        [planes.y[0], planes.cb[0], planes.cr[0]]
    }

    #[test]
    fn known_colours() {
        for matrix in [Matrix::BT601, Matrix::BT709] {
            assert_eq!(ycc([0; 3], &matrix), [16, 128, 128]);
            assert_eq!(ycc([255; 3], &matrix), [235, 128, 128]);
            for grey in 0..=255 {
                assert_eq!(ycc([grey; 3], &matrix)[1..], [128, 128]);
            }
        }
        // The colour bars' corners, as the standards tabulate them.
        assert_eq!(ycc([255, 0, 0], &Matrix::BT601), [81, 90, 240]);
        assert_eq!(ycc([0, 255, 0], &Matrix::BT601), [145, 54, 34]);
        assert_eq!(ycc([0, 0, 255], &Matrix::BT601), [41, 240, 110]);
        assert_eq!(ycc([255, 0, 0], &Matrix::BT709), [63, 102, 240]);
        assert_eq!(ycc([0, 255, 0], &Matrix::BT709), [173, 42, 26]);
        assert_eq!(ycc([0, 0, 255], &Matrix::BT709), [32, 240, 118]);
    }

    #[test]
    fn agrees_with_the_real_numbers() {
        for (matrix, kr, kb) in [(Matrix::BT601, 0.299, 0.114), (Matrix::BT709, 0.2126, 0.0722)] {
            for i in 0..4096u32 {
                let rgb =
                    [(i & 15) * 17, (i >> 4 & 15) * 17, (i >> 8) * 17].map(|v| u8::try_from(v).unwrap());
                let [r, g, b] = rgb.map(|v| f64::from(v) / 255.0);
                let y = kr * r + (1.0 - kr - kb) * g + kb * b;
                let want = [
                    16.0 + 219.0 * y,
                    128.0 + 112.0 * (b - y) / (1.0 - kb),
                    128.0 + 112.0 * (r - y) / (1.0 - kr),
                ];
                for (got, want) in ycc(rgb, &matrix).into_iter().zip(want) {
                    assert!((f64::from(got) - want).abs() < 0.51, "{rgb:?}: {got} {want}");
                }
            }
        }
    }

    #[test]
    fn there_and_back() {
        // Each of Y, Cb and Cr is off by at most 0.51 (see above), which the way back multiplies by the sum of its weights
        // and rounds once more.
        let Inverse { y, cr_red, cr_green, cb_green, cb_blue, .. } = Inverse::BT601;
        let weights = [y + cr_red, y - cr_green - cb_green, y + cb_blue].map(|w| f64::from(w) / ONE);
        let bounds = weights.map(|w| (0.51 * w + 0.51).floor() as u8);
        assert_eq!(bounds, [1, 1, 2]);
        for i in 0..32 * 32 * 32u32 {
            let rgb = [i & 31, i >> 5 & 31, i >> 10].map(|v| u8::try_from(v * 255 / 31).unwrap());
            let [y, cb, cr] = ycc(rgb, &Matrix::BT601);
            for ((got, want), bound) in Inverse::BT601.rgb(y, cb, cr).into_iter().zip(rgb).zip(bounds) {
                assert!(got.abs_diff(want) <= bound, "{rgb:?}: {got} {want}");
            }
        }
        assert_eq!(Inverse::BT601_FULL.rgb(0, 128, 128), [0; 3]);
        assert_eq!(Inverse::BT601_FULL.rgb(255, 128, 128), [255; 3]);
        // Red as JPEG has it.
        assert_eq!(Inverse::BT601_FULL.rgb(76, 85, 255), [254, 0, 0]);
        assert_eq!(Inverse::BT601.rgb(0, 0, 0), [0, 136, 0]);
        assert_eq!(Inverse::BT601.rgb(255, 255, 255), [255, 125, 255]);
    }

    #[test]
    fn halved_chroma_of_odd_sizes() {
        let mut planes = Planes::default();
        let rgb: Vec<u8> = (0..3 * 3 * 3).map(|i| i * 9).collect();
        planes.fill_420(&rgb, 3, &Matrix::BT709);
        assert_eq!((planes.y.len(), planes.cb.len(), planes.cr.len()), (9, 4, 4));
        let mut corner = Planes::default();
        corner.fill_444(&rgb[24..], &Matrix::BT709);
        assert_eq!((planes.cb[3], planes.cr[3]), (corner.cb[0], corner.cr[0]));
        planes.fill_420(&rgb[..3], 1, &Matrix::BT709);
        assert_eq!((planes.y.len(), planes.cb.len()), (1, 1));
    }
}
