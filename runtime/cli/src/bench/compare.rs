//! The times that another library takes for the same cases.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;

/// A file as torch_compare.py writes it, `{"library": "...", "seconds": {"case": 0.1}}`, or as `kinograph bench --json` does on
/// another device.
pub(super) struct Compared {
    pub(super) library: String,
    seconds: BTreeMap<String, f64>,
}

impl Compared {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
        Self::parse(&text).with_context(|| {
            format!(
                "{}: not a file of times; make it with backends/cpu/benches/torch_compare.py, or with \
                 `kinograph bench --json` on another device",
                path.display()
            )
        })
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let value: serde_json::Value = serde_json::from_str(text)?;
        if let (Some(device), Some(cases)) = (value["device"].as_str(), value["cases"].as_array()) {
            let time = |case: &serde_json::Value| {
                Some((case["case"].as_str()?.to_owned(), case["runs"][0]["best_seconds"].as_f64()?))
            };
            return Ok(Self { library: device.to_owned(), seconds: cases.iter().filter_map(time).collect() });
        }
        // What is not there is null, which is neither text nor a map.
        Ok(Self {
            library: serde_json::from_value(value["library"].clone()).context("library")?,
            seconds: serde_json::from_value(value["seconds"].clone()).context("seconds")?,
        })
    }

    /// The time of a case, if the library has it.
    pub(super) fn seconds(&self, case: &str) -> Option<f64> {
        self.seconds.get(case).copied().filter(|s| *s > 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_times() {
        let compared = Compared::parse(r#"{"library": "torch", "seconds": {"a": 0.5, "b": 0.0}}"#).unwrap();
        assert_eq!((compared.library.as_str(), compared.seconds("a")), ("torch", Some(0.5)));
        assert_eq!((compared.seconds("b"), compared.seconds("c")), (None, None));
        let bench = r#"{"device": "ort:cpu", "cases": [{"case": "a", "runs": [{"best_seconds": 2.0}]}]}"#;
        let compared = Compared::parse(bench).unwrap();
        assert_eq!((compared.library.as_str(), compared.seconds("a")), ("ort:cpu", Some(2.0)));
        assert!(Compared::parse("[]").is_err() && Compared::parse(r#"{"library": "torch"}"#).is_err());
    }
}
