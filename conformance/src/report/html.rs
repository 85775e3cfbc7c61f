//! The page of one device.

use std::fmt::Write as _;

use super::page::{escape, page, seconds, share, thousands, verdict_bar};
use super::{Report, charts};
use crate::outcome::{HeatMap, Outcome, Record};

/// The report as a page that needs nothing but itself.
pub fn html(report: &Report) -> String {
    let device = &report.device;
    let mut body = String::from("<header><p class=\"crumbs\"><a href=\"index.html\">All devices</a></p>");
    // Writing to a String cannot fail.
    let _ = write!(
        body,
        "<h1>{}</h1><p class=\"lead\">{}</p></header><main>",
        escape(&device.id),
        escape(&device.name)
    );
    body.push_str(&summary(report));
    body.push_str(&failures(report));
    section(
        &mut body,
        "How close",
        "Each dot is a case, at its largest error as a share of what the op and its data allow. Right of the line is wrong. \
         Cases of which every bit is that of the exact answer are left out.",
        &charts::shares(report),
    );
    section(
        &mut body,
        "Tiles, seams and steps",
        "Where a tiled clip differs from one that was never cut (by design, as tiles see less), and how far sampling has strayed \
         after each step.",
        &maps(report),
    );
    section(
        &mut body,
        "Time",
        "Whole cases with the exact evaluation that they are held against; dark, what the device took.",
        &charts::times(report),
    );
    section(&mut body, "Every case", "", &table(report));
    body.push_str("</main>");
    page(&format!("{} - Kinograph conformance", device.id), &body)
}

fn section(body: &mut String, title: &str, lead: &str, content: &str) {
    let _ = write!(body, "<section><h2>{title}</h2>");
    if !lead.is_empty() {
        let _ = write!(body, "<p class=\"lead\">{lead}</p>");
    }
    let _ = write!(body, "{content}</section>");
}

fn summary(report: &Report) -> String {
    let counts = report.counts();
    let (class, verdict) = match (report.conforms(), counts.failed) {
        (true, _) => ("good", "conforms".to_owned()),
        (false, 0) => ("bad", "shows nothing: no case passed".to_owned()),
        (false, failed) => ("bad", format!("fails {}", cases(failed))),
    };
    let mut out =
        format!("<section class=\"summary\"><p class=\"verdict {class}\">This device {verdict}.</p>");
    out.push_str(&verdict_bar(counts));
    let passed = || report.cases.iter().filter(|r| r.outcome.is_pass());
    let taken = passed().fold(0usize, |n, record| n.saturating_add(record.elements));
    let worst = passed().max_by(|a, b| a.share.total_cmp(&b.share));
    let _ = write!(out, "<dl class=\"facts\">");
    let mut fact = |name: &str, value: &str| {
        let _ = write!(out, "<div><dt>{}</dt><dd>{}</dd></div>", escape(name), escape(value));
    };
    fact("numbers compared", &thousands(taken));
    if let Some(worst) = worst.filter(|w| w.share > 0.0) {
        fact("nearest to its bound", &format!("{} of it, {}", share(worst.share), worst.id));
    }
    fact("time", &seconds(report.seconds));
    fact("run", if report.quick { "quick" } else { "full" });
    fact("suite", &report.suite);
    report.device.facts.iter().for_each(|(name, value)| fact(name, value));
    out + "</dl></section>"
}

fn cases(count: usize) -> String {
    if count == 1 { "1 case".into() } else { format!("{} cases", thousands(count)) }
}

fn failures(report: &Report) -> String {
    let failed: Vec<&Record> = report.cases.iter().filter(|r| r.outcome.is_failure()).collect();
    if failed.is_empty() {
        return String::new();
    }
    let mut out = format!("<section class=\"failures\"><h2>{} failed</h2>", cases(failed.len()));
    for record in failed {
        let _ = write!(out, "<article><h3>{}</h3>", escape(&record.id));
        match &record.outcome {
            Outcome::Failed(failure) => {
                let _ = write!(out, "<p>{}</p>", escape(&failure.message));
                if let Some(divergence) = &failure.divergence {
                    let _ = write!(out, "<p class=\"node\">{}</p>", escape(&divergence.to_string()));
                }
                if let Some(path) = &failure.saved {
                    let path = escape(&path.display().to_string());
                    let _ = write!(
                        out,
                        "<pre>kinograph conformance replay {path} --device {}</pre>",
                        escape(&report.device.id)
                    );
                }
            }
            other => {
                let _ = write!(out, "<p>{}</p>", escape(&other.detail()));
            }
        }
        if let Some(smaller) = &record.smaller {
            let _ = write!(out, "<p>A smaller one: <code>{}</code></p>", escape(smaller));
        }
        out.push_str("</article>");
    }
    out + "</section>"
}

