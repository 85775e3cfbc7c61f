//! Reports: what they say, that nothing in them can become markup, and that a browser shows them without a network.

use std::process::Command;

use kinograph::Runtime;
use kinograph_backend::{Backend, DeviceInfo, DeviceOptions};
use kinograph_conformance::report::{Report, html, junit, matrix, write_all};
use kinograph_conformance::{Catalogue, Expectations, HeatMap, Outcome, Selection, Settings, Subject, test};

const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

fn report(device: std::sync::Arc<dyn kinograph_backend::Device>, filters: &[&str]) -> Report {
    let selection = Selection {
        filters: filters.iter().map(|f| (*f).into()).collect(),
        quick: true,
        ..Selection::default()
    };
    let info = device.info().clone();
    let subject = Subject::new(device);
    let settings = Settings { bisect: false, ..Settings::default() };
    let items = Catalogue::builtin().unwrap().select(&selection);
    let cases = items.iter().map(|item| test(&subject, item, &settings)).collect();
    Report::new(&info, true, 0, 1.5, cases)
}

fn cpu() -> std::sync::Arc<dyn kinograph_backend::Device> {
    Runtime::new().open("cpu", &DeviceOptions::default()).unwrap()
}

const SOME: &[&str] =
    &["op/Conv/", "op/Exp/", "graph/adaLN", "pipeline/tiles/", "pipeline/sampling/", "pipeline/blend"];

#[test]
fn a_device_that_computes_zeros_does_not_conform() {
    let null = kinograph_null::NullBackend.open("null", &DeviceOptions::default()).unwrap();
    let report = report(null, SOME);
    assert!(!report.conforms());
    assert!(report.counts().failed > 50);
    let page = html(&report);
    assert!(page.contains("This device fails "), "the page says so");
    assert!(page.contains("op/Conv/causal f32"));
}

#[test]
fn json_comes_back_as_it_was() {
    let report = report(cpu(), SOME);
    assert!(report.conforms());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cpu.json");
    report.write(&path).unwrap();
    assert_eq!(Report::read(&path).unwrap(), report);
    std::fs::write(&path, "{}").unwrap();
    assert!(Report::read(&path).is_err());
}

#[test]
fn junit_counts_and_escapes() {
    let mut report = report(cpu(), &["op/Exp/"]);
    let count = report.cases.len();
    report.device.id = "a<b>&\"c\"".into();
    report.cases[0].outcome = Outcome::Unsupported { reason: "no <kernel>".into() };
    let xml = junit(&report);
    assert!(xml.contains(&format!("tests=\"{count}\" failures=\"0\" skipped=\"1\"")), "{xml}");
    assert!(
        xml.contains("no &lt;kernel&gt;")
            && xml.contains("a&lt;b&gt;&amp;&quot;c&quot;")
            && !xml.contains("a<b>")
    );
    assert_eq!(xml.matches("<testcase ").count(), count);
}

#[test]
fn expectations_turn_verdicts_round() {
    let subject = Subject::new(cpu());
    let text = "[[fails]]\nid = \"op/Exp/\"\nreason = \"it does not\"\n";
    let settings = Settings { expectations: Expectations::parse("x", text).unwrap(), ..Settings::default() };
    let selection = Selection { filters: vec!["op/Exp/scalar f32".into()], ..Selection::default() };
    let item = Catalogue::builtin().unwrap().select(&selection).remove(0);
    let record = test(&subject, &item, &settings);
    assert_eq!(record.outcome, Outcome::UnexpectedPass { reason: "it does not".into() });
    assert!(record.outcome.is_failure());
    let null = kinograph_null::NullBackend.open("null", &DeviceOptions::default()).unwrap();
    let record = test(&Subject::new(null), &item, &settings);
    assert!(matches!(record.outcome, Outcome::ExpectedFailure { .. }), "{record}");
}

#[test]
fn pages_need_nothing_but_themselves() {
    let report = report(cpu(), SOME);
    for page in [html(&report), matrix(&[report])] {
        for outside in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}

/// The pages as a browser sees them, scripts run, without a network.
#[test]
fn chromium_shows_the_pages() {
    let Some(browser) = BROWSERS.into_iter().find(|b| Command::new(b).arg("--version").output().is_ok())
    else {
        assert!(std::env::var_os("KINOGRAPH_REQUIRE_ALL").is_none(), "no Chromium is installed");
        return println!("skipped: chromium_shows_the_pages: no Chromium is installed");
    };
    let folder = tempfile::tempdir().unwrap();
    let null = kinograph_null::NullBackend.open("null", &DeviceOptions::default()).unwrap();
    let reports = [report(cpu(), SOME), report(null, SOME)];
    let index = write_all(folder.path(), &reports).unwrap();
    let dump = |page: &std::path::Path| {
        let out = Command::new(browser)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--disable-background-networking",
            ])
            .args(["--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=2000", "--dump-dom"])
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .arg(format!("file://{}", page.display()))
            .output()
            .unwrap();
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    let page = dump(&folder.path().join("cpu.html"));
    // The script has counted the rows that it shows.
    assert!(
        page.contains(&format!("{} shown", reports[0].cases.len())),
        "{}",
        &page[page.len().saturating_sub(500)..]
    );
    assert!(page.contains("This device conforms."));
    let page = dump(&index);
    assert!(
        page.contains("href=\"cpu.html\"")
            && page.contains("href=\"null.html\"")
            && page.contains("conforms")
    );
}

#[test]
fn ids_of_devices_become_safe_file_names() {
    let info = DeviceInfo { id: "../x:0/..".into(), name: String::new(), facts: Vec::new() };
    let folder = tempfile::tempdir().unwrap();
    write_all(folder.path(), &[Report::new(&info, true, 0, 0.0, Vec::new())]).unwrap();
    assert!(folder.path().join(".._x_0_...json").exists());
}

#[test]
fn devices_of_one_name_keep_files_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let reports = ["cpu", "CPU", "cpu", "index"].map(|id| {
        let info = DeviceInfo { id: id.into(), name: String::new(), facts: Vec::new() };
        Report::new(&info, true, 0, 0.0, Vec::new())
    });
    let index = std::fs::read_to_string(write_all(folder.path(), &reports).unwrap()).unwrap();
    for (name, report) in ["cpu", "CPU-2", "cpu-3", "index-2"].into_iter().zip(&reports) {
        assert_eq!(Report::read(&folder.path().join(format!("{name}.json"))).unwrap(), *report);
        assert!(index.contains(&format!("href=\"{name}.html\"")), "{name}");
    }
}

/// Reports come from other machines, and so may be anything that parses.
#[test]
fn numbers_and_maps_that_do_not_fit_are_shown_all_the_same() {
    let mut report = report(cpu(), &["op/Exp/scalar"]);
    assert!(report.cases.len() > 1);
    for case in &mut report.cases {
        case.elements = usize::MAX;
        case.maps.push(HeatMap {
            title: format!("of {}", case.id),
            values: vec![vec![Some(1.0), None], vec![Some(f64::MAX)]],
            marks: vec![usize::MAX],
            ..HeatMap::default()
        });
    }
    assert!(html(&report).contains("<rect class=\"cell\"") && matrix(&[report]).contains("conforms"));
}
