use std::fs;
use std::path::PathBuf;

use super::*;
use crate::media::tests::{clip, rate};
use crate::media::{Frames, WriteOptions, write};

#[cfg(feature = "gif")]
mod gif;
#[cfg(all(feature = "gif", feature = "png", feature = "y4m"))]
mod hostile;
#[cfg(feature = "png")]
mod png;
#[cfg(feature = "y4m")]
mod y4m;

/// All frames of a video, each checked for its length.
fn read(path: &Path) -> Result<Vec<Vec<u8>>, MediaError> {
    let mut source = open(path)?;
    // What the buffer held before must not matter.
    let mut rgb = vec![1; 5];
    let mut frames = Vec::new();
    while source.next_frame(&mut rgb)? {
        assert_eq!(rgb.len(), source.height() * source.width() * 3);
        frames.push(rgb.clone());
    }
    assert!(source.frames().is_none_or(|count| count == frames.len()));
    Ok(frames)
}

fn save(folder: &Path, name: &str, frames: &Frames) -> Vec<PathBuf> {
    write(&folder.join(name), frames, rate(), &WriteOptions::default()).unwrap()
}

#[test]
fn what_the_writers_write_is_read() {
    let folder = tempfile::tempdir().unwrap();
    // Of at most 256 pixels, so that gif's palette holds them all. The chain of bounds for y4m is in `yuv`.
    for (extension, bounds) in [("gif", [0; 3]), ("png", [0; 3]), ("y4m", [1, 1, 2])] {
        if !readable_extensions().any(|e| e == extension) {
            continue;
        }
        for (count, height, width) in [(1, 1, 1), (3, 5, 7), (16, 11, 23)] {
            let clip = clip(count, height, width);
            let name = format!("{count}.{extension}");
            save(folder.path(), &name, &clip);
            let path = folder.path().join(&name);
            let source = open(&path).unwrap();
            assert_eq!((source.width(), source.height()), (width, height));
            let expected = match (extension, count) {
                ("y4m", _) => Some((16, 1)),
                // Sixteen delays make exactly a second.
                ("gif", 16) => Some((16, 1)),
                ("gif", 3) => Some((300, 19)),
                ("gif", _) => Some((50, 3)),
                _ => None,
            };
            assert_eq!(source.rate(), expected.map(|(n, d)| FrameRate::new(n, d).unwrap()));
            let frames = read(&path).unwrap();
            assert_eq!(frames.len(), count);
            for (got, want) in frames.iter().zip(clip.iter()) {
                for (i, (got, want)) in got.iter().zip(want).enumerate() {
                    assert!(got.abs_diff(*want) <= bounds[i % 3], "{name}: {got} {want}");
                }
            }
        }
    }
}

#[test]
fn what_cannot_be_read_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["a.mp4", "a.MOV", "a", ".gif"] {
        fs::write(at(name), "").unwrap();
        let error = open(&at(name)).err().unwrap();
        assert!(matches!(error, MediaError::NoReader { .. }), "{error}");
        assert!(error.to_string().contains(name) && error.to_string().contains("ffmpeg -i"), "{error}");
    }
    for name in ["no.mp4", "no", "no.GIF", "no.png", "no.y4m", "no/no.png"] {
        let Err(error) = open(&at(name)) else { panic!("{name}") };
        let off = name.rsplit_once('.').is_some_and(|(_, e)| {
            ["gif", "png", "y4m"].contains(&e) && !readable_extensions().any(|known| known == e)
        });
        assert!(
            if off {
                matches!(error, MediaError::FeatureOff { .. })
            } else {
                matches!(error, MediaError::NoFile { .. })
            },
            "{error}"
        );
    }
}
