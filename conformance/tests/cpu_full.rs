//! The whole suite on the CPU device.

use kinograph::Runtime;
use kinograph_backend::DeviceOptions;
use kinograph_conformance::{Catalogue, Selection, Settings, Subject, random_items, test};

#[test]
fn the_whole_suite_passes() {
    let device = Runtime::new().open("cpu", &DeviceOptions::default()).unwrap();
    let subject = Subject::new(device);
    let mut items = Catalogue::builtin().unwrap().select(&Selection::default());
    items.extend(random_items(1000, 200));
    let settings = Settings::default();
    let mut wrong = Vec::new();
    for item in &items {
        let record = test(&subject, item, &settings);
        println!("{:8.3} {record}", record.seconds);
        if !record.outcome.is_pass() {
            wrong.push(record.to_string());
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), items.len(), wrong.join("\n"));
}
