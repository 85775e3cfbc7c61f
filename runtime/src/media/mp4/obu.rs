//! Taking an AV1 temporal unit apart (AV1 specification, 5.3: open bitstream units with sizes).

pub(super) const SEQUENCE_HEADER: u8 = 1;
pub(super) const TEMPORAL_DELIMITER: u8 = 2;
pub(super) const PADDING: u8 = 15;

/// One unit with its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit<'a> {
    pub(super) kind: u8,
    pub(super) bytes: &'a [u8],
}

/// The units of a packet in order; `None` once, and last, where it is malformed.
pub(super) fn units(packet: &[u8]) -> impl Iterator<Item = Option<Unit<'_>>> {
    let mut rest = packet;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some((unit, tail)) = split(rest) else {
            rest = &[];
            return Some(None);
        };
        rest = tail;
        Some(Some(unit))
    })
}

fn split(bytes: &[u8]) -> Option<(Unit<'_>, &[u8])> {
    let header = *bytes.first()?;
    let (extension, has_size) = (header >> 2 & 1 == 1, header >> 1 & 1 == 1);
    let size_at = if extension { 2 } else { 1 };
    if !has_size {
        return None;
    }
    let (payload, size_bytes) = leb128(bytes.get(size_at..)?)?;
    let end = usize::try_from(payload).ok()?.checked_add(size_at + size_bytes)?;
    let (unit, tail) = bytes.split_at_checked(end)?;
    Some((Unit { kind: header >> 3 & 15, bytes: unit }, tail))
}

/// A little-endian number of seven bits a byte, and how many bytes it took.
fn leb128(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    for (i, byte) in bytes.iter().take(8).enumerate() {
        value |= u64::from(byte & 127) << (7 * i);
        if byte & 128 == 0 {
            return Some((value, i + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_units_apart() {
        let packet = [0x12, 0x00, 0x0A, 0x02, 7, 8, 0x32, 0x81, 0x00, 9];
        let found: Vec<_> = units(&packet).map(|u| u.unwrap()).collect();
        assert_eq!(
            found.iter().map(|u| u.kind).collect::<Vec<_>>(),
            [TEMPORAL_DELIMITER, SEQUENCE_HEADER, 6]
        );
        assert_eq!(found[1].bytes, [0x0A, 2, 7, 8]);
        assert_eq!(found[2].bytes, [0x32, 0x81, 0, 9]);
    }

    #[test]
    fn malformed_packets_end_in_none() {
        for packet in [
            &[0x12][..],
            &[0x10, 0],
            &[0x0A, 5, 1],
            &[0x0A, 0xFF, 0xFF],
            &[0x0E],
            &[0x0A, 255, 255, 255, 255, 255, 255, 255, 255, 1],
        ] {
            assert_eq!(units(packet).last(), Some(None), "{packet:?}");
        }
    }
}
