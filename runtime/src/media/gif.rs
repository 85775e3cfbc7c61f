//! `.gif`: an animation that loops for ever.

use std::collections::HashSet;
use std::path::PathBuf;

use ::gif::{Encoder, EncodingError, Frame, Repeat};
use color_quant::NeuQuant;

use super::staged::Staged;
use super::{FrameRate, FrameSink, MediaError, Sink, Target, check_length};

/// Pixels that the quantiser learns a frame's palette from, about so many: with more only time grows, and of fewer it has to
/// see each several times to learn at all.
const LEARN_FROM: usize = 50_000;
/// Viewers take delays under 2 hundredths of a second for a mistake and play them five times slower.
const MIN_DELAY: u64 = 2;

struct GifSink {
    encoder: Encoder<Staged>,
    path: PathBuf,
    width: u16,
    height: u16,
    rate: FrameRate,
    written: u64,
}

pub(super) fn open(target: &Target<'_>) -> Result<Sink, MediaError> {
    let (Ok(width), Ok(height)) = (u16::try_from(target.width), u16::try_from(target.height)) else {
        return Err(MediaError::bad_size(target.path, target.width, target.height, "at most 65535 each way"));
    };
    let path = target.path.to_owned();
    let fail = |e| encoding_error(&path, e);
    let mut encoder = Encoder::new(Staged::new(target.path)?, width, height, &[]).map_err(fail)?;
    encoder.set_repeat(Repeat::Infinite).map_err(fail)?;
    Ok(Box::new(GifSink { encoder, path, width, height, rate: target.rate, written: 0 }))
}

impl FrameSink for GifSink {
    fn frame(&mut self, rgb: &[u8]) -> Result<(), MediaError> {
        let pixels = usize::from(self.width) * usize::from(self.height);
        check_length(&self.path, rgb, pixels * 3)?;
        let mut frame = quantise(self.width, self.height, rgb);
        frame.delay = delay(self.rate, self.written);
        self.written += 1;
        self.encoder.write_frame(&frame).map_err(|e| encoding_error(&self.path, e))
    }

    fn finish(self: Box<Self>) -> Result<Vec<PathBuf>, MediaError> {
        if self.written == 0 {
            return Err(MediaError::NoFrames { path: self.path });
        }
        let staged = self.encoder.into_inner().map_err(|e| encoding_error(&self.path, e))?;
        Ok(vec![staged.commit()?])
    }
}

/// A frame with a palette of its own: exact for up to 256 colours, else as the quantiser finds them.
fn quantise(width: u16, height: u16, rgb: &[u8]) -> Frame<'static> {
    let pixels = usize::from(width) * usize::from(height);
    let colours: HashSet<&[u8]> = rgb.chunks_exact(3).collect();
    let repeats = LEARN_FROM / pixels;
    if repeats < 2 || colours.len() <= 256 {
        let every = i32::try_from(pixels / LEARN_FROM).unwrap_or(i32::MAX).clamp(1, 30);
        return Frame::from_rgb_speed(width, height, rgb, every);
    }
    let rgba: Vec<u8> = rgb.chunks_exact(3).flat_map(|p| [p[0], p[1], p[2], 255]).collect();
    let palette = NeuQuant::new(1, 256, &rgba.repeat(repeats));
    let indices = rgba.chunks_exact(4).map(|p| u8::try_from(palette.index_of(p)).unwrap_or(u8::MAX));
    Frame {
        width,
        height,
        buffer: indices.collect::<Vec<_>>().into(),
        palette: Some(palette.color_map_rgb()),
        ..Frame::default()
    }
}

/// Hundredths of a second that frame `index` is shown. They add up to the true time, rounded, however odd the rate; above
/// 50 frames a second the format has nothing fast enough and plays at 50.
fn delay(rate: FrameRate, index: u64) -> u16 {
    let (n, d) = (u64::from(rate.numerator()), u64::from(rate.denominator()));
    let end = |frames: u64| frames.saturating_mul(200 * d).saturating_add(n) / (2 * n);
    let delay = end(index + 1) - end(index);
    u16::try_from(delay.max(MIN_DELAY)).unwrap_or(u16::MAX)
}

fn encoding_error(path: &std::path::Path, error: EncodingError) -> MediaError {
    match error {
        EncodingError::Io(source) => MediaError::io(path, "writing", source),
        other => MediaError::Encoder { path: path.to_owned(), reason: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_add_up() {
        let delays = |n, d| {
            let rate = FrameRate::new(n, d).unwrap();
            (0..16).map(|i| delay(rate, i)).collect::<Vec<_>>()
        };
        assert_eq!(delays(16, 1).iter().sum::<u16>(), 100);
        assert!(delays(16, 1).iter().all(|d| (6..=7).contains(d)));
        assert_eq!(delays(25, 1), [4; 16]);
        assert_eq!(delays(1000, 1), [2; 16]);
        assert_eq!(delays(1, 1000), [u16::MAX; 16]);
    }
}
