//! What a device is known to get wrong, with the reason.

use serde::Deserialize;

use crate::case::{Case, CaseError};

/// Cases that a device is expected to fail. One that passes all the same is to be taken off the list.
#[derive(Clone, Debug, Default)]
pub struct Expectations {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    op: String,
    /// How the names of its cases begin.
    case: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    fails: Vec<Entry>,
}

impl Expectations {
    /// Reads a file of `[[fails]]` tables with `op`, `case` (how the names of its cases begin) and `reason`.
    ///
    /// # Errors
    /// [`CaseError::Format`].
    pub fn parse(file: &str, text: &str) -> Result<Self, CaseError> {
        let parsed: File = toml::from_str(text)
            .map_err(|e| CaseError::Format { file: file.to_owned(), reason: e.to_string() })?;
        Ok(Self { entries: parsed.fails })
    }

    /// Why a case is expected to fail, if it is.
    pub fn reason(&self, case: &Case) -> Option<&str> {
        let entry = self.entries.iter().find(|e| e.op == case.op.name && case.name.starts_with(&e.case))?;
        Some(&entry.reason)
    }

    /// Entries that no case belongs to.
    pub fn idle<'c>(&self, cases: impl IntoIterator<Item = &'c Case> + Clone) -> Vec<String> {
        let used =
            |e: &Entry| cases.clone().into_iter().any(|c| e.op == c.op.name && c.name.starts_with(&e.case));
        self.entries.iter().filter(|e| !used(e)).map(|e| format!("{} `{}`", e.op, e.case)).collect()
    }
}
