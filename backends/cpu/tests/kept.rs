//! Packed weights that are kept in files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kinograph_backend::{Backend, Control, DeviceOptions, HostTensor, MemoryWeights};
use kinograph_cpu::CpuBackend;
use kinograph_graph::exact::Slices;
use kinograph_graph::{Attr, DType, Graph, GraphBuilder, TensorDesc, ops, passes};

const ROWS: usize = 3;
const WIDTH: usize = 256;
/// A linear layer's pairs and units, and a convolution's, are each above what is too small to keep.
const KERNEL: [usize; 4] = [64, 64, 3, 3];

fn graph() -> (Arc<Graph>, MemoryWeights) {
    let mut b = GraphBuilder::new("g");
    let mut weights = MemoryWeights::new();
    for (name, shape) in [("w", &[WIDTH, WIDTH][..]), ("k", &KERNEL)] {
        let values: Vec<f32> = (0..shape.iter().product()).map(|i: usize| (i as f32).sin()).collect();
        weights.insert_f32(name, shape, &values);
    }
    let desc = |shape: &[usize]| TensorDesc::new(DType::F32, shape);
    let op = |name| ops::find(name).unwrap();
    let (x, w) = (b.input("x", desc(&[ROWS, WIDTH])).unwrap(), b.weight("w", desc(&[WIDTH, WIDTH])).unwrap());
    let linear = b.node(op("Linear"), &[Some(x), Some(w)], [], "linear").unwrap()[0];
    let (image, kernel) =
        (b.input("image", desc(&[1, 64, 5, 5])).unwrap(), b.weight("k", desc(&KERNEL)).unwrap());
    let pads = [("pads".to_owned(), Attr::Ints(vec![1; 4]))];
    let conv = b.node(op("Conv"), &[Some(image), Some(kernel)], pads, "conv").unwrap()[0];
    let graph = b.finish([("linear", linear), ("conv", conv)]).unwrap();
    (Arc::new(passes::reproducible(&graph, Slices::Two).unwrap()), weights)
}

fn options(keep: bool, folder: Option<&Path>) -> DeviceOptions {
    let extra = if keep { [("keep_weights".to_owned(), "true".to_owned())].into() } else { [].into() };
    DeviceOptions { extra, cache: folder.map(Path::to_owned), ..Default::default() }
}

fn run(keep: bool, folder: Option<&Path>) -> Vec<Vec<f32>> {
    let device = CpuBackend.open("cpu", &options(keep, folder)).unwrap();
    let (graph, weights) = graph();
    let executable = device.compile(graph.clone(), Arc::new(weights)).unwrap();
    let inputs: Vec<_> = graph
        .inputs()
        .iter()
        .map(|&id| {
            let shape = &graph.value(id).desc.shape;
            let values = (0..shape.iter().product()).map(|i: usize| (i as f32).cos()).collect();
            device.upload(HostTensor::f32(shape.clone(), values).unwrap()).unwrap()
        })
        .collect();
    let outputs = executable.run(&inputs, &Control::new()).unwrap();
    outputs.iter().map(|out| device.download(out).unwrap().as_f32().unwrap().to_vec()).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder.join("weights")) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn kept_weights_give_the_same_bits_and_damaged_ones_are_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let made = run(false, Some(folder.path()));
    assert!(files(folder.path()).is_empty(), "nothing is kept unasked");
    for round in ["made", "mapped"] {
        assert_eq!(run(true, Some(folder.path())), made, "{round}");
        assert_eq!(files(folder.path()).len(), 2, "{round}");
    }
    let whole: Vec<_> = files(folder.path()).iter().map(|file| std::fs::read(file).unwrap()).collect();
    for file in files(folder.path()) {
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[1000] ^= 1;
        std::fs::write(&file, bytes).unwrap();
    }
    assert_eq!(run(true, Some(folder.path())), made);
    let again: Vec<_> = files(folder.path()).iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(again == whole, "damaged files are written anew");
}

/// What lies in a file is what is computed with: another unit, and a digest that fits, change the result.
#[test]
fn a_kept_file_is_what_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let made = run(true, Some(folder.path()));
    for file in files(folder.path()) {
        let mut bytes = std::fs::read(&file).unwrap();
        let content = bytes.len() - 32;
        let last: [u8; 4] = bytes[content - 4..content].try_into().unwrap();
        bytes[content - 4..content].copy_from_slice(&(2.0 * f32::from_le_bytes(last)).to_le_bytes());
        let digest = blake3::hash(&bytes[..content]);
        bytes[content..].copy_from_slice(digest.as_bytes());
        std::fs::write(&file, bytes).unwrap();
    }
    let other = run(true, Some(folder.path()));
    let last_of_first = |out: &[Vec<f32>]| out[0][WIDTH - 1];
    assert_eq!(last_of_first(&other), 2.0 * last_of_first(&made));
    assert_eq!(other[0][..WIDTH - 1], made[0][..WIDTH - 1]);
}

#[test]
fn what_is_missing_is_said() {
    let error =
        |options: &DeviceOptions| CpuBackend.open("cpu", options).map(|_| ()).unwrap_err().to_string();
    assert!(error(&options(true, None)).contains("needs a directory"));
    let mut wrong = options(false, None);
    wrong.extra.insert("keep_weights".into(), "much".into());
    assert!(error(&wrong).contains("true or false"));
}
