//! Every op case, and random ones, on ONNX Runtime's processor.

use kinograph_backend::{Backend, DeviceOptions};
use kinograph_conformance::{Expectations, Suite, qualify, random_case};
use kinograph_ort::OrtBackend;

/// Cases beyond the suite's: as many seeds.
const RANDOM: u64 = 400;

#[test]
fn every_case_is_within_its_bound_or_refused() {
    let options = DeviceOptions { threads: Some(2), ..Default::default() };
    let device = match OrtBackend::new().open("ort:cpu", &options) {
        Ok(device) => device,
        Err(error) if std::env::var_os("KINOGRAPH_REQUIRE_ALL").is_some() => panic!("{error}"),
        Err(error) => return println!("skipped: ort:cpu: {error}"),
    };
    let suite = Suite::builtin().unwrap();
    let mut cases = suite.cases().to_vec();
    cases.extend((0..RANDOM).filter_map(random_case));
    let expectations = Expectations::default();
    assert!(expectations.idle(&cases).is_empty(), "{:?}", expectations.idle(&cases));
    let found = qualify(&*device, &cases, &expectations);
    println!("{} of {} cases passed", found.passed, cases.len());
    println!("refused: {:#?}\nexpected failures: {:#?}", found.refused, found.expected);
    assert!(found.wrong.is_empty(), "{} are wrong:\n{}", found.wrong.len(), found.wrong.join("\n"));
    assert!(found.passed > cases.len() / 2, "a device that refuses everything shows nothing");
}
