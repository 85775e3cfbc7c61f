use std::fs;
use std::io::Cursor;

use mp4_atom::{Any, Codec, Colr, DecodeMaybe, Mdat, Moov, StszSamples};

use super::super::tests::{clip, rate};
use super::super::{Chroma, WriteOptions, create, write};
use super::*;

struct Parsed {
    moov: Moov,
    mdat: Mdat,
    bytes: Vec<u8>,
}

fn encode(frames: usize, height: usize, width: usize, options: &WriteOptions) -> Parsed {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.mp4");
    write(&path, &clip(frames, height, width), rate(), options).unwrap();
    let bytes = fs::read(&path).unwrap();
    let mut cursor = Cursor::new(&bytes);
    let (mut moov, mut mdat) = (None, None);
    while let Some(any) = Any::decode_maybe(&mut cursor).unwrap() {
        match any {
            Any::Ftyp(ftyp) => assert!(ftyp.compatible_brands.contains(&b"av01".into())),
            Any::Moov(found) => moov = Some(found),
            Any::Mdat(found) => mdat = Some(found),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(cursor.position(), bytes.len() as u64);
    Parsed { moov: moov.unwrap(), mdat: mdat.unwrap(), bytes }
}

fn with_chroma(chroma: Chroma) -> WriteOptions {
    WriteOptions { chroma, ..WriteOptions::default() }
}

#[test]
fn the_index_describes_the_data() {
    for (frames, height, width) in [(1, 16, 16), (5, 33, 47), (20, 64, 48)] {
        for chroma in [Chroma::Yuv444, Chroma::Yuv420] {
            let Parsed { moov, mdat, bytes } = encode(frames, height, width, &with_chroma(chroma));
            let trak = &moov.trak[0];
            let stbl = &trak.mdia.minf.stbl;
            assert_eq!(trak.mdia.mdhd.timescale, 16_000);
            assert_eq!(trak.mdia.mdhd.duration, 1000 * frames as u64);
            assert_eq!((moov.mvhd.creation_time, moov.mvhd.modification_time), (0, 0));
            let StszSamples::Different { sizes } = &stbl.stsz.samples else { panic!() };
            assert_eq!(sizes.len(), frames);
            assert_eq!(sizes.iter().map(|s| *s as usize).sum::<usize>(), mdat.data.len());
            let start = usize::try_from(stbl.co64.as_ref().unwrap().entries[0]).unwrap();
            assert_eq!(bytes[start..][..mdat.data.len()], mdat.data);
            assert_eq!(stbl.stss.as_ref().unwrap().entries[0], 1);
            // Every sample is whole units, none of them a temporal delimiter, the first one a sequence header.
            let mut rest = &mdat.data[..];
            for size in sizes {
                let (sample, tail) = rest.split_at(*size as usize);
                assert!(obu::units(sample).all(|u| u.unwrap().kind != obu::TEMPORAL_DELIMITER));
                rest = tail;
            }
            assert_eq!(obu::units(&mdat.data).next().unwrap().unwrap().kind, obu::SEQUENCE_HEADER);
        }
    }
}

#[test]
fn configuration_and_colour_agree_with_the_stream() {
    for (chroma, profile) in [(Chroma::Yuv444, 1), (Chroma::Yuv420, 0)] {
        let Parsed { moov, mdat, .. } = encode(2, 20, 24, &with_chroma(chroma));
        let Codec::Av01(av01) = &moov.trak[0].mdia.minf.stbl.stsd.codecs[0] else { panic!() };
        let av1c = &av01.av1c;
        assert_eq!((av1c.seq_profile, av1c.seq_level_idx_0, av1c.seq_tier_0), (profile, 0, false));
        assert_eq!(av1c.chroma_subsampling_x, profile == 0);
        assert_eq!((av01.visual.width, av01.visual.height), (24, 20));
        let sequence = obu::units(&mdat.data).next().unwrap().unwrap();
        assert_eq!(av1c.config_obus, sequence.bytes);
        // The stream's own colour description: three bytes 1, 13, 1 at some bit offset.
        let bits: String = sequence.bytes.iter().map(|b| format!("{b:08b}")).collect();
        assert!(bits.contains("000000010000110100000001"), "{bits}");
        let Some(Colr::Nclx {
            colour_primaries,
            transfer_characteristics,
            matrix_coefficients,
            full_range_flag,
        }) = av01.colr
        else {
            panic!()
        };
        assert_eq!(
            (colour_primaries, transfer_characteristics, matrix_coefficients, full_range_flag),
            (1, 13, 1, false)
        );
    }
}

#[test]
fn too_small_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    for (width, height) in [(1, 1), (15, 16), (16, 15), (65_536, 16)] {
        let path = folder.path().join("out.mp4");
        let error = create(&path, width, height, rate(), &WriteOptions::default()).err().unwrap();
        assert!(error.to_string().contains("from 16x16"), "{error}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
