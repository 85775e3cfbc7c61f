//! The suite in reproducible numerics: on every device that this build and this machine have, each case is right to the bit or
//! refused with a reason, and none is merely close.

use std::collections::BTreeMap;

use kinograph::{Precision, Runtime};
use kinograph_backend::DeviceOptions;
use kinograph_conformance::{Catalogue, Item, Outcome, Selection, Settings, Subject, random_items, test};

/// Ops, graphs and random ops; decoders of whole clips take long in plain arithmetic.
fn items() -> Vec<Item> {
    let chosen = Selection {
        quick: true,
        filters: vec!["op/".into(), "graph/".into()],
        without: vec!["graph/decoder".into()],
    };
    let mut items = Catalogue::builtin().unwrap().select(&chosen);
    items.extend(random_items(1, 200));
    items
}

/// Identical, refused; what is neither fails the test.
fn judge(subject: &Subject, items: &[Item]) -> (usize, BTreeMap<String, usize>) {
    let (mut identical, mut refused, mut wrong) = (0, BTreeMap::new(), Vec::new());
    for item in items {
        let record = test(subject, item, &Settings::default());
        match &record.outcome {
            Outcome::Identical => identical += 1,
            Outcome::Unsupported { reason } => *refused.entry(reason.clone()).or_default() += 1,
            _ => wrong.push(record.to_string()),
        }
    }
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), items.len(), wrong.join("\n"));
    (identical, refused)
}

#[test]
fn every_case_has_the_same_bits_on_every_device() {
    let runtime = Runtime::new();
    let items = items();
    for info in runtime.devices() {
        // A session or kernels for each case take their time: every so manyth case, another part for each precision.
        let part = match info.id.as_str() {
            "cpu" => 1,
            _ if info.fact("type") == Some("cpu") => 60,
            _ => 6,
        };
        for (precision, first) in [(Precision::R16, 0), (Precision::R8, part / 2)] {
            let device = runtime.open(&info.id, &DeviceOptions::default()).unwrap();
            let subject = Subject::reproducible(device, precision).unwrap_or_else(|e| panic!("{e}"));
            let own: Vec<Item> = items.iter().skip(first).step_by(part).cloned().collect();
            let (identical, refused) = judge(&subject, &own);
            println!("{} {precision:?}: {identical} of {} identical", info.id, own.len());
            refused.iter().for_each(|(reason, count)| println!("    {count} refused: {reason}"));
            // Two in five are of other types, or of ops that models do not need.
            assert!(3 * identical > own.len(), "a device that refuses most shows little");
        }
    }
}
