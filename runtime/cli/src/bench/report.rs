//! What is printed: lines as they are measured, the tables of docs/performance.md, or JSON.

use std::io::Write;
use std::sync::Arc;

use kinograph::Device;
use serde_json::{Value, json};

use super::case::Case;
use super::compare::Compared;
use super::measure::Run;
use super::peak::Peak;

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Format {
    Text,
    Markdown,
    Json,
}

/// One case on each device.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) product: bool,
    /// Operations of a product; bytes read and written of anything else.
    pub(super) amount: f64,
    /// Nothing where a device lacks the case.
    pub(super) runs: Vec<Option<Run>>,
}

impl Row {
    /// Operations or bytes a second on the first device.
    fn rate(&self) -> f64 {
        self.first().map_or(0.0, |run| self.amount / run.best)
    }

    fn first(&self) -> Option<&Run> {
        self.runs.first()?.as_ref()
    }

    /// The time of the first device over that of another.
    fn ratio(&self, other: usize) -> Option<f64> {
        Some(self.first()?.best / self.runs.get(other)?.as_ref()?.best)
    }

    /// The share of the peak.
    fn share(&self) -> Option<f64> {
        self.first().filter(|_| self.product).map(|run| self.rate() / run.peak)
    }

    /// How much faster the second device is.
    fn speedup(&self) -> Option<f64> {
        self.ratio(1)
    }
}

pub(super) struct Report {
    format: Format,
    /// The first device, on which shares are, and its facts.
    device: String,
    facts: Vec<(String, String)>,
    /// What the column of speed-ups is called.
    scaling: Option<String>,
    /// The devices measured beside the first.
    others: Vec<String>,
    peak_size: usize,
    compared: Option<Compared>,
    /// Collected for JSON, which is printed as a whole.
    rows: Vec<Value>,
}

impl Report {
    pub(super) fn new(
        format: Format,
        scaling: bool,
        devices: &[Arc<dyn Device>],
        peaks: &[Peak],
        compared: Option<Compared>,
    ) -> Self {
        let info = devices[0].info();
        Self {
            format,
            device: info.id.clone(),
            facts: info.facts.clone(),
            scaling: devices.get(1).filter(|_| scaling).map(|device| {
                let threads = device.info().fact("threads");
                threads.map_or_else(|| "all threads".into(), |count| format!("{count} threads"))
            }),
            others: devices.iter().skip(1).filter(|_| !scaling).map(|d| d.info().id.clone()).collect(),
            peak_size: peaks[0].size,
            compared,
            rows: Vec::new(),
        }
    }

    /// The head of the table.
    pub(super) fn begin(&self, out: &mut impl Write) -> anyhow::Result<()> {
        if self.format == Format::Json {
            return Ok(());
        }
        writeln!(out, "{}\n", self.device_line())?;
        let titles = self.titles();
        match self.format {
            Format::Markdown => {
                writeln!(out, "| {} |", titles.join(" | "))?;
                writeln!(out, "|---|{}", "---:|".repeat(titles.len() - 1))?;
            }
            _ => writeln!(out, "{}", aligned(&titles))?,
        }
        Ok(out.flush()?)
    }

    /// One line, as soon as it is measured.
    pub(super) fn add(&mut self, row: Row, out: &mut impl Write) -> anyhow::Result<()> {
        let cells = self.cells(&row);
        match self.format {
            Format::Json => self.rows.push(self.json(&row)),
            Format::Markdown => writeln!(out, "| {} |", cells.join(" | "))?,
            Format::Text => writeln!(out, "{}", aligned(&cells))?,
        }
        Ok(out.flush()?)
    }

    /// The peak, which is known best at the end.
    pub(super) fn end(self, peaks: &[Peak], out: &mut impl Write) -> anyhow::Result<()> {
        let peak = &peaks[0];
        if self.format == Format::Json {
            let all = json!({
                "device": self.device,
                "facts": self.facts.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
                "peak": { "matmul": peak.size, "best": peak.best(), "worst": peak.worst() },
                "compared": self.compared.map(|c| c.library),
                "cases": self.rows,
            });
            writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
            return Ok(());
        }
        writeln!(
            out,
            "\nThe peak is a matrix product of {0}x{0}x{0}, measured before and after each case: {1:.1} to {2:.1} GFLOP/s.",
            self.peak_size,
            peak.worst() / 1e9,
            peak.best() / 1e9
        )?;
        Ok(())
    }

