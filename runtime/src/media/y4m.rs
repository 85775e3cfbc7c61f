//! `.y4m` (YUV4MPEG2): uncompressed video, for other encoders.
//!
//! 4:4:4, so that only the rounding of the colour matrix is lost. The format cannot name its matrix; readers take BT.601
//! limited range for granted, so that is what it holds.

use std::io::Write;
use std::path::PathBuf;

use super::staged::Staged;
use super::yuv::{Matrix, Planes};
use super::{FrameSink, MediaError, Sink, Target, check_length};

struct Y4mSink {
    staged: Staged,
    frame_bytes: usize,
    planes: Planes,
    any: bool,
}

pub(super) fn open(target: &Target<'_>) -> Result<Sink, MediaError> {
    let mut staged = Staged::new(target.path)?;
    let Target { width, height, frame_bytes, rate, .. } = *target;
    let (n, d) = (rate.numerator(), rate.denominator());
    staged.with(|w| writeln!(w, "YUV4MPEG2 W{width} H{height} F{n}:{d} Ip A1:1 C444 XCOLORRANGE=LIMITED"))?;
    Ok(Box::new(Y4mSink { staged, frame_bytes, planes: Planes::default(), any: false }))
}

impl FrameSink for Y4mSink {
    fn frame(&mut self, rgb: &[u8]) -> Result<(), MediaError> {
        check_length(self.staged.path(), rgb, self.frame_bytes)?;
        self.any = true;
        self.planes.fill_444(rgb, &Matrix::BT601);
        let Planes { y, cb, cr } = &self.planes;
        self.staged.with(|w| {
            w.write_all(b"FRAME\n")?;
            [y, cb, cr].into_iter().try_for_each(|plane| w.write_all(plane))
        })
    }

    fn finish(self: Box<Self>) -> Result<Vec<PathBuf>, MediaError> {
        if !self.any {
            return Err(MediaError::NoFrames { path: self.staged.path().to_owned() });
        }
        Ok(vec![self.staged.commit()?])
    }
}
