//! Frames a second, as an exact fraction.

use std::fmt;
use std::str::FromStr;

use super::MediaError;

/// A frame rate: `numerator / denominator` frames a second, from 1/1000 to 1000, in lowest terms.
///
/// As text: `16`, `24000/1001`, or decimal with up to three places, of which 23.976, 29.97 and 59.94 mean the broadcast
/// rates of 24000/1001 and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameRate {
    numerator: u32,
    denominator: u32,
}

/// Broadcast rates and how people write them.
const NAMED: [(&str, u32, u32); 4] =
    [("23.976", 24_000, 1001), ("23.98", 24_000, 1001), ("29.97", 30_000, 1001), ("59.94", 60_000, 1001)];

impl FrameRate {
    /// The largest numerator or denominator, so that times in a file never overflow.
    const MAX_PART: u32 = 1_000_000;

    /// `numerator / denominator` frames a second.
    ///
    /// # Errors
    /// [`MediaError::BadRate`] outside 1/1000 to 1000, or with a part of zero or above a million.
    pub fn new(numerator: u32, denominator: u32) -> Result<Self, MediaError> {
        let bad = || MediaError::BadRate(format!("{numerator}/{denominator}"));
        let divisor = gcd(numerator, denominator);
        if numerator == 0 || denominator == 0 {
            return Err(bad());
        }
        let (n, d) = (numerator / divisor, denominator / divisor);
        let fits = n <= Self::MAX_PART && d <= Self::MAX_PART;
        let sane = u64::from(n) <= 1000 * u64::from(d) && u64::from(d) <= 1000 * u64::from(n);
        if fits && sane { Ok(Self { numerator: n, denominator: d }) } else { Err(bad()) }
    }

    /// The rate that a file names, parts that are too large scaled down together; none outside 1/1000 to 1000.
    pub(super) fn nearest(numerator: u64, denominator: u64) -> Option<Self> {
        let rate = |n: u64, d: u64| Self::new(u32::try_from(n).ok()?, u32::try_from(d).ok()?).ok();
        let scale = numerator.max(denominator).div_ceil(Self::MAX_PART.into()).max(1);
        let scaled = |part: u64| part.saturating_add(scale / 2) / scale;
        rate(numerator, denominator).or_else(|| rate(scaled(numerator), scaled(denominator)))
    }

    /// Above the line, in lowest terms.
    pub fn numerator(self) -> u32 {
        self.numerator
    }

    /// Below the line, in lowest terms.
    pub fn denominator(self) -> u32 {
        self.denominator
    }

    /// Frames a second.
    pub fn per_second(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator)
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl fmt::Display for FrameRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.denominator {
            1 => write!(f, "{}", self.numerator),
            d => write!(f, "{}/{d}", self.numerator),
        }
    }
}

impl FromStr for FrameRate {
    type Err = MediaError;

    fn from_str(text: &str) -> Result<Self, MediaError> {
        let bad = || MediaError::BadRate(text.to_owned());
        let whole = |part: &str| part.parse::<u32>().map_err(|_| bad());
        if let Some((_, n, d)) = NAMED.iter().find(|named| named.0 == text) {
            return Self::new(*n, *d);
        }
        let rate = if let Some((n, d)) = text.split_once('/') {
            Self::new(whole(n)?, whole(d)?)
        } else if let Some((units, places)) = text.split_once('.') {
            let (1..=3, true) = (places.len(), places.bytes().all(|b| b.is_ascii_digit())) else {
                return Err(bad());
            };
            let thousandths = whole(&format!("{places:0<3}"))?;
            let all = whole(units)?.checked_mul(1000).and_then(|u| u.checked_add(thousandths));
            Self::new(all.ok_or_else(bad)?, 1000)
        } else {
            Self::new(whole(text)?, 1)
        };
        rate.map_err(|_| bad())
    }
}

impl TryFrom<f64> for FrameRate {
    type Error = MediaError;

    /// From a number as configuration files hold it, to a thousandth of a frame.
    fn try_from(per_second: f64) -> Result<Self, MediaError> {
        let text = format!("{per_second:.3}");
        text.trim_end_matches('0').trim_end_matches('.').parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_numbers() {
        let rate = |text: &str| text.parse::<FrameRate>().unwrap();
        assert_eq!(rate("16"), FrameRate::new(16, 1).unwrap());
        assert_eq!(rate("48/3").to_string(), "16");
        assert_eq!(rate("29.97").to_string(), "30000/1001");
        assert_eq!(rate("23.976").to_string(), "24000/1001");
        assert_eq!(rate("12.5").to_string(), "25/2");
        assert_eq!(rate("0.25").to_string(), "1/4");
        assert_eq!(FrameRate::try_from(16.0).unwrap(), rate("16"));
        assert_eq!(FrameRate::try_from(1000.0).unwrap().numerator(), 1000);
        assert_eq!(FrameRate::try_from(29.97).unwrap(), rate("29.97"));
        assert_eq!(rate("24000/1001").per_second(), 24_000.0 / 1001.0);
    }

    #[test]
    fn rates_of_files() {
        let nearest = |n, d| FrameRate::nearest(n, d).map(|rate| rate.to_string());
        assert_eq!(nearest(30_000, 1001).unwrap(), "30000/1001");
        assert_eq!(nearest(48_000_000, 2_000_000).unwrap(), "24");
        // 10.000001, as near as parts of up to a million come.
        assert_eq!(nearest(10_000_001, 1_000_000).unwrap(), "909091/90909");
        let near_two = FrameRate::nearest(u64::MAX, u64::MAX / 2).unwrap();
        assert!((near_two.per_second() - 2.0).abs() < 1e-5, "{near_two}");
        for (n, d) in [(0, 0), (0, 1), (1, 0), (u64::MAX, 1), (1, 1001)] {
            assert_eq!(nearest(n, d), None, "{n}/{d}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "0",
            "-5",
            "1/0",
            "0/1",
            "1001",
            "1/1001",
            "x",
            "1.2345",
            "1.",
            ".5",
            "1.-5",
            "4294967296",
            "1/2/3",
            "4294967295.5",
        ] {
            let error = text.parse::<FrameRate>().unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
        for x in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e300] {
            assert!(FrameRate::try_from(x).is_err());
        }
        assert!(FrameRate::new(999_999_937, 1_000_003).is_err());
    }
}
