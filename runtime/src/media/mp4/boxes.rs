//! The container: what stands before the frames and the index that follows them.

use mp4_atom::{
    Av01, Av1c, Co64, Codec, Colr, Dinf, Dref, Encode, FixedPoint, FourCC, Ftyp, Hdlr, Mdhd, Mdia, Minf,
    Moov, Mvhd, Stbl, Stsc, StscEntry, Stsd, Stss, Stsz, StszSamples, Stts, SttsEntry, Tkhd, Trak, Url,
    Visual, Vmhd,
};

use super::FrameRate;

/// ISO/IEC 23091-2 numbers of BT.709 primaries and matrix, and of the sRGB transfer.
const BT709: u16 = 1;
const SRGB: u16 = 13;

/// Ticks a second are at least this many times the rate's numerator's own, as players expect of a time scale.
const TICKS: u32 = 1000;

/// One encoded frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) size: u32,
    pub(super) key: bool,
}

/// What the file's index is made from.
#[derive(Debug)]
pub(super) struct Index {
    width: u16,
    height: u16,
    rate: FrameRate,
    ftyp: Vec<u8>,
    samples: Vec<Sample>,
    data_bytes: u64,
}

/// A box header with a 64-bit size: the size field says 1, the true size stands behind the name.
const LARGE_HEADER: u64 = 16;

impl Index {
    pub(super) fn new(width: u16, height: u16, rate: FrameRate) -> Self {
        Self { width, height, rate, ftyp: ftyp(), samples: Vec::new(), data_bytes: 0 }
    }

    pub(super) fn width(&self) -> u16 {
        self.width
    }

    /// What comes before the first frame: the file type, and the data box's header with a size still to be filled in.
    pub(super) fn start(&self) -> Vec<u8> {
        let mut bytes = self.ftyp.clone();
        bytes.extend_from_slice(&1u32.to_be_bytes());
        bytes.extend_from_slice(b"mdat");
        bytes.extend_from_slice(&0u64.to_be_bytes());
        bytes
    }

    fn ftyp_bytes(&self) -> u64 {
        u64::try_from(self.ftyp.len()).unwrap_or(u64::MAX)
    }

    /// Where the data box's 64-bit size stands in the file.
    pub(super) fn data_size_at(&self) -> u64 {
        self.ftyp_bytes() + 8
    }

    /// Size of the data box, for [`data_size_at`](Self::data_size_at).
    pub(super) fn data_box_bytes(&self) -> u64 {
        LARGE_HEADER + self.data_bytes
    }

    /// Notes a frame that was appended to the file.
    pub(super) fn push(&mut self, sample: Sample) {
        self.data_bytes += u64::from(sample.size);
        self.samples.push(sample);
    }

    /// The `moov` box, for a stream that begins with this sequence header unit.
    pub(super) fn moov(&self, sequence: &[u8]) -> Result<Vec<u8>, String> {
        let count = u32::try_from(self.samples.len()).map_err(|_| "too many frames".to_owned())?;
        let timescale = self.rate.numerator() * TICKS;
        let sample_delta = self.rate.denominator() * TICKS;
        let duration = u64::from(count) * u64::from(sample_delta);
        let moov = Moov {
            mvhd: Mvhd {
                timescale,
                duration,
                rate: FixedPoint::new(1, 0),
                volume: FixedPoint::new(1, 0),
                next_track_id: 2,
                ..Mvhd::default()
            },
            trak: vec![Trak {
                tkhd: self.tkhd(duration),
                mdia: Mdia {
                    mdhd: Mdhd { timescale, duration, language: "und".to_owned(), ..Mdhd::default() },
                    hdlr: Hdlr { handler: FourCC::new(b"vide"), name: "kinograph".to_owned() },
                    minf: Minf {
                        vmhd: Some(Vmhd::default()),
                        dinf: Dinf { dref: Dref { entries: vec![Url::default().into()] } },
                        stbl: self.stbl(sequence, count, sample_delta)?,
                        ..Minf::default()
                    },
                },
                ..Trak::default()
            }],
            ..Moov::default()
        };
        let mut bytes = Vec::new();
        moov.encode(&mut bytes).map_err(|e| e.to_string())?;
        Ok(bytes)
    }

