//! What a device is known to get wrong, with the reason.

use serde::Deserialize;

use crate::case::{Case, CaseError};

/// What devices are known to get wrong that this repository tests, by the first part of their ids. A device without known failures
/// needs no entry; those of others come by a file.
const KNOWN: &[(&str, &str)] = &[("tract", include_str!("../expectations/tract.toml"))];

/// Cases that a device is expected to fail. One that passes all the same is to be taken off the list.
#[derive(Clone, Debug, Default)]
pub struct Expectations {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    op: Option<String>,
    /// How the names of its cases begin.
    case: Option<String>,
    /// Or how the whole id begins.
    id: Option<String>,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    fails: Vec<Entry>,
}

impl Entry {
    /// How the ids of its cases begin.
    fn id(&self) -> String {
        match (&self.id, &self.op) {
            (Some(id), _) => id.clone(),
            (None, op) => {
                format!(
                    "op/{}/{}",
                    op.as_deref().unwrap_or_default(),
                    self.case.as_deref().unwrap_or_default()
                )
            }
        }
    }
}

impl Expectations {
    /// What this repository knows of a device; nothing for most.
    ///
    /// # Errors
    /// When a file is wrong, which a test rules out.
    pub fn of_device(id: &str) -> Result<Self, CaseError> {
        let backend = id.split(':').next().unwrap_or(id);
        match KNOWN.iter().find(|(name, _)| *name == backend) {
            Some((name, text)) => Self::parse(name, text),
            None => Ok(Self::default()),
        }
    }

    /// Reads a file of `[[fails]]` tables: `op` and `case` (how the names of its cases begin), or `id` (how the whole id begins,
    /// such as `graph/` or `pipeline/tiles/4:2`), and `reason`.
    ///
    /// # Errors
    /// [`CaseError::Format`].
    pub fn parse(file: &str, text: &str) -> Result<Self, CaseError> {
        let format = |reason: String| CaseError::Format { file: file.to_owned(), reason };
        let parsed: File = toml::from_str(text).map_err(|e| format(e.to_string()))?;
        let is_clear =
            |e: &Entry| matches!((&e.id, &e.op, &e.case), (Some(_), None, None) | (None, Some(_), _));
        if let Some(entry) = parsed.fails.iter().find(|entry| !is_clear(entry)) {
            return Err(format(format!(
                "an entry needs either `id`, or `op` and perhaps `case` (\"{}\")",
                entry.reason
            )));
        }
        Ok(Self { entries: parsed.fails })
    }

    /// Adds those of another file.
    pub fn extend(&mut self, other: Self) {
        self.entries.extend(other.entries);
    }

    /// Why a case is expected to fail, if it is.
    pub fn reason(&self, case: &Case) -> Option<&str> {
        self.reason_of(&format!("op/{}/{}", case.op.name, case.name))
    }

    /// Why the case of that id is expected to fail, if it is.
    pub fn reason_of(&self, id: &str) -> Option<&str> {
        self.entries.iter().find(|entry| id.starts_with(&entry.id())).map(|entry| entry.reason.as_str())
    }

    /// Entries that no case of an op belongs to.
    pub fn idle<'c>(&self, cases: impl IntoIterator<Item = &'c Case> + Clone) -> Vec<String> {
        let ids: Vec<String> =
            cases.into_iter().map(|case| format!("op/{}/{}", case.op.name, case.name)).collect();
        let ops = self.entries.iter().map(Entry::id).filter(|id| id.starts_with("op/"));
        ops.filter(|entry| !ids.iter().any(|id| id.starts_with(entry))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_of_known_failures_parse() {
        KNOWN
            .iter()
            .for_each(|(name, _)| assert!(!Expectations::of_device(name).unwrap().entries.is_empty()));
        assert!(Expectations::of_device("cpu").unwrap().entries.is_empty());
    }

    #[test]
    fn an_entry_names_an_op_or_an_id() {
        let text = "[[fails]]\nid = \"graph/adaLN\"\nreason = \"a\"\n[[fails]]\nop = \"Exp\"\ncase = \"wide\"\nreason = \"b\"\n";
        let expectations = Expectations::parse("x.toml", text).unwrap();
        assert_eq!(expectations.reason_of("graph/adaLN"), Some("a"));
        assert_eq!(expectations.reason_of("op/Exp/wide f32"), Some("b"));
        assert_eq!(expectations.reason_of("op/Exp/scalar f32"), None);
        for entry in ["", "id = \"op/\"\nop = \"Exp\"\n", "id = \"op/Exp/\"\ncase = \"wide\"\n"] {
            let text = format!("[[fails]]\n{entry}reason = \"c\"\n");
            assert!(Expectations::parse("x.toml", &text).is_err(), "{text}");
        }
    }
}