fn maps(report: &Report) -> String {
    let mut out = String::new();
    for map in joined(report) {
        let _ = write!(
            out,
            "<figure><figcaption>{}</figcaption>{}</figure>",
            escape(&map.title),
            charts::heat(&map)
        );
    }
    if out.is_empty() { "<p class=\"quiet\">This run has none of these cases.</p>".into() } else { out }
}

/// Maps of one row with one title become one map, a row a case.
fn joined(report: &Report) -> Vec<HeatMap> {
    let mut out: Vec<HeatMap> = Vec::new();
    for record in &report.cases {
        let short = record.id.trim_start_matches("pipeline/");
        for map in &record.maps {
            if let [row] = &map.values[..] {
                let name = short.trim_start_matches("sampling/").to_owned();
                match out.iter_mut().find(|m| m.title == map.title) {
                    Some(known) => {
                        known.rows.push(name);
                        known.values.push(row.clone());
                    }
                    None => out.push(HeatMap { rows: vec![name], ..map.clone() }),
                }
                continue;
            }
            let notes = record.notes.iter().map(|n| format!("; {n}")).collect::<String>();
            out.push(HeatMap { title: format!("{short}: {}{notes}", map.title), ..map.clone() });
        }
    }
    out
}

fn table(report: &Report) -> String {
    let mut out = String::from(
        "<div class=\"tools\"><input type=\"search\" id=\"find\" placeholder=\"Find a case, an op, a reason\" aria-label=\"find\">\
         <select id=\"verdict\" aria-label=\"verdict\"><option value=\"\">every verdict</option><option value=\"failed\">failed</option>\
         <option value=\"expected-failure\">expected failure</option><option value=\"unsupported\">unsupported</option>\
         <option value=\"within\">within bound</option><option value=\"identical\">identical</option></select>\
         <span id=\"count\" class=\"quiet\"></span></div><table class=\"cases\"><thead><tr><th>case</th><th>verdict</th>\
         <th class=\"n\">share of bound</th><th class=\"n\">rms</th><th class=\"n\">largest error</th><th class=\"n\">numbers</th>\
         <th class=\"n\">device</th></tr></thead>",
    );
    for (name, records) in report.groups() {
        let counts = super::Counts::of(records.iter().copied());
        let _ = write!(
            out,
            "<tbody><tr class=\"group\"><th colspan=\"7\">{} <span class=\"quiet\">{}</span></th></tr>",
            escape(name),
            cases(counts.total())
        );
        records.into_iter().for_each(|record| row(&mut out, record));
        out.push_str("</tbody>");
    }
    out + "</table>"
}

fn row(out: &mut String, record: &Record) {
    let name = record.outcome.name();
    let class = if record.outcome.is_failure() { "failed" } else { name };
    let short = record.id.strip_prefix(&format!("{}/{}/", record.kind, record.group)).unwrap_or(&record.id);
    let mut detail = record.outcome.detail();
    record.notes.iter().for_each(|note| {
        let _ = write!(detail, "{}{note}", if detail.is_empty() { "" } else { "; " });
    });
    let detail =
        if detail.is_empty() { String::new() } else { format!("<small>{}</small>", escape(&detail)) };
    let number = |v: f64, shown: String| if v == 0.0 { String::new() } else { shown };
    let _ = write!(
        out,
        "<tr data-v=\"{class}\"><td>{}{detail}</td><td><span class=\"chip v-{name}\">{}</span></td><td class=\"n\">{}</td>\
         <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
        escape(short),
        name.replace('-', " "),
        number(record.share, share(record.share)),
        number(record.spread, share(record.spread)),
        number(record.largest, format!("{:.1e}", record.largest)),
        thousands(record.elements),
        number(record.device_seconds, seconds(record.device_seconds)),
    );
}
