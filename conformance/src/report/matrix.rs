//! The page of all devices: what each computes, and how close.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::page::{escape, page, seconds, share, thousands, verdict_bar};
use super::{Counts, Report, file_names};
use crate::outcome::{Outcome, Record};

/// The matrix over devices as a page that needs nothing but itself. It links to the pages of the devices beside it.
pub fn matrix(reports: &[Report]) -> String {
    let mut body = String::from(
        "<header><h1>Kinograph conformance</h1><p class=\"lead\">Whether each device computes what the models say. Each cell is all \
         cases of an op, of graphs or of a kind of pipeline; the number is the largest error as a share of what the op and its \
         data allow, so that 1 is the edge of being wrong.</p></header><main>",
    );
    body.push_str(&devices(reports));
    body.push_str("<section><h2>What, and how close</h2>");
    body.push_str(LEGEND);
    body.push_str(&cells(reports));
    body.push_str("</section>");
    body.push_str(&differences(reports));
    body.push_str("</main>");
    page("Kinograph conformance", &body)
}

const LEGEND: &str = "<ul class=\"legend\"><li><i class=\"v-identical\"></i>identical to the exact answer, rounded once</li>\
    <li><i class=\"v-within\"></i>within the bound</li><li><i class=\"v-unsupported\"></i>unsupported</li>\
    <li><i class=\"v-expected-failure\"></i>has expected failures</li><li><i class=\"v-failed\"></i>failed</li>\
    <li><span class=\"quiet\">a corner: some of its cases are not supported</span></li></ul>";

fn devices(reports: &[Report]) -> String {
    let mut out = String::from("<section class=\"cards\">");
    for (report, file) in reports.iter().zip(file_names(reports)) {
        let counts = report.counts();
        let class = if report.conforms() { "good" } else { "bad" };
        let verdict = match (report.conforms(), counts.failed) {
            (true, _) => "conforms".to_owned(),
            (false, 0) => "no case passed".to_owned(),
            (false, failed) => format!("{} failed", thousands(failed)),
        };
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "<article class=\"card\"><h2><a href=\"{file}.html\">{}</a></h2><p class=\"quiet\">{}</p>\
             <p class=\"verdict {class}\">{verdict}</p>{}<p class=\"quiet\">{} in {}</p></article>",
            escape(&report.device.id),
            escape(&report.device.name),
            verdict_bar(counts),
            if report.quick { "quick run" } else { "full run" },
            seconds(report.seconds)
        );
    }
    out + "</section>"
}

/// Groups in the order of the first report that has them, each with the records of every device.
fn rows(reports: &[Report]) -> Vec<(String, Vec<Vec<&Record>>)> {
    let mut rows: Vec<(String, Vec<Vec<&Record>>)> = Vec::new();
    for (device, report) in reports.iter().enumerate() {
        for (name, records) in report.groups() {
            let at = rows.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
                rows.push((name.to_owned(), vec![Vec::new(); reports.len()]));
                rows.len() - 1
            });
            rows[at].1[device] = records;
        }
    }
    rows
}

fn cells(reports: &[Report]) -> String {
    let rows = rows(reports);
    // Columns of the page, each a table: a hundred rows in one would not be seen at once.
    let parts = match reports.len() {
        _ if rows.len() < 30 => 1,
        0..=2 => 3,
        3..=5 => 2,
        _ => 1,
    };
    let mut out = String::from("<div class=\"matrices\">");
    for part in rows.chunks(rows.len().div_ceil(parts).max(1)) {
        out.push_str("<table class=\"matrix\"><thead><tr><th></th>");
        reports.iter().for_each(|r| {
            let _ = write!(out, "<th>{}</th>", escape(&r.device.id));
        });
        out.push_str("</tr></thead><tbody>");
        for (name, devices) in part {
            let _ = write!(out, "<tr><th>{}</th>", escape(name));
            devices.iter().for_each(|records| cell(&mut out, name, records));
            out.push_str("</tr>");
        }
        out.push_str("</tbody></table>");
    }
    out + "</div>"
}

fn cell(out: &mut String, name: &str, records: &[&Record]) {
    let counts = Counts::of(records.iter().copied());
    let passed = || records.iter().filter(|r| r.outcome.is_pass());
    let worst = passed().fold(0.0f64, |m, r| m.max(r.share));
    let (class, text) = match counts {
        c if c.total() == 0 => ("none", String::new()),
        c if c.failed > 0 => ("failed", format!("{} \u{2717}", c.failed)),
        c if c.passed() == 0 && c.expected == 0 => ("unsupported", "\u{2013}".to_owned()),
        c if c.expected > 0 => ("expected-failure", share(worst)),
        c if c.within == 0 => ("identical", "=".to_owned()),
        _ => ("within", share(worst)),
    };
    let corner = if counts.unsupported > 0 && counts.passed() > 0 { " corner" } else { "" };
    let heat = 100.0 * worst.clamp(0.0, 1.0).sqrt();
    let title = format!(
        "{name}: {} identical, {} within, {} unsupported, {} expected to fail, {} failed",
        counts.identical, counts.within, counts.unsupported, counts.expected, counts.failed
    );
    let title = escape(&title);
    let _ =
        write!(out, "<td class=\"v-{class}{corner}\" style=\"--h:{heat:.0}%\" title=\"{title}\">{text}</td>");
}

/// What a device refuses or gets wrong, by reason.
fn differences(reports: &[Report]) -> String {
    let mut out = String::from("<section><h2>What is not there, and why</h2>");
    for report in reports {
        let mut reasons: BTreeMap<(u8, String), Vec<&Record>> = BTreeMap::new();
        for record in &report.cases {
            let key = match &record.outcome {
                Outcome::Failed(_) => (0, "failed".to_owned()),
                Outcome::UnexpectedPass { reason } => (0, format!("passes unexpectedly: {reason}")),
                Outcome::ExpectedFailure { reason, .. } => (1, format!("expected failure: {reason}")),
                Outcome::Unsupported { reason } => (2, reason.clone()),
                Outcome::Identical | Outcome::Within => continue,
            };
            reasons.entry(key).or_default().push(record);
        }
        if reasons.is_empty() {
            continue;
        }
        let _ = write!(out, "<h3>{}</h3><ul class=\"reasons\">", escape(&report.device.id));
        for ((_, reason), records) in reasons {
            let mut groups: Vec<&str> = records.iter().map(|r| r.group.as_str()).collect();
            groups.sort_unstable();
            groups.dedup();
            let shown = groups.iter().take(12).map(|g| escape(g)).collect::<Vec<_>>().join(", ");
            let more = if groups.len() > 12 { ", ..." } else { "" };
            let _ = write!(
                out,
                "<li>{} <span class=\"quiet\">{} of {shown}{more}</span></li>",
                escape(&reason),
                if records.len() == 1 { "1 case".to_owned() } else { format!("{} cases", records.len()) },
            );
        }
        out.push_str("</ul>");
    }
    out + "</section>"
}
