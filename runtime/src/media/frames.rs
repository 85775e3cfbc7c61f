//! A clip in memory.

use super::MediaError;

/// A clip of 8-bit RGB frames, all of one size, never empty.
///
/// Layout: frame, row from the top, column, then red, green, blue (`[T, H, W, 3]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frames {
    data: Vec<u8>,
    frames: usize,
    height: usize,
    width: usize,
}

impl Frames {
    /// Frames from `frames * height * width * 3` bytes.
    ///
    /// # Errors
    /// [`MediaError::BadFrames`] if a size is zero or the data has another length.
    pub fn new(data: Vec<u8>, frames: usize, height: usize, width: usize) -> Result<Self, MediaError> {
        check_count(data.len(), frames, height, width)?;
        Ok(Self { data, frames, height, width })
    }

    /// Frames from a model's output: `[3, T, H, W]` planes of `f32`, -1 black to 1 full.
    ///
    /// See [`to_u8`](Self::to_u8) for the conversion.
    ///
    /// # Errors
    /// [`MediaError::BadFrames`] if a size is zero or the data has another length.
    pub fn from_planar(
        planes: &[f32],
        frames: usize,
        height: usize,
        width: usize,
    ) -> Result<Self, MediaError> {
        check_count(planes.len(), frames, height, width)?;
        let mut data = vec![0; planes.len()];
        interleave(planes, &mut data);
        Ok(Self { data, frames, height, width })
    }

    /// One value as a byte: `(x + 1) * 127.5` in `f32`, rounded half to even, clamped to 0..=255; NaN is 0.
    ///
    /// Each step is exact IEEE arithmetic, so all hosts agree.
    pub fn to_u8(x: f32) -> u8 {
        // `as` saturates and takes NaN to 0, as is wanted.
        ((x + 1.0) * 127.5).round_ties_even() as u8
    }

    /// Number of frames, at least 1.
    pub fn len(&self) -> usize {
        self.frames
    }

    /// Always false: a clip has at least one frame.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Pixels down.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Pixels across.
    pub fn width(&self) -> usize {
        self.width
    }

    /// All bytes, `[T, H, W, 3]`.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The frames in order, `[H, W, 3]` each.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.data.chunks_exact(self.data.len() / self.frames)
    }
}

/// Converts three planes of equal length, one after another, into interleaved bytes of the same count.
///
/// Also works for one frame of `[3, H, W]`; with a length not divisible by 3 the last values are left out.
pub(super) fn interleave(planes: &[f32], out: &mut [u8]) {
    let plane = planes.len() / 3;
    let (red, rest) = planes.split_at(plane);
    let (green, blue) = rest.split_at(plane);
    for (pixel, ((r, g), b)) in out.chunks_exact_mut(3).zip(red.iter().zip(green).zip(blue)) {
        pixel.copy_from_slice(&[Frames::to_u8(*r), Frames::to_u8(*g), Frames::to_u8(*b)]);
    }
}

/// The upper left `width` by `height` pixels of a frame of planes \[3, rows, columns\], interleaved.
pub(crate) fn frame_of_planes(planes: &[f32], columns: usize, width: usize, height: usize) -> Vec<u8> {
    let plane = planes.len() / 3;
    let mut out = Vec::with_capacity(width * height * 3);
    for row in 0..height {
        let line = row * columns..row * columns + width;
        out.extend(line.flat_map(|i| [i, i + plane, i + 2 * plane]).map(|i| Frames::to_u8(planes[i])));
    }
    out
}

/// A frame of interleaved bytes as planes \[3, rows, columns\] of `byte / 127.5 - 1`, its last row and column repeated up
/// to that size.
pub(crate) fn planes_of_frame(rgb: &[u8], width: usize, (columns, rows): (usize, usize)) -> Vec<f32> {
    let height = rgb.len() / (3 * width).max(1);
    let mut out = Vec::with_capacity(3 * rows * columns);
    for channel in 0..3 {
        for row in 0..rows {
            let line = row.min(height - 1) * width;
            let value = |column: usize| rgb[(line + column.min(width - 1)) * 3 + channel];
            out.extend((0..columns).map(|column| f32::from(value(column)) / 127.5 - 1.0));
        }
    }
    out
}

