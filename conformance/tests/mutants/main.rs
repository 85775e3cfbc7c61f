//! The checker checked: devices and hosts that do one thing wrong are caught, each by name; the same device without a fault is
//! not; and the node that is wrong is found.

mod device;
mod faults;
mod hosts;

use std::sync::Arc;

use kinograph_conformance::{
    Catalogue, Item, Outcome, Selection, Settings, Subject, replay, run_replay, test,
};

use device::{Fault, Habits, MutantDevice, Step};

fn items(filters: &[&str]) -> Vec<Item> {
    let filters = filters.iter().map(|f| (*f).to_owned()).collect();
    Catalogue::builtin().unwrap().select(&Selection { filters, quick: true, ..Selection::default() })
}

fn honest() -> Subject {
    Subject::new(MutantDevice::open(Arc::new(|_: &mut Step<'_>| None), Habits::default()))
}

/// The cases that a subject fails, and how, as they are asked for.
fn failures<'a>(subject: &'a Subject, items: &'a [Item]) -> impl Iterator<Item = (&'a Item, String)> {
    let settings = Settings { bisect: false, ..Settings::default() };
    items.iter().filter_map(move |item| {
        let record = test(subject, item, &settings);
        record.outcome.is_failure().then(|| (item, record.to_string()))
    })
}

/// How a mutant fails the first case that it fails and an honest subject passes: another would show nothing of the fault.
fn caught(subject: &Subject, items: &[Item]) -> Option<String> {
    let honest = honest();
    let passes = |item: &Item| test(&honest, item, &Settings::default()).outcome.is_pass();
    failures(subject, items).find(|(item, _)| passes(item)).map(|(_, failure)| failure)
}

#[test]
fn every_mutant_is_caught() {
    let mutants = faults::all();
    assert!(mutants.len() >= 25, "{}", mutants.len());
    let mut missed = Vec::new();
    for mutant in &mutants {
        let items = items(mutant.cases);
        assert!(!items.is_empty(), "{}: no case", mutant.name);
        let subject = Subject::new(MutantDevice::open(mutant.fault.clone(), mutant.habits));
        match caught(&subject, &items) {
            Some(failure) => println!("{}: {failure}", mutant.name),
            None => missed.push(mutant.name),
        }
    }
    println!("{} mutants", mutants.len());
    assert!(missed.is_empty(), "not caught: {missed:#?}");
}

#[test]
fn every_mutant_host_is_caught() {
    let mut missed = Vec::new();
    for (name, cases, host) in hosts::all() {
        let subject = Subject { host, ..honest() };
        match caught(&subject, &items(cases)) {
            Some(failure) => println!("{name}: {failure}"),
            None => missed.push(name),
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:#?}");
}

#[test]
fn the_same_device_without_a_fault_passes() {
    let subject = honest();
    let mut cases = items(&[
        "op/Linear/",
        "op/Attention/",
        "op/Exp/",
        "graph/adaLN",
        "pipeline/solver",
        "pipeline/blend",
    ]);
    cases.extend(items(&["pipeline/tiles/", "pipeline/sampling/", "pipeline/noise", "pipeline/schedule"]));
    assert_eq!(failures(&subject, &cases).next().map(|(_, failure)| failure), None);
}

/// A fault in one node of a graph, by its name.
fn planted(node: &'static str) -> Fault {
    Arc::new(move |s: &mut Step<'_>| {
        if s.node.name != node {
            return None;
        }
        Some(s.run()?.into_iter().map(|t| t.map(|v| t.dtype().quantize(v * 1.01))).collect())
    })
}

#[track_caller]
fn assert_found(case: &str, node: &'static str) {
    let item = items(&[case]).into_iter().find(|item| item.id == case).unwrap();
    let subject = Subject::new(MutantDevice::open(planted(node), Habits::default()));
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { save: Some(folder.path().to_owned()), ..Settings::default() };
    let record = test(&subject, &item, &settings);
    let Outcome::Failed(failure) = &record.outcome else { panic!("{record}") };
    let found = failure.divergence.as_ref().unwrap_or_else(|| panic!("{record}"));
    assert_eq!(found.node, node, "{record}");
    assert!(found.alone);
    // What was saved fails on the mutant and passes on an honest device.
    let saved = failure.saved.as_ref().unwrap();
    let again = run_replay(&subject, saved).unwrap();
    let Outcome::Failed(failure) = &again.outcome else { panic!("{again}") };
    assert_eq!(failure.divergence.as_ref().unwrap().node, node);
    let right = run_replay(&honest(), saved).unwrap();
    assert!(right.outcome.is_pass(), "{right}");
    assert_eq!(right.id, case);
}

#[test]
fn the_wrong_node_of_the_backbone_is_found() {
    assert_found("graph/backbone of four layers", "blocks.2.attn.attention");
    assert_found("graph/backbone of four layers", "blocks.0.norm2");
    assert_found("graph/backbone of four layers", "time_act");
}

#[test]
fn the_wrong_node_of_the_autoencoder_is_found() {
    assert_found("graph/decoder T=2", "decoder.up.2.resize_space");
    assert_found("graph/decoder T=1", "decoder.levels.0.0.conv2.temporal");
    assert_found("graph/encoder T=9", "encoder.mid.attn_temporal.attention");
}

#[test]
fn a_file_of_a_failure_that_is_damaged_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.replay");
    for bytes in [&b""[..], b"12345678", b"\x02\0\0\0\0\0\0\0{}", &[0xff; 64]] {
        std::fs::write(&path, bytes).unwrap();
        assert!(replay::load(&path).is_err());
    }
}
