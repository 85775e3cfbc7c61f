//! Settings that are names with values: placements and options of a device.

use std::collections::BTreeMap;
use std::fmt;

/// Names with values, written `name=value,name=value`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pairs(pub(crate) BTreeMap<String, String>);

impl fmt::Display for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("(none)");
        }
        let pairs = self.0.iter().map(|(name, value)| format!("{name}={value}"));
        f.write_str(&pairs.collect::<Vec<_>>().join(","))
    }
}

/// Reads `name=value,name=value`. A value may hold `=` but no comma.
pub(crate) fn parse(text: &str) -> Result<Pairs, String> {
    let mut pairs = BTreeMap::new();
    for pair in text.split(',') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || value.is_empty() {
            return Err(format!("`{pair}` must be NAME=VALUE"));
        }
        if pairs.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(format!("`{name}` is given twice"));
        }
    }
    Ok(Pairs(pairs))
}

/// Several as one; of one name the last counts.
pub(crate) fn joined(list: &[Pairs]) -> Option<Pairs> {
    let all: BTreeMap<_, _> = list.iter().flat_map(|pairs| pairs.0.clone()).collect();
    (!list.is_empty()).then_some(Pairs(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_and_written() {
        let pairs = parse("text=cpu, decoder=ort:cuda:0").unwrap();
        assert_eq!(pairs.to_string(), "decoder=ort:cuda:0,text=cpu");
        for wrong in ["", "text", "text=", "=cpu", "a=b,a=c", "a=b,"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
