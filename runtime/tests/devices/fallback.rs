//! Graphs in parts.

use std::ops::ControlFlow;
use std::sync::Arc;

use kinograph::{Device, Error, Fallback, Model, Package, Request};

use crate::common::{cpu, flipbook, tiny};
use crate::picky::Picky;

fn package() -> Package {
    Package::built_in(kinograph_flipbook::FILES).unwrap()
}

fn request() -> Request {
    Request::new("a red circle moves left").frames(8).steps(2).seed(3)
}

#[test]
fn without_a_fallback_every_refused_node_is_named() {
    let model = Model::load(package(), Picky::without(&["Attention", "RMSNormalization"])).unwrap();
    let error = model.generate(&request(), |_| ControlFlow::Continue(())).unwrap_err();
    let Error::Refused { device, nodes, .. } = &error else { panic!("{error}") };
    assert_eq!(device, "picky");
    assert!(nodes.iter().any(|(_, op, _)| op == "Attention"), "{error}");
    assert!(nodes.iter().any(|(_, op, _)| op == "RMSNormalization"), "{error}");
    assert!(error.to_string().contains("fallback"), "{error}");
}

/// The same kernels in parts give the same bits, whatever goes to which device.
#[test]
fn parts_give_what_the_whole_gives() {
    let whole = flipbook().generate(&request(), |_| ControlFlow::Continue(())).unwrap();
    for refused in [&["Attention"][..], &["Conv", "Swish"], &["Split"]] {
        let device = Arc::new(Fallback::new(Picky::without(refused), cpu()));
        let model = Model::load(package(), device as Arc<dyn Device>).unwrap();
        let parts = model.generate(&request(), |_| ControlFlow::Continue(())).unwrap();
        assert!(parts.frames.data() == whole.frames.data(), "without {refused:?}");
    }
}

#[test]
fn plans_show_the_parts() {
    let device: Arc<dyn Device> = Arc::new(Fallback::new(Picky::without(&["Attention"]), cpu()));
    let plan = kinograph::plan(&package(), device, &request()).unwrap();
    let backbone = plan.stages.iter().find(|s| s.component == "backbone").unwrap();
    let on = |id: &str| backbone.partitions.iter().filter(|p| p.0 == id).count();
    // Two attentions a layer, eight layers: each is a part of its own between parts of the first device.
    assert_eq!((on("cpu"), on("picky")), (16, 17));
    let nodes: usize = backbone.partitions.iter().map(|p| p.1).sum();
    let whole = kinograph::plan(&package(), cpu(), &request()).unwrap();
    let whole = whole.stages.iter().find(|s| s.component == "backbone").unwrap();
    assert_eq!(whole.partitions, [("cpu".to_owned(), nodes)]);
}

#[test]
fn a_node_that_neither_takes_is_an_error() {
    let device = Arc::new(Fallback::new(Picky::without(&["Gather"]), Picky::without(&["Gather"])));
    let model = Model::load(Package::in_memory(tiny()).unwrap(), device as Arc<dyn Device>).unwrap();
    let error = model.generate(&Request::new("x"), |_| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
}

/// What a memory limit is held against.
#[test]
fn a_fallback_needs_no_less_memory() {
    let plan = |device: Arc<dyn Device>| kinograph::plan(&package(), device, &request()).unwrap();
    let whole = plan(cpu());
    for refused in [&[][..], &["Conv"]] {
        let parts = plan(Arc::new(Fallback::new(Picky::without(refused), cpu())));
        for (one, other) in whole.stages.iter().zip(&parts.stages) {
            assert!(other.memory.run >= one.memory.run, "{:?} without {refused:?}", one.component);
        }
    }
}
