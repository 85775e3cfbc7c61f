use std::fs;

use super::*;

/// A clip with gradients, a moving edge and saturated colours.
pub(super) fn clip(frames: usize, height: usize, width: usize) -> Frames {
    let byte = |x: usize| u8::try_from(x % 256).unwrap();
    let mut data = Vec::new();
    for t in 0..frames {
        for y in 0..height {
            for x in 0..width {
                let edge = if (x + 3 * t) % width.max(8) < width / 2 { 200 } else { 30 };
                data.extend([byte(x * 255 / width), byte(y * 255 / height), edge]);
            }
        }
    }
    Frames::new(data, frames, height, width).unwrap()
}

pub(super) fn rate() -> FrameRate {
    FrameRate::new(16, 1).unwrap()
}

fn written(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn save(folder: &Path, name: &str, frames: &Frames) -> Result<Vec<PathBuf>, MediaError> {
    write(&folder.join(name), frames, rate(), &WriteOptions::default())
}

#[test]
fn unusable_names_are_refused_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let frames = clip(1, 16, 16);
    for name in ["out", "out.avi", ".mp4", "out.", "", "mp4"] {
        let error = save(at, name, &frames).unwrap_err();
        assert!(matches!(error, MediaError::UnknownExtension { .. }), "{name}: {error}");
    }
    assert_eq!(written(at), [""; 0]);
    for extension in extensions() {
        let error = save(at, &format!("no/out.{extension}"), &frames).unwrap_err();
        assert!(
            matches!(error, MediaError::NoFolder { .. }) && error.to_string().contains("create it first")
        );
        let name = format!("taken.{extension}");
        fs::create_dir(at.join(&name)).unwrap();
        assert!(matches!(save(at, &name, &frames), Err(MediaError::IsFolder { .. })));
        assert!(matches!(check(&at.join(&name)), Err(MediaError::IsFolder { .. })));
        fs::remove_dir(at.join(&name)).unwrap();
        assert!(check(&at.join(&name)).is_ok());
    }
    assert_eq!(written(at), [""; 0]);
}

#[test]
fn every_format_is_complete_or_absent() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let frames = clip(3, 17, 19);
    for extension in extensions() {
        let path = at.join(format!("out.{}", extension.to_uppercase()));
        let new = || create(&path, 19, 17, rate(), &WriteOptions::default()).unwrap();

        let error = new().finish().unwrap_err();
        assert!(matches!(error, MediaError::NoFrames { .. }), "{error}");
        assert_eq!(written(at), [""; 0], "no frames");

        let mut dropped = new();
        frames.iter().for_each(|frame| dropped.frame(frame).unwrap());
        drop(dropped);
        assert_eq!(written(at), [""; 0], "dropped");

        let mut failing = new();
        failing.frame(frames.iter().next().unwrap()).unwrap();
        let error = failing.frame(&[0; 5]).unwrap_err();
        assert!(matches!(error, MediaError::FrameLength { got: 5, want: 969, .. }), "{error}");
        drop(failing);
        assert_eq!(written(at), [""; 0], "failed");

        let files = write(&path, &frames, rate(), &WriteOptions::default()).unwrap();
        let first: Vec<_> = files.iter().map(|file| fs::read(file).unwrap()).collect();
        let again = write(&path, &frames, rate(), &WriteOptions::default()).unwrap();
        assert_eq!(files, again);
        for (file, bytes) in files.iter().zip(first) {
            assert_eq!(fs::read(file).unwrap(), bytes, "{} differs between runs", file.display());
            fs::remove_file(file).unwrap();
        }
        assert_eq!(written(at), [""; 0], "everything was reported");
    }
}

#[test]
fn impossible_sizes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for extension in extensions() {
        let path = folder.path().join(format!("out.{extension}"));
        for (width, height) in
            [(0, 16), (16, 0), (usize::MAX, 2), (usize::MAX, usize::MAX), (1 << 40, 1 << 40)]
        {
            let error = create(&path, width, height, rate(), &WriteOptions::default()).err().unwrap();
            assert!(matches!(error, MediaError::BadSize { .. }), "{error}");
        }
    }
    assert_eq!(written(folder.path()), [""; 0]);
}

#[test]
fn system_errors_say_what_to_do() {
    let error =
        |kind: std::io::ErrorKind| MediaError::io(Path::new("a.mp4"), "writing", kind.into()).to_string();
    assert!(error(std::io::ErrorKind::StorageFull).contains("disk is full"));
    assert!(error(std::io::ErrorKind::PermissionDenied).contains("no right"));
    assert!(error(std::io::ErrorKind::BrokenPipe).starts_with("a.mp4: writing failed"));
}

