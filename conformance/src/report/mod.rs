//! Reports of runs: JSON to keep and to compare, JUnit XML for build servers, and pages to read.

mod charts;
mod html;
mod junit;
mod matrix;
mod page;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use kinograph_backend::DeviceInfo;
use serde::{Deserialize, Serialize};

use crate::outcome::{Outcome, Record};

pub use html::html;
pub use junit::junit;
pub use matrix::matrix;

/// The version of the JSON.
const FORMAT: u32 = 1;

/// A run of cases on one device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The version of this format, 1.
    pub format: u32,
    /// The version of the suite.
    pub suite: String,
    /// The device.
    pub device: Device,
    /// True for a quick run.
    pub quick: bool,
    /// The seed of the data.
    pub seed: u64,
    /// Seconds of the whole run.
    pub seconds: f64,
    /// The cases.
    pub cases: Vec<Record>,
}

/// What is known of a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// Its id.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Facts in order.
    pub facts: Vec<(String, String)>,
}

/// Why a report was not written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The file system's.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no report.
    #[error("{path}: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Cases by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Every bit right.
    pub identical: usize,
    /// Within the bounds.
    pub within: usize,
    /// Not taken.
    pub unsupported: usize,
    /// Failed as expected.
    pub expected: usize,
    /// Failed, or passed unexpectedly.
    pub failed: usize,
}

impl Counts {
    /// Counts records.
    pub fn of<'r>(records: impl IntoIterator<Item = &'r Record>) -> Self {
        let mut counts = Self::default();
        for record in records {
            *match record.outcome {
                Outcome::Identical => &mut counts.identical,
                Outcome::Within => &mut counts.within,
                Outcome::Unsupported { .. } => &mut counts.unsupported,
                Outcome::ExpectedFailure { .. } => &mut counts.expected,
                Outcome::UnexpectedPass { .. } | Outcome::Failed(_) => &mut counts.failed,
            } += 1;
        }
        counts
    }

    /// All of them.
    pub fn total(self) -> usize {
        self.passed() + self.unsupported + self.expected + self.failed
    }

    /// Those that are right.
    pub fn passed(self) -> usize {
        self.identical + self.within
    }
}

impl Report {
    /// A report of a device's cases.
    pub fn new(device: &DeviceInfo, quick: bool, seed: u64, seconds: f64, cases: Vec<Record>) -> Self {
        let DeviceInfo { id, name, facts } = device.clone();
        let suite = env!("CARGO_PKG_VERSION").to_owned();
        Self { format: FORMAT, suite, device: Device { id, name, facts }, quick, seed, seconds, cases }
    }

    /// True when nothing failed and something passed: a device that takes nothing shows nothing.
    pub fn conforms(&self) -> bool {
        let counts = self.counts();
        counts.failed == 0 && counts.passed() > 0
    }

    /// Its cases by verdict.
    pub fn counts(&self) -> Counts {
        Counts::of(&self.cases)
    }

    /// Its cases by what they belong to, ops first.
    pub fn groups(&self) -> Vec<(&str, Vec<&Record>)> {
        let mut groups: BTreeMap<(u8, &str), Vec<&Record>> = BTreeMap::new();
        for record in &self.cases {
            let order = match record.kind.as_str() {
                "op" => 0,
                "graph" => 1,
                _ => 2,
            };
            groups.entry((order, record.group.as_str())).or_default().push(record);
        }
        groups.into_iter().map(|((_, name), records)| (name, records)).collect()
    }

    /// Writes it as JSON.
    ///
    /// # Errors
    /// [`ReportError`].
    pub fn write(&self, path: &Path) -> Result<(), ReportError> {
        let format =
            |e: serde_json::Error| ReportError::Format { path: path.to_owned(), reason: e.to_string() };
        write(path, &serde_json::to_string(self).map_err(format)?)
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`ReportError`].
    pub fn read(path: &Path) -> Result<Self, ReportError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ReportError::Io { path: path.to_owned(), source })?;
        let format = |reason: String| ReportError::Format { path: path.to_owned(), reason };
        let report: Self = serde_json::from_str(&text).map_err(|e| format(e.to_string()))?;
        if report.format != FORMAT {
            return Err(format(format!("it has format {}, but this program reads {FORMAT}", report.format)));
        }
        Ok(report)
    }
}

/// Writes each report as JSON, JUnit XML and a page, and the matrix of all as `index.html`, to a folder that is made if need
/// be. Files have the names of the devices; where several devices have one, as on several machines, all but the first get a
/// number. Gives the path of the matrix.
///
/// # Errors
/// [`ReportError`].
pub fn write_all(folder: &Path, reports: &[Report]) -> Result<PathBuf, ReportError> {
    std::fs::create_dir_all(folder).map_err(|source| ReportError::Io { path: folder.to_owned(), source })?;
    for (report, name) in reports.iter().zip(file_names(reports)) {
        report.write(&folder.join(format!("{name}.json")))?;
        write(&folder.join(format!("{name}.xml")), &junit(report))?;
        write(&folder.join(format!("{name}.html")), &html(report))?;
    }
    let index = folder.join("index.html");
    write(&index, &matrix(reports))?;
    Ok(index)
}

fn write(path: &Path, text: &str) -> Result<(), ReportError> {
    std::fs::write(path, text).map_err(|source| ReportError::Io { path: path.to_owned(), source })
}

/// The names of the files of reports without what they end in, each another.
fn file_names(reports: &[Report]) -> Vec<String> {
    // The matrix has a name too, and some file systems do not tell `a` from `A`.
    let mut taken = BTreeSet::from(["index".to_owned()]);
    let name = |report: &Report| {
        let own = file_name(&report.device.id);
        let (mut name, mut number) = (own.clone(), 1);
        while !taken.insert(name.to_ascii_lowercase()) {
            number += 1;
            name = format!("{own}-{number}");
        }
        name
    };
    reports.iter().map(name).collect()
}

/// An id as the name of a file.
fn file_name(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '.' { c } else { '_' }).collect()
}