/// Bytes of an RGB frame; none if a size is zero or the count does not fit memory.
pub(super) fn frame_bytes(height: usize, width: usize) -> Option<usize> {
    let bytes = height.checked_mul(width)?.checked_mul(3)?;
    (bytes > 0 && isize::try_from(bytes).is_ok()).then_some(bytes)
}

/// Refuses bytes that are not so many frames of that size.
pub(crate) fn check_count(got: usize, frames: usize, height: usize, width: usize) -> Result<(), MediaError> {
    let need = frame_bytes(height, width).and_then(|bytes| bytes.checked_mul(frames));
    match need {
        Some(n) if n == got && n > 0 => Ok(()),
        _ => Err(MediaError::BadFrames { frames, height, width, need, got }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_bytes() {
        let cases = [
            (-1.0, 0),
            (1.0, 255),
            (0.0, 128), // 127.5 goes to the even neighbour
            (-2.0, 0),
            (7.0, 255),
            (f32::NAN, 0),
            (f32::INFINITY, 255),
            (f32::NEG_INFINITY, 0),
            (1.0 / 127.5 - 1.0, 1),
            (0.5 / 127.5 - 1.0, 0), // 0.5 goes to 0
            (2.5 / 127.5 - 1.0, 2), // 2.5 goes to 2
            (f32::MIN_POSITIVE, 128),
        ];
        for (x, want) in cases {
            assert_eq!(Frames::to_u8(x), want, "{x}");
        }
    }

    #[test]
    fn planes_interleave() {
        // [3, T = 2, H = 1, W = 2], each value naming its byte.
        let byte = |b: u8| f32::from(b) / 127.5 - 1.0;
        let planes: Vec<f32> = [1, 2, 3, 4, 11, 12, 13, 14, 21, 22, 23, 24].map(byte).to_vec();
        let frames = Frames::from_planar(&planes, 2, 1, 2).unwrap();
        assert_eq!(frames.data(), [1, 11, 21, 2, 12, 22, 3, 13, 23, 4, 14, 24]);
        assert_eq!(frames.iter().nth(1).unwrap(), [3, 13, 23, 4, 14, 24]);
        assert_eq!((frames.len(), frames.height(), frames.width()), (2, 1, 2));
    }

    #[test]
    fn frames_become_planes_and_come_back_cut() {
        let rgb: Vec<u8> = (0..2 * 3 * 3).map(|i| i * 14).collect();
        let planes = planes_of_frame(&rgb, 3, (4, 4));
        assert_eq!(planes.len(), 3 * 16);
        // The last column and row are repeated.
        assert_eq!(planes[3], planes[2]);
        assert_eq!(planes[4..8], planes[12..16]);
        assert_eq!(frame_of_planes(&planes, 4, 3, 2), rgb);
    }

    #[test]
    fn sizes_are_checked() {
        assert!(Frames::new(vec![0; 11], 1, 2, 2).is_err());
        assert!(Frames::new(vec![0; 13], 1, 2, 2).is_err());
        assert!(Frames::new(vec![], 0, 2, 2).is_err());
        assert!(Frames::new(vec![], 1, 0, 2).is_err());
        assert!(Frames::new(vec![], usize::MAX, 2, 2).is_err());
        assert!(Frames::from_planar(&[], 1, usize::MAX, usize::MAX).is_err());
        let error = Frames::new(vec![0; 11], 1, 2, 2).unwrap_err();
        assert_eq!(error.to_string(), "1 frames of 2x2 RGB need 12 values, there are 11");
    }
}
