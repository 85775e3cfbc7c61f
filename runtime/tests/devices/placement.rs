//! Components on devices of their own.

use std::ops::ControlFlow;

use kinograph::{Model, Package, Placement, Request};

use crate::common::{cpu, load, tiny};
use crate::picky::Picky;

#[test]
fn components_run_where_they_are_placed() {
    let package = || Package::in_memory(tiny()).unwrap();
    let make = |model: Model| model.generate(&Request::new("x"), |_| ControlFlow::Continue(()));
    let plain = make(load(tiny()).unwrap()).unwrap();
    // The picky device could not run the text encoder or the decoder.
    let picky = || Picky::without(&["Gather", "Resize"]);
    for text in ["text", "bytes"] {
        let placement = Placement::new(picky()).with(text, cpu()).with("decoder", cpu());
        let placed = make(Model::load(package(), placement).unwrap()).unwrap();
        assert!(placed.frames.data() == plain.frames.data(), "{text}");
    }
    assert!(make(Model::load(package(), Placement::new(picky()).with("text", cpu())).unwrap()).is_err());
    assert!(make(Model::load(package(), Placement::new(picky()).with("decoder", cpu())).unwrap()).is_err());
}

#[test]
fn a_component_that_is_not_there_is_named() {
    let placement = Placement::new(cpu()).with("upsampler", cpu());
    let error = Model::load(Package::in_memory(tiny()).unwrap(), placement).unwrap_err().to_string();
    assert!(error.contains("upsampler") && error.contains("backbone"), "{error}");
}
