use ::y4m::{Colorspace, Ratio, VendorExtensionString};

use super::*;

fn plane(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|i| u8::try_from((i * 89 + seed * 57) % 256).unwrap()).collect()
}

/// BT.601 in real numbers, from luma in 0..=1 and chroma in -0.5..=0.5.
fn colour(y: f64, cb: f64, cr: f64) -> [f64; 3] {
    let (r, b) = (y + 1.402 * cr, y + 1.772 * cb);
    [r, (y - 0.299 * r - 0.114 * b) / 0.587, b]
}

#[test]
fn samplings_and_ranges_of_an_independent_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.y4m");
    let kinds = [
        (Colorspace::C420, 2, 2),
        (Colorspace::C420jpeg, 2, 2),
        (Colorspace::C420mpeg2, 2, 2),
        (Colorspace::C420paldv, 2, 2),
        (Colorspace::C422, 2, 1),
        (Colorspace::C444, 1, 1),
        (Colorspace::Cmono, 0, 0),
    ];
    for (width, height) in [(1_usize, 1_usize), (4, 2), (5, 3)] {
        for (kind, x, y) in kinds {
            for full in [false, true] {
                let across = if x == 0 { 0 } else { width.div_ceil(x) };
                let chroma = if y == 0 { 0 } else { across * height.div_ceil(y) };
                let planes = [plane(width * height, 1), plane(chroma, 2), plane(chroma, 3)];
                let mut encoder =
                    ::y4m::encode(width, height, Ratio::new(30_000, 1001)).with_colorspace(kind);
                if full {
                    let range = VendorExtensionString::new(b"COLORRANGE=FULL".to_vec()).unwrap();
                    encoder = encoder.append_vendor_extension(range);
                }
                let mut encoder = encoder.write_header(fs::File::create(&path).unwrap()).unwrap();
                let frame = ::y4m::Frame::new([&planes[0], &planes[1], &planes[2]], Some(b"Ip".to_vec()));
                encoder.write_frame(&frame).unwrap();
                encoder.write_frame(&frame).unwrap();
                drop(encoder);

                assert_eq!(open(&path).unwrap().rate(), Some("29.97".parse().unwrap()));
                let frames = read(&path).unwrap();
                assert_eq!(frames.len(), 2);
                let (black, luma_span, chroma_span) =
                    if full { (0.0, 255.0, 255.0) } else { (16.0, 219.0, 224.0) };
                for (i, got) in frames[1].chunks_exact(3).enumerate() {
                    let sample = |plane: &[u8]| match x {
                        0 => 0.0,
                        _ => (f64::from(plane[i / width / y * across + i % width / x]) - 128.0) / chroma_span,
                    };
                    let luma = (f64::from(planes[0][i]) - black) / luma_span;
                    let want = colour(luma, sample(&planes[1]), sample(&planes[2]));
                    for (got, want) in got.iter().zip(want) {
                        let want = (want * 255.0).clamp(0.0, 255.0);
                        // Rounding, and a little for weights of 16 bits.
                        assert!((f64::from(*got) - want).abs() < 0.51, "{kind:?} {full}: {got} {want}");
                    }
                }
            }
        }
    }
}

#[test]
fn parameters() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.y4m");
    let try_header = |header: &str| {
        fs::write(&path, [header.as_bytes(), b"\nFRAME\n", &[81; 4], &[90; 1], &[240; 1]].concat()).unwrap();
        read(&path).map(|frames| (frames, open(&path).unwrap().rate()))
    };
    // 4:2:0 where it does not say; the red of the colour bars.
    let red = vec![[254, 0, 0].repeat(4)];
    for (header, rate) in [
        ("YUV4MPEG2 W2 H2", None),
        ("YUV4MPEG2 H2 W2 F0:0 Ib A0:0 XYSCSS=420JPEG XCOLORRANGE=LIMITED C420", None),
        ("YUV4MPEG2 W2  H2 C420jpeg F25:1 ", Some("25")),
        ("YUV4MPEG2 W2 H2 F24000:1001 It", Some("23.976")),
    ] {
        assert_eq!(try_header(header).unwrap(), (red.clone(), rate.map(|r| r.parse().unwrap())), "{header}");
    }
    for format in ["420p10", "444p16", "mono12", "444alpha", ""] {
        let error = try_header(&format!("YUV4MPEG2 W2 H2 C{format}")).unwrap_err();
        assert!(error.to_string().contains(&format!("\"{format}\" cannot be read, only 8-bit")), "{error}");
    }
    for header in [
        "",
        "YUV4MPEG",
        "YUV4MPEG2W2 H2",
        "RIFF W2 H2",
        "YUV4MPEG2 W-2 H2",
        "YUV4MPEG2 W H2",
        "YUV4MPEG2 W2 H2 F25",
        "YUV4MPEG2 W2 H2 F1:9999",
        "YUV4MPEG2 W99999999999999999999 H2",
        "YUV4MPEG2 W2\u{e9} H2",
    ] {
        let error = try_header(header).unwrap_err();
        assert!(matches!(error, MediaError::BadHeader { .. }), "{header}: {error}");
    }
    let error = try_header(&format!("YUV4MPEG2 W2 H2 X{}", "x".repeat(2000))).unwrap_err();
    assert!(matches!(error, MediaError::BadHeader { .. }), "{error}");
    for size in ["W2 H0", "H2", "W65536 H1", "W65535 H65535", "W4294967296 H4294967296"] {
        let error = try_header(&format!("YUV4MPEG2 {size}")).unwrap_err();
        assert!(matches!(error, MediaError::TooLarge { .. }), "{size}: {error}");
    }
}

#[test]
fn chroma_of_four_pixels() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.y4m");
    // Red and blue of the colour bars: one chroma sample for four pixels, one for the fifth.
    fs::write(&path, b"YUV4MPEG2 W5 H1 C411\nFRAME\n\x51\x51\x51\x51\x29\x5a\xf0\xf0\x6e").unwrap();
    let [red, blue] = [[254, 0, 0], [0, 0, 255]];
    assert_eq!(read(&path).unwrap(), [[red, red, red, red, blue].concat()]);
}

#[test]
fn frames_that_do_not_begin_as_they_should() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.y4m");
    let long = format!("FRAME {}", "x".repeat(2000));
    for begin in ["FRAMES", "FRAM", "", &long] {
        let text = format!("YUV4MPEG2 W1 H1 Cmono\nFRAME Ip\n0{begin}\n0FRAME\n0");
        fs::write(&path, text).unwrap();
        let error = read(&path).unwrap_err();
        assert!(matches!(error, MediaError::BadFrame { frame: 2, .. }), "{begin}: {error}");
    }
}
