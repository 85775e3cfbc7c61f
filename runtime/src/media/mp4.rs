//! `.mp4`: AV1 in an ISO base media file.
//!
//! Encoded frames go to the file as they come, so memory holds only what the encoder looks ahead; the index (`moov`)
//! follows the data.

use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rav1e::prelude::*;

use super::staged::Staged;
use super::yuv::{Matrix, Planes};
use super::{Chroma as Sampling, FrameRate, FrameSink, MediaError, Sink, Target, check_length};

mod boxes;
mod level;
mod obu;
#[cfg(test)]
mod tests;

use boxes::{Index, Sample};

/// Frames of at least this many pixels are encoded in [`TILES`] tiles, which threads share. It goes by size alone, since
/// tiles change the bytes and threads must not.
const TILED_FROM: usize = 640 * 360;
const TILES: usize = 4;

struct Mp4Sink {
    staged: Staged,
    encoder: Context<u8>,
    planes: Planes,
    sampling: Sampling,
    frame_bytes: usize,
    index: Index,
    /// The encoder's sequence header, with its OBU header; known from the first packet on.
    sequence: Vec<u8>,
    any: bool,
}

pub(super) fn open(target: &Target<'_>) -> Result<Sink, MediaError> {
    let Target { path, width, height, rate, .. } = *target;
    let index = match (u16::try_from(width), u16::try_from(height)) {
        (Ok(width @ 16..), Ok(height @ 16..)) => Index::new(width, height, rate),
        _ => return Err(MediaError::bad_size(path, width, height, "from 16x16 to 65535x65535")),
    };
    let config = Config::new().with_encoder_config(encoder_config(target));
    let encoder = config.new_context().map_err(|e| encoder_error(path, e))?;
    let mut staged = Staged::new(path)?;
    staged.with(|w| w.write_all(&index.start()))?;
    Ok(Box::new(Mp4Sink {
        staged,
        encoder,
        planes: Planes::default(),
        sampling: target.options.chroma,
        frame_bytes: target.frame_bytes,
        index,
        sequence: Vec::new(),
        any: false,
    }))
}

fn encoder_config(target: &Target<'_>) -> EncoderConfig {
    let Target { width, height, rate, options, .. } = *target;
    let mut config = EncoderConfig::with_speed_preset(options.speed.min(10));
    config.width = width;
    config.height = height;
    config.time_base = Rational { num: rate.denominator().into(), den: rate.numerator().into() };
    config.chroma_sampling = match options.chroma {
        Sampling::Yuv444 => ChromaSampling::Cs444,
        Sampling::Yuv420 => ChromaSampling::Cs420,
    };
    config.pixel_range = PixelRange::Limited;
    // What the frames are: sRGB values through the BT.709 matrix. `boxes` says the same in the container.
    config.color_description = Some(ColorDescription {
        color_primaries: ColorPrimaries::BT709,
        transfer_characteristics: TransferCharacteristics::SRGB,
        matrix_coefficients: MatrixCoefficients::BT709,
    });
    config.level_idx = level::level(width, height, rate);
    config.quantizer = options.quantizer.into();
    config.tiles = if width.saturating_mul(height) < TILED_FROM { 1 } else { TILES };
    config
}

fn encoder_error(path: &Path, reason: impl std::fmt::Display) -> MediaError {
    MediaError::Encoder { path: path.to_owned(), reason: reason.to_string() }
}

impl Mp4Sink {
    fn error(&self, reason: impl std::fmt::Display) -> MediaError {
        encoder_error(self.staged.path(), reason)
    }

    /// The converted frame in the encoder's own memory.
    fn picture(&self) -> Frame<u8> {
        let mut picture = self.encoder.new_frame();
        let width = usize::from(self.index.width());
        let chroma_width = match self.sampling {
            Sampling::Yuv444 => width,
            Sampling::Yuv420 => width.div_ceil(2),
        };
        let Planes { y, cb, cr } = &self.planes;
        let sources = [(y, width), (cb, chroma_width), (cr, chroma_width)];
        for (plane, (source, stride)) in picture.planes.iter_mut().zip(sources) {
            plane.copy_from_raw_u8(source, stride, 1);
        }
        picture
    }

    /// Writes all packets that are ready.
    fn drain(&mut self) -> Result<(), MediaError> {
        loop {
            match self.encoder.receive_packet() {
                Ok(packet) => self.packet(&packet)?,
                Err(EncoderStatus::Encoded) => {}
                Err(EncoderStatus::NeedMoreData | EncoderStatus::LimitReached) => return Ok(()),
                Err(status) => return Err(self.error(status)),
            }
        }
    }

    fn packet(&mut self, packet: &Packet<u8>) -> Result<(), MediaError> {
        let mut sample = Vec::with_capacity(packet.data.len());
        for unit in obu::units(&packet.data) {
            let unit = unit.ok_or_else(|| self.error("it made a packet that cannot be taken apart"))?;
            match unit.kind {
                // The container's samples stand for these (AV1 in ISOBMFF, 2.4).
                obu::TEMPORAL_DELIMITER | obu::PADDING => continue,
                obu::SEQUENCE_HEADER if self.sequence.is_empty() => self.sequence = unit.bytes.to_vec(),
                _ => {}
            }
            sample.extend_from_slice(unit.bytes);
        }
        let size = u32::try_from(sample.len()).map_err(|_| self.error("a frame is over 4 GiB"))?;
        self.staged.with(|w| w.write_all(&sample))?;
        self.index.push(Sample { size, key: packet.frame_type == FrameType::KEY });
        Ok(())
    }
}

impl FrameSink for Mp4Sink {
    fn frame(&mut self, rgb: &[u8]) -> Result<(), MediaError> {
        check_length(self.staged.path(), rgb, self.frame_bytes)?;
        self.any = true;
        match self.sampling {
            Sampling::Yuv444 => self.planes.fill_444(rgb, &Matrix::BT709),
            Sampling::Yuv420 => self.planes.fill_420(rgb, self.index.width().into(), &Matrix::BT709),
        }
        let picture = self.picture();
        self.encoder.send_frame(picture).map_err(|e| self.error(e))?;
        self.drain()
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<PathBuf>, MediaError> {
        if !self.any {
            return Err(MediaError::NoFrames { path: self.staged.path().to_owned() });
        }
        self.encoder.flush();
        self.drain()?;
        let moov = self.index.moov(&self.sequence).map_err(|e| self.error(e))?;
        let size = self.index.data_box_bytes().to_be_bytes();
        let at = SeekFrom::Start(self.index.data_size_at());
        self.staged.with(|w| {
            w.write_all(&moov)?;
            w.seek(at)?;
            w.write_all(&size)
        })?;
        Ok(vec![self.staged.commit()?])
    }
}