    fn device_line(&self) -> String {
        let facts: Vec<String> = self.facts.iter().map(|(name, value)| format!("{name} {value}")).collect();
        format!("{}: {}", self.device, facts.join(", "))
    }

    fn titles(&self) -> Vec<String> {
        let fixed = ["case", "best ms", "median ms", "GFLOP/s", "of peak", "planned MB", "process MB"];
        let mut titles: Vec<String> = fixed.map(str::to_owned).to_vec();
        titles.extend(self.scaling.clone());
        for id in &self.others {
            titles.extend([format!("{id} ms"), format!("{id} MB"), format!("over {id}")]);
        }
        titles.extend(self.compared.as_ref().map(|c| format!("{} ms", c.library)));
        titles
    }

    fn cells(&self, row: &Row) -> Vec<String> {
        let absent = || "-".to_owned();
        let Some(run) = row.first() else { return vec![row.name.clone()] };
        let rate = row.rate() / 1e9;
        let mut cells = vec![
            row.name.clone(),
            milliseconds(run.best),
            milliseconds(run.median),
            if row.product { format!("{rate:.1}") } else { format!("{rate:.1} GB/s") },
            row.share().map_or_else(absent, |share| format!("{:.0} %", 100.0 * share)),
            megabytes(run.planned),
            run.added.map_or_else(absent, megabytes),
        ];
        if self.scaling.is_some() {
            cells.push(row.speedup().map_or_else(absent, |speedup| format!("{speedup:.2}x")));
        }
        for (i, _) in self.others.iter().enumerate() {
            let other = row.runs.get(i + 1).and_then(Option::as_ref);
            cells.push(other.map_or_else(absent, |run| milliseconds(run.best)));
            cells.push(other.and_then(|run| run.added).map_or_else(absent, megabytes));
            cells.push(row.ratio(i + 1).map_or_else(absent, |ratio| format!("{ratio:.2}")));
        }
        if let Some(compared) = &self.compared {
            cells.push(compared.seconds(&row.name).map_or_else(absent, milliseconds));
        }
        cells
    }

    fn json(&self, row: &Row) -> Value {
        let runs: Vec<Value> = row
            .runs
            .iter()
            .map(|run| {
                let Some(run) = run else { return Value::Null };
                json!({
                    "best_seconds": run.best, "median_seconds": run.median, "peak": run.peak,
                    "planned_bytes": run.planned, "process_bytes": run.added,
                })
            })
            .collect();
        json!({
            "case": row.name,
            if row.product { "flops" } else { "bytes" }: row.amount,
            "rate": row.rate(), "share": row.share(), "runs": runs,
            "speedup": self.scaling.as_ref().and_then(|_| row.speedup()),
            "compared_seconds": self.compared.as_ref().and_then(|c| c.seconds(&row.name)),
        })
    }
}

/// Prints the cases instead of measuring them.
pub(super) fn list(cases: &[&Case], out: &mut impl Write) -> anyhow::Result<()> {
    let cases: Vec<Value> = cases.iter().map(|case| case.json()).collect();
    Ok(writeln!(out, "{}", serde_json::to_string_pretty(&cases)?)?)
}

fn aligned(cells: &[String]) -> String {
    let (name, numbers) = cells.split_first().map_or(("", cells), |(name, rest)| (name.as_str(), rest));
    let numbers: String = numbers.iter().map(|cell| format!(" {cell:>10}")).collect();
    format!("{name:<56}{numbers}")
}

fn milliseconds(seconds: f64) -> String {
    let ms = seconds * 1e3;
    if ms < 10.0 { format!("{ms:.3}") } else { format!("{ms:.1}") }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}