    fn tkhd(&self, duration: u64) -> Tkhd {
        Tkhd {
            track_id: 1,
            duration,
            enabled: true,
            in_movie: true,
            width: FixedPoint::new(self.width, 0),
            height: FixedPoint::new(self.height, 0),
            ..Tkhd::default()
        }
    }

    fn stbl(&self, sequence: &[u8], count: u32, sample_delta: u32) -> Result<Stbl, String> {
        let keys = (1..=count)
            .zip(&self.samples)
            .filter(|(_, sample)| sample.key)
            .map(|(number, _)| number)
            .collect();
        // All frames are one chunk: there is nothing to interleave with.
        let chunk = StscEntry { first_chunk: 1, samples_per_chunk: count, sample_description_index: 1 };
        Ok(Stbl {
            stsd: Stsd { codecs: vec![Codec::Av01(self.av01(sequence)?)] },
            stts: Stts { entries: vec![SttsEntry { sample_count: count, sample_delta }] },
            stss: Some(Stss { entries: keys }),
            stsc: Stsc { entries: vec![chunk] },
            stsz: Stsz {
                samples: StszSamples::Different {
                    sizes: self.samples.iter().map(|sample| sample.size).collect(),
                },
            },
            co64: Some(Co64 { entries: vec![self.ftyp_bytes() + LARGE_HEADER] }),
            ..Stbl::default()
        })
    }

    fn av01(&self, sequence: &[u8]) -> Result<Av01, String> {
        Ok(Av01 {
            visual: Visual {
                data_reference_index: 1,
                width: self.width,
                height: self.height,
                ..Visual::default()
            },
            av1c: av1c(sequence).ok_or("its sequence header cannot be read")?,
            colr: Some(Colr::Nclx {
                colour_primaries: BT709,
                transfer_characteristics: SRGB,
                matrix_coefficients: BT709,
                full_range_flag: false,
            }),
            ..Av01::default()
        })
    }
}

fn ftyp() -> Vec<u8> {
    let brands = [b"isom", b"iso6", b"av01", b"mp41"].map(FourCC::new);
    let ftyp = Ftyp { major_brand: brands[0], minor_version: 512, compatible_brands: brands.to_vec() };
    let mut bytes = Vec::new();
    // Writing into memory cannot fail.
    let _ = ftyp.encode(&mut bytes);
    bytes
}

/// The codec's configuration, read from the head of the sequence header it must agree with.
///
/// The encoder writes neither timing information nor a display delay, so profile and level stand at fixed places (AV1
/// specification, 5.5.1): after header and size, `seq_profile` 3 bits, `still_picture`, `reduced_still_picture_header`,
/// `timing_info_present_flag`, `initial_display_delay_present_flag` 1 each, `operating_points_cnt_minus_1` 5,
/// `operating_point_idc` 12, `seq_level_idx` 5, and `seq_tier` 1 if the level is above 7.
fn av1c(sequence: &[u8]) -> Option<Av1c> {
    let payload = sequence.get(2..6)?;
    let head = u32::from_be_bytes(payload.try_into().ok()?);
    let bits = |from: u32, count: u32| u8::try_from(head >> (32 - from - count) & ((1 << count) - 1)).ok();
    // One byte of size, and none of the flags that would move what follows.
    if *sequence.get(1)? > 127 || bits(3, 4)? != 0 || bits(7, 5)? != 0 {
        return None;
    }
    let (seq_profile, seq_level_idx_0) = (bits(0, 3)?, bits(24, 5)?);
    let subsampled = seq_profile == 0;
    Some(Av1c {
        seq_profile,
        seq_level_idx_0,
        seq_tier_0: seq_level_idx_0 > 7 && bits(29, 1)? == 1,
        chroma_subsampling_x: subsampled,
        chroma_subsampling_y: subsampled,
        config_obus: sequence.to_vec(),
        ..Av1c::default()
    })
}
