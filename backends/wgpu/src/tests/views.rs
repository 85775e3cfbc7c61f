//! Views that begin behind the start of their storage.

use std::sync::Arc;

use kinograph_backend::{Control, Device, HostData, HostTensor, MemoryWeights};
use kinograph_graph::{Attr, DType, GraphBuilder, TensorDesc, ValueId, ops};

use super::open;

/// Some elements of the first axis.
fn part(b: &mut GraphBuilder, of: ValueId, first: i64, end: i64) -> ValueId {
    let ints = |name: &str, value| (name.to_owned(), Attr::Ints(vec![value]));
    let attrs = [ints("starts", first), ints("ends", end), ints("axes", 0)];
    b.node(ops::find("Slice").unwrap(), &[Some(of)], attrs, &format!("part of {of:?}")).unwrap()[0]
}

/// Builds a graph of one output, runs it, and gives its elements.
fn run(
    build: impl Fn(&mut GraphBuilder, &[ValueId]) -> ValueId,
    inputs: &[(TensorDesc, Vec<f64>)],
) -> Option<Vec<f64>> {
    let device = open(&[])?;
    let mut b = GraphBuilder::new("g");
    let ids: Vec<_> = inputs
        .iter()
        .enumerate()
        .map(|(i, (desc, _))| b.input(&format!("x{i}"), desc.clone()).unwrap())
        .collect();
    let out = build(&mut b, &ids);
    let graph = Arc::new(b.finish([("out", out)]).unwrap());
    let executable = device.compile(graph, Arc::new(MemoryWeights::new())).unwrap();
    let given = inputs.iter().map(|(desc, values)| {
        let data = HostData::from_f64(desc.dtype, values);
        device.upload(HostTensor::new(desc.shape.clone(), data).unwrap()).unwrap()
    });
    let made = executable.run(&given.collect::<Vec<_>>(), &Control::new()).unwrap();
    Some(device.download(&made[0]).unwrap().data().to_f64())
}

/// Three of four halves take as many words as all.
#[test]
fn an_output_that_is_a_part_begins_where_it_should() {
    for dtype in [DType::F16, DType::BF16, DType::F32] {
        let build = |b: &mut GraphBuilder, x: &[ValueId]| {
            let all = b.node(ops::find("Relu").unwrap(), &[Some(x[0])], [], "all").unwrap()[0];
            part(b, all, 1, 4)
        };
        let Some(found) = run(build, &[(TensorDesc::new(dtype, [4]), vec![1.0, 2.0, 3.0, 4.0])]) else {
            return;
        };
        assert_eq!(found, [2.0, 3.0, 4.0], "{dtype}");
    }
}

/// Weights and a bias that a graph computes or cuts.
#[test]
fn a_convolution_reads_a_part_of_a_weight() {
    for op in ["Conv", "ConvTranspose"] {
        let build = |b: &mut GraphBuilder, x: &[ValueId]| {
            let (weight, bias) = (part(b, x[1], 1, 3), part(b, x[2], 2, 4));
            b.node(ops::find(op).unwrap(), &[Some(x[0]), Some(weight), Some(bias)], [], "conv").unwrap()[0]
        };
        let of = |shape: &[usize], values: &[f64]| (TensorDesc::new(DType::F32, shape), values.to_vec());
        let inputs = [
            of(&[1, 2, 1], &[1.0, 10.0]),
            of(&[3, 2, 1], &[7.0, 7.0, 1.0, 2.0, 3.0, 4.0]),
            of(&[4], &[9.0, 9.0, 0.25, 0.5]),
        ];
        let Some(found) = run(build, &inputs) else { return };
        let due = if op == "Conv" { [21.25, 43.5] } else { [31.25, 42.5] };
        assert_eq!(found, due, "{op}");
    }
}

/// No channels, so the bias is all.
#[test]
fn a_convolution_of_nothing_reads_a_part_of_a_bias() {
    let build = |b: &mut GraphBuilder, x: &[ValueId]| {
        let bias = part(b, x[2], 1, 3);
        b.node(ops::find("Conv").unwrap(), &[Some(x[0]), Some(x[1]), Some(bias)], [], "conv").unwrap()[0]
    };
    let of = |shape: &[usize], values: &[f64]| (TensorDesc::new(DType::F32, shape), values.to_vec());
    let inputs = [of(&[1, 0, 2], &[]), of(&[2, 0, 1], &[]), of(&[3], &[9.0, 1.0, 2.0])];
    let Some(found) = run(build, &inputs) else { return };
    assert_eq!(found, [1.0, 1.0, 2.0, 2.0]);
}
