//! `.png`: one frame as the file itself, several as a numbered set.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use ::png::{BitDepth, ColorType, Compression, Encoder, EncodingError, SrgbRenderingIntent};

use super::staged::{Complete, Staged, sync_folder};
use super::{FrameSink, MediaError, Sink, Target, check_length};

/// Fewest digits of a frame's number.
pub(super) const DIGITS: usize = 4;

struct PngSink {
    path: PathBuf,
    width: u32,
    height: u32,
    frame_bytes: usize,
    /// Complete frames under temporary names: whether they are numbered shows only at the end, and none may appear before
    /// all are there.
    frames: Vec<Complete>,
}

pub(super) fn open(target: &Target<'_>) -> Result<Sink, MediaError> {
    let size = |n: usize| u32::try_from(n).ok().filter(|n| i32::try_from(*n).is_ok());
    let (Some(width), Some(height)) = (size(target.width), size(target.height)) else {
        return Err(MediaError::bad_size(
            target.path,
            target.width,
            target.height,
            "at most 2147483647 each way",
        ));
    };
    // Shows at once whether the folder can be written to.
    drop(Staged::new(target.path)?);
    let (path, frame_bytes) = (target.path.to_owned(), target.frame_bytes);
    Ok(Box::new(PngSink { path, width, height, frame_bytes, frames: Vec::new() }))
}

impl FrameSink for PngSink {
    fn frame(&mut self, rgb: &[u8]) -> Result<(), MediaError> {
        check_length(&self.path, rgb, self.frame_bytes)?;
        let mut staged = Staged::new(&self.path)?;
        encode(&mut staged, self.width, self.height, rgb).map_err(|e| match e {
            EncodingError::IoError(source) => MediaError::io(&self.path, "writing", source),
            other => MediaError::Encoder { path: self.path.clone(), reason: other.to_string() },
        })?;
        self.frames.push(staged.complete()?);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Vec<PathBuf>, MediaError> {
        let Self { path, frames, .. } = *self;
        let names = match frames.len() {
            0 => return Err(MediaError::NoFrames { path }),
            1 => vec![path.clone()],
            count => (1..=count).map(|number| numbered(&path, number, count)).collect(),
        };
        // Found before the first rename, so that it costs no rollback.
        if let Some(folder) = names.iter().find(|name| name.is_dir()) {
            return Err(MediaError::IsFolder { path: folder.clone() });
        }
        for (i, (frame, name)) in frames.into_iter().zip(&names).enumerate() {
            if let Err(error) = frame.place(name) {
                for placed in &names[..i] {
                    let _ = fs::remove_file(placed);
                }
                return Err(error);
            }
        }
        let next = numbered(&path, names.len() + 1, names.len());
        if names.len() > 1 && next.exists() {
            log::warn!("{}: left of a longer set, so readers take it for part of this one", next.display());
        }
        sync_folder(&path);
        Ok(names)
    }
}

/// `name-0001.png` for frame 1 of `name.png`, with more digits where the count needs them.
fn numbered(path: &Path, number: usize, count: usize) -> PathBuf {
    let digits = count.to_string().len().max(DIGITS);
    let mut name = path.file_stem().map(OsString::from).unwrap_or_default();
    name.push(format!("-{number:0digits$}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

fn encode(staged: &mut Staged, width: u32, height: u32, rgb: &[u8]) -> Result<(), EncodingError> {
    let mut encoder = Encoder::new(staged, width, height);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Balanced);
    encoder.set_source_srgb(SrgbRenderingIntent::Perceptual);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(rgb)?;
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_the_frames_do() {
        let name = |n, count| numbered(Path::new("a.b/c.d.png"), n, count);
        assert_eq!(name(1, 2), Path::new("a.b/c.d-0001.png"));
        assert_eq!(name(12, 9999), Path::new("a.b/c.d-0012.png"));
        assert_eq!(name(1, 10_000), Path::new("a.b/c.d-00001.png"));
    }
}
