//! Policies.

use kinograph::backend::DeviceError;
use kinograph::{Backend, Device, DeviceInfo, DeviceOptions, Error, Package, Policy, Runtime};
use std::sync::Arc;

use crate::common::tiny;
use crate::picky::Picky;

struct PickyBackend(&'static [&'static str]);

impl Backend for PickyBackend {
    fn name(&self) -> &str {
        "picky"
    }

    fn devices(&self) -> Result<Vec<DeviceInfo>, DeviceError> {
        Ok(vec![Picky::without(&[]).info().clone()])
    }

    fn open(&self, _: &str, _: &DeviceOptions) -> Result<Arc<dyn Device>, DeviceError> {
        Ok(Picky::without(self.0))
    }
}

fn runtime(refused: &'static [&'static str]) -> Runtime {
    let mut runtime = Runtime::empty();
    runtime.register(Box::new(PickyBackend(refused)));
    runtime
}

fn package() -> Package {
    Package::in_memory(tiny()).unwrap()
}

#[test]
fn every_policy_chooses_a_device_that_takes_the_model() {
    let options = DeviceOptions::default();
    let all = Runtime::new();
    for policy in Policy::ALL {
        let choice = all.choose(policy, &package(), &options, None).unwrap();
        assert_eq!(choice.seen.len(), all.devices().len(), "{policy}");
        assert!(choice.seen.iter().any(|(id, seen)| *id == choice.device.info().id && seen.is_ok()));
        assert_eq!(policy.name().parse(), Ok(policy));
    }
    let auto = all.choose(Policy::Auto, &package(), &options, None).unwrap();
    assert_eq!(auto.device.info().id, "cpu", "there is no graphics processor");
}

#[test]
fn without_a_device_the_reasons_are_told() {
    let error = runtime(&["Gather"]).choose(Policy::Auto, &package(), &DeviceOptions::default(), None);
    let error = error.unwrap_err();
    assert!(matches!(&error, Error::NoDevice { reasons } if reasons.contains("Gather")), "{error}");
}

#[test]
fn times_are_measured_once() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("probe.json");
    let choose = || {
        let choice =
            runtime(&[]).choose(Policy::Fastest, &package(), &DeviceOptions::default(), Some(&cache));
        choice.unwrap().seen[0].1.clone().unwrap()
    };
    let first = choose();
    assert_eq!(choose(), first, "a time from the file is the same to the bit");
    std::fs::write(&cache, "damaged").unwrap();
    choose();
    assert!(std::fs::read_to_string(&cache).unwrap().contains("picky"));
}
