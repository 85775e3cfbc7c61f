use std::fmt;
use std::str::FromStr;

/// An amount of memory. As text a number of bytes, or a number with a unit: `2GiB`, `1.5 GiB`, `500MB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ByteSize(pub(crate) u64);

/// A text that is no amount of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a number of bytes, or a number with one of the units kB, MB, GB, TB, KiB, MiB, GiB, TiB, such as 2GiB"
)]
pub(crate) struct ByteSizeError;

const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, ByteSizeError> {
        parse(text.trim()).filter(|&bytes| bytes > 0).map(Self).ok_or(ByteSizeError)
    }
}

fn parse(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let scale = match unit.trim_start() {
        "" => 1,
        unit => UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1,
    };
    match number.parse::<u64>() {
        Ok(whole) => whole.checked_mul(scale),
        Err(_) => fraction(number, scale),
    }
}

/// A fraction of a unit, cut to whole bytes.
fn fraction(number: &str, scale: u64) -> Option<u64> {
    let bytes = number.parse::<f64>().ok()? * scale as f64;
    (scale > 1 && bytes < u64::MAX as f64).then_some(bytes as u64)
}

impl fmt::Display for ByteSize {
    /// Exact, in the largest unit that divides it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, scale) =
            UNITS.iter().find(|(_, scale)| self.0.is_multiple_of(*scale)).unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        let amounts = [
            ("1", 1),
            ("2GiB", 2 << 30),
            ("500MB", 500_000_000),
            (" 1.5 gib ", 3 << 29),
            (".5KiB", 512),
            ("0.0015kB", 1),
            ("16777215TiB", 16_777_215 << 40),
        ];
        for (text, bytes) in amounts {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        let wrong = [
            "",
            "0",
            "0GiB",
            "-1",
            "1.5",
            "2G",
            "GiB",
            "1..5GB",
            ".",
            "2 GiB B",
            "1e9",
            "inf",
            "nanGB",
            "18446744073709551616",
            "16777216TiB",
            "99999999999999999999TiB",
            "2ГиБ",
        ];
        for text in wrong {
            assert_eq!(text.parse::<ByteSize>(), Err(ByteSizeError), "{text}");
        }
    }

    #[test]
    fn what_is_shown_means_the_same() {
        for (bytes, shown) in [(2 << 30, "2GiB"), (500_000_000, "500MB"), (1023, "1023B"), (1500, "1500B")] {
            assert_eq!(ByteSize(bytes).to_string(), shown);
            assert_eq!(shown.parse(), Ok(ByteSize(bytes)));
        }
    }
}
