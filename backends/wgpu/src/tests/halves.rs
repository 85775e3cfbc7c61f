//! Values that are kept as f16.

use std::sync::Arc;

use kinograph_backend::{Control, Device, HostData, HostTensor, MemoryWeights};
use kinograph_graph::exact::Slices;
use kinograph_graph::{Attr, Bindings, DType, Graph, GraphBuilder, TensorDesc, ops, passes};

use super::{flipbook, open, traits, traits_of};
use crate::lower::{self, Halves, Traits, WeightSource};
use crate::shader::{Multiply, Square, Variant};

/// 1 + 2^-12 is 1 as f16: with -1 beside it nothing is left.
#[test]
fn a_weight_is_of_the_type_that_the_graph_declares() {
    let Some(device) = open(&[]) else { return };
    let desc = |shape: &[usize]| TensorDesc::new(DType::F16, shape);
    let mut b = GraphBuilder::new("g");
    let (x, w) = (b.input("x", desc(&[1, 2])).unwrap(), b.weight("w", desc(&[1, 2])).unwrap());
    let y = b.node(ops::find("Linear").unwrap(), &[Some(x), Some(w)], [], "y").unwrap()[0];
    let graph = Arc::new(b.finish([("y", y)]).unwrap());
    let mut weights = MemoryWeights::new();
    weights.insert_f32("w", [1, 2], &[1.0 + 1.0 / 4096.0, -1.0]);
    let executable = device.compile(graph, Arc::new(weights)).unwrap();
    let x = HostTensor::new([1, 2], HostData::from_f64(DType::F16, &[1024.0; 2])).unwrap();
    let out = executable.run(&[device.upload(x).unwrap()], &Control::new()).unwrap();
    assert_eq!(device.download(&out[0]).unwrap().data().to_f64(), [0.0]);
}

/// Whole tiles of a product of halves are multiplied by cooperative matrices, and what is left of rows and columns as without.
#[test]
fn the_ends_of_a_product_are_left_to_other_kernels() {
    for side in [8, 16] {
        let multiply = Multiply::Matrices(Square { side, lanes: 32 });
        let traits = traits_of(Variant { multiply, ..traits(true).variant });
        let steps = steps(1, traits);
        let [whole, columns, rows] = steps[..] else { panic!("{steps:?}") };
        let tile = 2 * side;
        assert_eq!(whole, ("gemm_halves", [100 / tile, 70 / tile, 1]));
        assert_eq!((columns.0, rows.0), ("gemm_along", "gemm_along"));
    }
    // Not where rows go backwards, or were not asked for: what is loaded together is not held against the ends of a buffer.
    let names = |step, traits| steps(step, traits).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    let square = Square { side: 16, lanes: 32 };
    let squares = Traits { squares: Some(square), ..traits(true) };
    assert_eq!(names(1, squares), ["gemm_halves", "gemm_along", "gemm_along"]);
    assert_eq!(names(-1, squares), ["gemm_along"]);
    let tuned = traits_of(Variant { multiply: Multiply::Matrices(square), ..traits(true).variant });
    assert_eq!(names(1, Traits { squares: None, ..tuned }), ["gemm_along"]);
}

/// The kernels of a product of 70x64 halves, whose rows are taken with that step, and 100 columns.
fn steps(step: i64, traits: Traits) -> Vec<(&'static str, [u32; 3])> {
    let desc = |shape: &[usize]| TensorDesc::new(DType::F16, shape);
    let mut b = GraphBuilder::new("g");
    let (x, w) = (b.input("x", desc(&[70, 64])).unwrap(), b.weight("w", desc(&[100, 64])).unwrap());
    let ends = if step > 0 { (0, 70) } else { (69, -71) };
    let ints = |name: &str, value| (name.to_owned(), Attr::Ints(vec![value]));
    let attrs = [ints("starts", ends.0), ints("ends", ends.1), ints("axes", 0), ints("steps", step)];
    let rows = b.node(ops::find("Slice").unwrap(), &[Some(x)], attrs, "rows").unwrap()[0];
    let y = b.node(ops::find("Linear").unwrap(), &[Some(rows), Some(w)], [], "y").unwrap()[0];
    let graph = b.finish([("y", y)]).unwrap();
    let plan = lower::lower(&graph, WeightSource::Declared, traits, "wgpu").unwrap();
    plan.steps.iter().map(|step| (step.shader.name, step.grid)).collect()
}

/// What is declared as f16 takes two bytes an element; reproducible numerics keep their f32 whatever was asked for.
#[test]
fn halves_are_kept_where_they_change_no_promised_bit() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", TensorDesc::new(DType::F16, [1001])).unwrap();
    let e = b.node(ops::find("Softmax").unwrap(), &[Some(x)], [], "e").unwrap()[0];
    let graph = b.finish([("e", e)]).unwrap();
    let of = |graph: &Graph, halves| {
        let traits = Traits { halves, ..traits(true) };
        lower::lower(graph, WeightSource::Declared, traits, "wgpu").unwrap()
    };
    let bytes = |halves| of(&graph, halves).storages.iter().map(|s| s.bytes).collect::<Vec<_>>();
    assert_eq!(bytes(Halves::None), [4004, 4004]);
    assert_eq!(bytes(Halves::Declared), [2004, 2004]);
    let backbone = flipbook("backbone.toml", &Bindings::new());
    let exact = passes::reproducible(&backbone, Slices::Two).unwrap();
    let texts = |graph: &Graph, halves| {
        let plan = of(graph, halves);
        let texts: Vec<_> = plan.steps.into_iter().map(|step| step.shader.source).collect();
        (texts, plan.storages.into_iter().map(|s| s.bytes).collect::<Vec<_>>())
    };
    assert!(texts(&exact, Halves::All) == texts(&exact, Halves::Declared));
    assert!(texts(&backbone, Halves::All) != texts(&backbone, Halves::Declared));
}
