//! Charts as SVG, in the colours of the page.

use std::fmt::Write as _;

use super::Report;
use super::page::{escape, seconds, share};
use crate::outcome::{HeatMap, Outcome, Record};

/// The least share that the axis shows; what is exact stands there too.
const LEAST: f64 = 1e-4;

/// Each case as a dot at its share of the bound, a row for each op or kind of pipeline.
pub(super) fn shares(report: &Report) -> String {
    let rows: Vec<(&str, Vec<&Record>)> = report
        .groups()
        .into_iter()
        .map(|(name, records)| {
            (name, records.into_iter().filter(|r| r.outcome != Outcome::Identical && measured(r)).collect())
        })
        .filter(|(_, records): &(&str, Vec<&Record>)| !records.is_empty())
        .collect();
    if rows.is_empty() {
        return "<p class=\"quiet\">No case has an error.</p>".into();
    }
    let (left, width, line, top) = (190.0, 620.0, 17.0, 26.0);
    let height = top + rows.len() as f64 * line + 10.0;
    let x = |share: f64| left + width * (share.clamp(LEAST, 10.0) / LEAST).log10() / 5.0;
    let mut out = open(left + width + 70.0, height, "error of each case as a share of its bound");
    for (tick, label) in [
        (1e-4, "\u{2264}0.0001"),
        (1e-3, "0.001"),
        (1e-2, "0.01"),
        (1e-1, "0.1"),
        (1.0, "1: the bound"),
        (10.0, "\u{2265}10"),
    ] {
        let class = if tick == 1.0 { "limit" } else { "grid" };
        let x = x(tick);
        let _ = write!(
            out,
            "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top}\" y2=\"{:.1}\"/>",
            height - 6.0
        );
        let _ = write!(
            out,
            "<text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
            top - 8.0
        );
    }
    for (i, (name, records)) in rows.iter().enumerate() {
        let y = top + (i as f64 + 0.5) * line;
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left - 10.0,
            y + 4.0,
            escape(name)
        );
        for record in records {
            let label = format!("{}: {} of the bound", record.id, share(record.share));
            let _ = write!(
                out,
                "<circle class=\"v-{}\" cx=\"{:.1}\" cy=\"{y:.1}\" r=\"3.2\"><title>{}</title></circle>",
                record.outcome.name(),
                x(record.share),
                escape(&label)
            );
        }
    }
    out + "</svg></div>"
}

fn measured(record: &Record) -> bool {
    !matches!(record.outcome, Outcome::Unsupported { .. })
}

/// The time of each group, the device's share of it dark.
pub(super) fn times(report: &Report) -> String {
    let sum = |records: &[&Record], f: fn(&Record) -> f64| records.iter().map(|r| f(r)).sum::<f64>();
    let mut rows: Vec<(&str, f64, f64)> = report
        .groups()
        .into_iter()
        .map(|(name, records)| (name, sum(&records, |r| r.seconds), sum(&records, |r| r.device_seconds)))
        .collect();
    rows.sort_by(|a, b| b.1.total_cmp(&a.1));
    rows.truncate(16);
    let most = rows.first().map_or(1.0, |row| row.1.max(1e-9));
    let (left, width, line) = (190.0, 560.0, 20.0);
    let mut out = open(left + width + 210.0, rows.len() as f64 * line + 6.0, "time by kind of case");
    for (i, (name, whole, device)) in rows.iter().enumerate() {
        let (y, device) = (i as f64 * line + 3.0, device.min(*whole));
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left - 10.0,
            y + 12.0,
            escape(name)
        );
        let (w, d) = ((width * whole / most).max(1.0), width * device / most);
        let _ = write!(
            out,
            "<rect class=\"time\" x=\"{left}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"14\" rx=\"2\"/>"
        );
        let _ = write!(
            out,
            "<rect class=\"time-device\" x=\"{left}\" y=\"{y:.1}\" width=\"{d:.1}\" height=\"14\" rx=\"2\"/>"
        );
        let label = format!("{} (device {})", seconds(*whole), seconds(device));
        let _ = write!(
            out,
            "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\">{label}</text>",
            left + w + 6.0,
            y + 12.0
        );
    }
    out + "</svg></div>"
}

/// A heat map. The darkest cell is the largest number, which is said.
pub(super) fn heat(map: &HeatMap) -> String {
    let columns = map.values.iter().map(Vec::len).max().unwrap_or(0);
    let most = map.values.iter().flatten().flatten().fold(0.0f64, |m, v| m.max(*v));
    let label = map.rows.iter().map(|r| r.chars().count()).max().unwrap_or(0) as f64 * 6.6 + 12.0;
    let cell = (680.0 / columns.max(1) as f64).clamp(6.0, 22.0);
    let line = if map.values.len() > 24 { 10.0 } else { 15.0 };
    let (top, width) = (6.0, label + cell * columns as f64 + 8.0);
    let height = top + line * map.values.len() as f64 + 24.0;
    let mut out = open(width.max(460.0), height, &map.title);
    for (r, row) in map.values.iter().enumerate() {
        let y = top + line * r as f64;
        if line > 12.0 || r % 4 == 0 {
            let name = escape(label_of(map, r));
            let _ = write!(
                out,
                "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
                label - 6.0,
                y + line * 0.75
            );
        }
        for (c, value) in row.iter().enumerate() {
            let Some(value) = value else { continue };
            let heat = if most > 0.0 { 100.0 * (value / most).sqrt() } else { 0.0 };
            let _ = write!(
                out,
                "<rect class=\"cell\" style=\"--h:{heat:.0}%\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\"><title>{}, {} {}: {value:.2e}</title></rect>",
                label + cell * c as f64,
                cell - 0.6,
                line - 0.6,
                escape(label_of(map, r)),
                escape(&map.columns),
                c
            );
        }
    }
    let bottom = top + line * map.values.len() as f64;
    for mark in &map.marks {
        let x = label + cell * *mark as f64 - 0.3;
        let _ = write!(
            out,
            "<line class=\"seam\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>",
            top - 4.0,
            bottom + 2.0
        );
    }
    let axis = if map.marks.is_empty() { "" } else { "; a line is where a tile begins" };
    let _ = write!(
        out,
        "<text class=\"tick\" x=\"{label:.1}\" y=\"{:.1}\">{} 0 to {}; the largest is {most:.2e}{axis}</text></svg></div>",
        bottom + 17.0,
        escape(&map.columns),
        columns.saturating_sub(1)
    );
    out
}

/// The name of a row; a report from elsewhere may lack it.
fn label_of(map: &HeatMap, row: usize) -> &str {
    map.rows.get(row).map_or("", String::as_str)
}

fn open(width: f64, height: f64, title: &str) -> String {
    format!(
        "<div class=\"chart\"><svg viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" \
         role=\"img\" aria-label=\"{}\">",
        escape(title)
    )
}