#[cfg(unix)]
#[test]
fn results_have_the_rights_of_ordinary_files() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    fs::write(&plain, "").unwrap();
    for extension in extensions() {
        let files = save(folder.path(), &format!("out.{extension}"), &clip(1, 16, 16)).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&files[0]), mode(&plain), "{extension}");
    }
}

#[cfg(feature = "png")]
mod png {
    use super::*;

    fn read(path: &Path) -> (u32, u32, Vec<u8>) {
        let mut reader =
            ::png::Decoder::new(std::io::BufReader::new(fs::File::open(path).unwrap())).read_info().unwrap();
        let mut data = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut data).unwrap();
        assert_eq!(info.color_type, ::png::ColorType::Rgb);
        (info.width, info.height, data)
    }

    #[test]
    fn frames_come_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        for (frames, height, width) in [(1, 1, 1), (1, 5, 3), (3, 33, 17)] {
            let clip = clip(frames, height, width);
            let files = save(folder.path(), "out.png", &clip).unwrap();
            assert_eq!(files.len(), frames);
            for (file, frame) in files.iter().zip(clip.iter()) {
                assert_eq!(read(file), (width as u32, height as u32, frame.to_vec()));
            }
        }
        assert_eq!(written(folder.path()), ["out-0001.png", "out-0002.png", "out-0003.png", "out.png"]);
    }

    #[test]
    fn a_set_that_cannot_be_complete_is_not_begun() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("out-0003.png")).unwrap();
        assert!(matches!(save(folder.path(), "out.png", &clip(3, 4, 4)), Err(MediaError::IsFolder { .. })));
        assert_eq!(written(folder.path()), ["out-0003.png"]);
    }
}

#[cfg(feature = "gif")]
mod gif {
    use super::*;

    #[test]
    fn frames_come_back_nearly() {
        let folder = tempfile::tempdir().unwrap();
        for (count, height, width) in [(1, 1, 1), (3, 5, 7), (16, 33, 47)] {
            let clip = clip(count, height, width);
            let files = save(folder.path(), "out.gif", &clip).unwrap();
            let mut options = ::gif::DecodeOptions::new();
            options.set_color_output(::gif::ColorOutput::RGBA);
            let mut reader = options.read_info(fs::File::open(&files[0]).unwrap()).unwrap();
            assert_eq!((usize::from(reader.width()), usize::from(reader.height())), (width, height));
            assert_eq!(reader.repeat(), ::gif::Repeat::Infinite);
            let (mut delays, mut seen) = (0, 0);
            for want in clip.iter() {
                let frame = reader.read_next_frame().unwrap().unwrap();
                delays += u32::from(frame.delay);
                let rgb = frame.buffer.chunks_exact(4).flat_map(|p| &p[..3]);
                let error: f64 = rgb.zip(want).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum();
                let rms = (error / want.len() as f64).sqrt();
                // Up to 256 colours are exact.
                assert!(rms <= if height * width <= 256 { 0.0 } else { 6.0 }, "{rms}");
                seen += 1;
            }
            assert!(reader.read_next_frame().unwrap().is_none());
            assert_eq!((seen, delays), (count, (count as f64 * 6.25).round() as u32));
        }
    }
}

#[cfg(feature = "y4m")]
mod y4m {
    use super::*;

    #[test]
    fn an_independent_reader_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        for (count, height, width) in [(1, 1, 1), (3, 5, 7)] {
            let clip = clip(count, height, width);
            let files = save(folder.path(), "out.y4m", &clip).unwrap();
            let mut reader = ::y4m::decode(fs::File::open(&files[0]).unwrap()).unwrap();
            assert_eq!((reader.get_width(), reader.get_height()), (width, height));
            assert_eq!((reader.get_framerate().num, reader.get_framerate().den), (16, 1));
            assert!(matches!(reader.get_colorspace(), ::y4m::Colorspace::C444));
            for want in clip.iter() {
                let frame = reader.read_frame().unwrap();
                let planes = [frame.get_y_plane(), frame.get_u_plane(), frame.get_v_plane()];
                for (i, rgb) in want.chunks_exact(3).enumerate() {
                    let [y, cb, cr] = planes.map(|plane| f64::from(plane[i]));
                    let (y, cb, cr) = ((y - 16.0) / 219.0, (cb - 128.0) / 224.0, (cr - 128.0) / 224.0);
                    let (r, b) = (y + 1.402 * cr, y + 1.772 * cb);
                    let g = (y - 0.299 * r - 0.114 * b) / 0.587;
                    for (got, want) in [r, g, b].into_iter().zip(rgb) {
                        assert!((got * 255.0 - f64::from(*want)).abs() < 2.5, "{got} {want}");
                    }
                }
            }
            assert!(matches!(reader.read_frame(), Err(::y4m::Error::EOF)));
        }
    }
}
