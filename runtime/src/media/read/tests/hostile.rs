//! Files that are broken or mean harm: a clear error each, and never a panic.

use proptest::prelude::*;

use super::png::{crc, interlaced};
use super::*;

/// A whole file of each kind, with the count of its frames.
fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    let clip = clip(3, 6, 5);
    let written = ["gif", "y4m", "png"].map(|extension| {
        let files = save(folder.path(), &format!("a.{extension}"), &clip);
        (extension, fs::read(&files[0]).unwrap())
    });
    written.into_iter().chain([("png", interlaced())]).collect()
}

/// Makes the checksums of a png right again, so that a change of its content gets further than them.
fn mend(file: &mut [u8]) {
    let mut at = 8;
    while let Some(len) = file.get(at..at + 4) {
        let len = u32::from_be_bytes(len.try_into().unwrap()) as usize;
        let Some(named) = file.get(at + 4..).and_then(|rest| rest.get(..len + 4)) else { return };
        let crc = crc(named).to_be_bytes();
        at += 8 + len;
        let Some(place) = file.get_mut(at..at + 4) else { return };
        place.copy_from_slice(&crc);
        at += 4;
    }
}

/// Frames read before the end or the error.
fn read_some(path: &Path) -> (usize, Option<MediaError>) {
    let mut rgb = Vec::new();
    let mut source = match open(path) {
        Ok(source) => source,
        Err(error) => return (0, Some(error)),
    };
    // Allowed, but slow to read again and again.
    if source.width() * source.height() > 1 << 16 {
        return (0, None);
    }
    let mut count = 0;
    loop {
        match source.next_frame(&mut rgb) {
            Ok(true) => {
                assert_eq!(rgb.len(), source.height() * source.width() * 3);
                count += 1;
            }
            Ok(false) => return (count, None),
            Err(error) => {
                // Of no more use, but no danger either.
                let _ = source.next_frame(&mut rgb);
                return (count, Some(error));
            }
        }
    }
}

#[test]
fn cut_off_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    for (extension, whole) in samples() {
        let path = folder.path().join(format!("a.{extension}"));
        fs::write(&path, &whole).unwrap();
        let (frames, error) = read_some(&path);
        assert!(error.is_none() && frames > 0, "{error:?}");
        // Raw video is whole again wherever a frame ends.
        let is_end = |len: usize| extension == "y4m" && (whole.len() - len).is_multiple_of(6 + 3 * 6 * 5);
        for len in 0..whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            let (seen, error) = read_some(&path);
            match error {
                None => assert!(is_end(len) && seen > 0, "{extension} of {len} bytes"),
                Some(MediaError::CutOff { path: named, frame }) => {
                    assert_eq!(named, path);
                    assert!((1..=frames).contains(&frame) && frame > seen, "{frame} {seen}");
                    assert!(!is_end(len));
                }
                Some(MediaError::Empty { .. }) => assert!(seen == 0 && extension == "y4m"),
                Some(MediaError::BadHeader { .. }) => {
                    assert!(seen == 0 && len < 64, "{extension} of {len} bytes")
                }
                Some(error) => panic!("{extension} of {len} bytes: {error}"),
            }
        }
    }
}

#[test]
fn sizes_are_refused_before_memory_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    for (extension, at, huge) in
        [("gif", 6, &[255; 4][..]), ("png", 16, &[127, 255, 255, 255, 127, 255, 255, 255][..])]
    {
        let path = folder.path().join(format!("a.{extension}"));
        let (_, whole) = samples().into_iter().find(|sample| sample.0 == extension).unwrap();
        for size in [huge, &vec![0; huge.len()]] {
            let mut file = whole.clone();
            file[at..at + size.len()].copy_from_slice(size);
            if extension == "png" {
                mend(&mut file);
            }
            fs::write(&path, &file).unwrap();
            let error = open(&path).err().unwrap();
            let expected = matches!(error, MediaError::TooLarge { .. })
                // The decoder knows by itself that a png is never empty.
                || matches!(error, MediaError::BadFrame { frame: 1, .. } if extension == "png" && size[0] == 0);
            assert!(expected, "{error}");
        }
    }
}

#[test]
fn no_frames() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gif");
    fs::write(&path, b"GIF89a\x01\0\x01\0\0\0\0;").unwrap();
    assert!(matches!(open(&path), Err(MediaError::BadHeader { .. } | MediaError::Empty { .. })));
    let path = folder.path().join("a.y4m");
    fs::write(&path, b"YUV4MPEG2 W1 H1\n").unwrap();
    assert!(matches!(open(&path), Err(MediaError::Empty { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn changed_anywhere(
        kind in 0_usize..4,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        mended in any::<bool>(),
    ) {
        thread_local! {
            static SAMPLES: Vec<(&'static str, Vec<u8>)> = samples();
        }
        let (extension, mut file) = SAMPLES.with(|samples| samples[kind].clone());
        for (at, value) in changes {
            let at = at.index(file.len());
            file[at] = value;
        }
        if mended && extension == "png" {
            mend(&mut file);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(format!("a.{extension}"));
        fs::write(&path, &file).unwrap();
        let (_, error) = read_some(&path);
        if let Some(error) = error {
            prop_assert!(error.to_string().starts_with(&path.display().to_string()), "{}", error);
        }
    }
}
