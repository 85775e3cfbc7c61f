use ::png::{BitDepth, ColorType, Encoder};

use super::*;

/// A picture of any kind, with a palette and transparency if they are not empty.
fn encode(
    path: &Path,
    size: (u32, u32),
    kind: (ColorType, BitDepth),
    palette: &'static [u8],
    clear: &'static [u8],
    data: &[u8],
) {
    let mut encoder = Encoder::new(fs::File::create(path).unwrap(), size.0, size.1);
    encoder.set_color(kind.0);
    encoder.set_depth(kind.1);
    if !palette.is_empty() {
        encoder.set_palette(palette);
    }
    if !clear.is_empty() {
        encoder.set_trns(clear);
    }
    encoder.write_header().unwrap().write_image_data(data).unwrap();
}

/// A grey pixel, which tells pictures apart.
fn mark(path: PathBuf, value: u8) {
    encode(&path, (1, 1), (ColorType::Grayscale, BitDepth::Eight), &[], &[], &[value]);
}

/// A 3x3 picture in seven passes, counting from 1 in reading order.
pub(super) fn interlaced() -> Vec<u8> {
    // The passes in their order, each row with its filter of none: 1; 3; 7, 9; 2; 8; 4 to 6.
    let rows = [0, 1, 0, 3, 0, 7, 9, 0, 2, 0, 8, 0, 4, 5, 6];
    let header = [0, 0, 0, 3, 0, 0, 0, 3, 8, 0, 0, 0, 1];
    // One stored block of zlib.
    let len = u8::try_from(rows.len()).unwrap();
    let (mut a, mut b) = (1_u32, 0);
    for byte in rows {
        a = (a + u32::from(byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    let stored = [&[0x78, 1, 1, len, 0, !len, 255][..], &rows, &(b << 16 | a).to_be_bytes()].concat();
    let chunks = [(b"IHDR", &header[..]), (b"IDAT", &stored), (b"IEND", &[])];
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in chunks {
        file.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
        let named = [&kind[..], data].concat();
        file.extend(&named);
        file.extend(crc(&named).to_be_bytes());
    }
    file
}

/// The checksum of a chunk.
pub(super) fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// Kind, palette, transparency, data of two pixels, and what they are in RGB.
type Case = ((ColorType, BitDepth), &'static [u8], &'static [u8], &'static [u8], [u8; 6]);

#[test]
fn every_kind_of_pixel() {
    use BitDepth::{Eight, One, Sixteen, Two};
    use ColorType::{Grayscale, GrayscaleAlpha, Indexed, Rgb, Rgba};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    let palette = &[1, 2, 3, 40, 50, 60, 7, 8, 9];
    // Two pixels each. 0x0180 is 384: 1.494 of 255; 0x0181 is 1.498, 0x0182 is 1.502; half of 201 is 100.9 by 128/255.
    let cases: &[Case] = &[
        ((Grayscale, One), &[], &[], &[0b0100_0000], [0, 0, 0, 255, 255, 255]),
        ((Grayscale, Eight), &[], &[0, 7], &[7, 8], [0, 0, 0, 8, 8, 8]),
        ((Grayscale, Sixteen), &[], &[], &[0x01, 0x81, 0x01, 0x82], [1, 1, 1, 2, 2, 2]),
        ((GrayscaleAlpha, Eight), &[], &[], &[201, 128, 9, 255], [101, 101, 101, 9, 9, 9]),
        ((Indexed, Two), palette, &[], &[0b0110_0000], [40, 50, 60, 7, 8, 9]),
        ((Indexed, Eight), palette, &[255, 0], &[0, 1], [1, 2, 3, 0, 0, 0]),
        ((Rgb, Sixteen), &[], &[], &[0xff, 0xff, 0, 0, 0x80, 0, 1, 1, 2, 2, 3, 3], [255, 0, 128, 1, 2, 3]),
        ((Rgba, Eight), &[], &[], &[5, 6, 7, 255, 5, 6, 7, 0], [5, 6, 7, 0, 0, 0]),
        (
            (Rgba, Sixteen),
            &[],
            &[],
            &[0xff, 0xff, 0xff, 0xff, 0, 0, 0x80, 0x80, 1, 1, 2, 2, 3, 3, 0xff, 0xff],
            [128, 128, 0, 1, 2, 3],
        ),
    ];
    for (kind, palette, clear, data, want) in cases {
        encode(&path, (2, 1), *kind, palette, clear, data);
        assert_eq!(read(&path).unwrap(), [want], "{kind:?}");
    }
}

#[test]
fn interlaced_rows_find_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    fs::write(&path, interlaced()).unwrap();
    let grey = [1, 2, 3, 4, 5, 6, 7, 8, 9].map(|value| [value; 3]);
    assert_eq!(read(&path).unwrap(), [grey.concat()]);
}

#[test]
fn names_stand_for_sets() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let values = |path: &Path| -> Vec<u8> { read(path).unwrap().iter().map(|frame| frame[0]).collect() };
    for (i, name) in ["a-0001", "a-0002", "a-0004", "b8", "b9", "b10", "c-00001", "c-00002", "d", "d-0001"]
        .iter()
        .enumerate()
    {
        mark(at(&format!("{name}.png")), u8::try_from(i).unwrap());
    }
    mark(at("e-0001.PNG"), 90);
    mark(at("99999999999999999999999.png"), 91);
    mark(at("18446744073709551615.png"), 92);
    assert_eq!(values(&at("a.png")), [0, 1]);
    assert_eq!(values(&at("a-0001.png")), [0, 1]);
    assert_eq!(values(&at("a-0002.png")), [1]);
    assert_eq!(values(&at("a-0004.png")), [2]);
    assert_eq!(values(&at("b8.png")), [3, 4, 5]);
    assert_eq!(values(&at("c.png")), [6, 7]);
    assert_eq!(values(&at("d.png")), [8]);
    assert_eq!(values(&at("e.PNG")), [90]);
    assert_eq!(values(&at("99999999999999999999999.png")), [91]);
    assert_eq!(values(&at("18446744073709551615.png")), [92]);
    for name in ["b.png", "a-0003.png"] {
        let error = open(&at(name)).err().unwrap();
        assert!(error.to_string().contains("nor a numbered set"), "{error}");
    }
}

#[test]
fn a_folder_is_read_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let error = open(folder.path()).err().unwrap();
    assert!(matches!(error, MediaError::Empty { .. }), "{error}");
    let at = |name: &str| folder.path().join(name);
    mark(at("b.png"), 2);
    mark(at("a.PNG"), 1);
    mark(at("c10.png"), 3);
    mark(at(".hidden.png"), 9);
    fs::create_dir(at("a.png")).unwrap();
    fs::write(at("notes.txt"), "").unwrap();
    assert_eq!(read(folder.path()).unwrap(), [[1; 3], [2; 3], [3; 3]]);
    assert_eq!(open(folder.path()).unwrap().frames(), Some(3));

    encode(&at("bb.png"), (2, 1), (ColorType::Grayscale, BitDepth::Eight), &[], &[], &[0, 0]);
    let error = read(folder.path()).unwrap_err();
    assert!(
        error.to_string().ends_with(
            "bb.png: this is 2x1, but the first of its set is 1x1: all frames of a video have one size"
        ),
        "{error}"
    );
}
