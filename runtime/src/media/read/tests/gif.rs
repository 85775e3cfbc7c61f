use ::gif::{DisposalMethod, Encoder, Frame};

use super::*;

const RED: [u8; 3] = [255, 0, 0];
const GREEN: [u8; 3] = [0, 255, 0];
const BLUE: [u8; 3] = [0, 0, 255];
const BLACK: [u8; 3] = [0; 3];
/// Number of the transparent colour: behind the red, green and blue of the global palette.
const CLEAR: u8 = 3;

/// An image of one row.
fn image(left: u16, indices: &'static [u8], dispose: DisposalMethod, delay: u16) -> Frame<'static> {
    let width = u16::try_from(indices.len()).unwrap();
    let transparent = Some(CLEAR);
    Frame { left, width, height: 1, buffer: indices.into(), dispose, delay, transparent, ..Frame::default() }
}

fn encode(path: &Path, width: u16, height: u16, images: &[Frame<'_>]) {
    let palette = [RED, GREEN, BLUE, [9; 3]].concat();
    let mut encoder = Encoder::new(fs::File::create(path).unwrap(), width, height, &palette).unwrap();
    images.iter().for_each(|image| encoder.write_frame(image).unwrap());
}

#[test]
fn images_are_painted_as_viewers_do() {
    use DisposalMethod::{Any, Background, Keep, Previous};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gif");
    let own = Frame { palette: Some([[7; 3], [8; 3]].concat()), ..image(2, &[1], Keep, 3) };
    let images = [
        image(0, &[0, 0, 0, 0], Keep, 10),
        // One pixel of it transparent; taken back afterwards.
        image(1, &[1, CLEAR], Previous, 0),
        // Leaves a hole in the red.
        image(0, &[2], Background, 20),
        // Two of its pixels are beside the canvas.
        image(3, &[1, 1, 1], Any, 1),
        own,
        // Wholly beside it, which leaves the picture as it is.
        image(9, &[0], Previous, 7),
    ];
    encode(&path, 4, 1, &images);
    let expected = [
        [RED, RED, RED, RED],
        [RED, GREEN, RED, RED],
        [BLUE, RED, RED, RED],
        [BLACK, RED, RED, GREEN],
        [BLACK, RED, [8; 3], GREEN],
        [BLACK, RED, [8; 3], GREEN],
    ];
    assert_eq!(read(&path).unwrap(), expected.map(|frame| frame.concat()));
    // Delays of 0 and 1 count as 10: 60 hundredths in all.
    assert_eq!(open(&path).unwrap().rate(), Some(FrameRate::new(10, 1).unwrap()));
}

#[test]
fn images_cover_only_their_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gif");
    let tall = Frame { top: 1, height: 3, ..image(1, &[0, 1, 2], DisposalMethod::Background, 4) };
    encode(&path, 2, 3, &[Frame { width: 1, ..tall }, image(0, &[2, CLEAR], DisposalMethod::Keep, 4)]);
    let expected = [[BLACK, BLACK, BLACK, RED, BLACK, GREEN], [BLUE, BLACK, BLACK, BLACK, BLACK, BLACK]];
    assert_eq!(read(&path).unwrap(), expected.map(|frame| frame.concat()));
}
