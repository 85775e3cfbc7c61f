//! JUnit XML, which build servers show.

use std::fmt::Write as _;

use super::Report;
use super::page::escape;
use crate::outcome::Outcome;

/// The report as JUnit XML: a suite a device, a test a case. What is unsupported or expected to fail is skipped, with the reason.
pub fn junit(report: &Report) -> String {
    let counts = report.counts();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "<testsuites><testsuite name=\"kinograph-conformance {}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\" time=\"{:.3}\">",
        escape(&report.device.id),
        counts.total(),
        counts.failed,
        counts.unsupported + counts.expected,
        report.seconds
    );
    for case in &report.cases {
        let (class, name) = case.id.split_once('/').unwrap_or(("case", &case.id));
        let _ = write!(
            out,
            "  <testcase classname=\"{}.{}\" name=\"{}\" time=\"{:.6}\"",
            escape(&report.device.id),
            escape(class),
            escape(name),
            case.seconds
        );
        let detail = escape(&case.outcome.detail());
        let _ = match &case.outcome {
            Outcome::Identical | Outcome::Within => writeln!(out, "/>"),
            Outcome::Unsupported { .. } | Outcome::ExpectedFailure { .. } => {
                writeln!(out, "><skipped message=\"{detail}\"/></testcase>")
            }
            Outcome::UnexpectedPass { .. } | Outcome::Failed(_) => {
                writeln!(out, "><failure message=\"{detail}\"/></testcase>")
            }
        };
    }
    out.push_str("</testsuite></testsuites>\n");
    out
}
