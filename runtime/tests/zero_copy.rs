//! Weights stay in their mapped file: compiling a large model takes hardly any memory of its own.
//!
//! `KINOGRAPH_LARGE=1` takes a model of 3 GiB instead of 512 MiB.
#![cfg(target_os = "linux")]
#![allow(missing_docs)]

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::sync::Arc;

use kinograph::Runtime;
use kinograph::backend::{Control, Device, DeviceOptions, HostTensor, WeightView, Weights};
use kinograph::graph::{DType, Graph, GraphBuilder, TensorDesc, ops};

/// Rows and columns of each layer: 16 MiB of f32.
const SIDE: usize = 2048;

/// Layers' weights one after the other in a mapped file.
struct Mapped {
    map: memmap2::Mmap,
    shape: [usize; 2],
}

impl Weights for Mapped {
    fn get(&self, name: &str) -> Option<WeightView<'_>> {
        let layer: usize = name.strip_prefix("layer")?.parse().ok()?;
        let bytes = SIDE * SIDE * 4;
        let bytes = self.map.get(layer * bytes..(layer + 1) * bytes)?;
        Some(WeightView { dtype: DType::F32, shape: &self.shape, bytes })
    }
}

/// The first number of a layer: two in turn, so that their product stays small however many there are.
fn first(layer: usize) -> f32 {
    if layer.is_multiple_of(2) { 2.0 } else { 0.5 }
}

/// A file of so many layers: zeros, which take no room on the disk, and a number at the start of each layer.
fn weights(layers: usize) -> Arc<Mapped> {
    let mut file: File = tempfile::tempfile().unwrap();
    file.set_len((layers * SIDE * SIDE * 4) as u64).unwrap();
    for layer in 0..layers {
        file.seek(SeekFrom::Start((layer * SIDE * SIDE * 4) as u64)).unwrap();
        file.write_all(&first(layer).to_le_bytes()).unwrap();
    }
    // SAFETY: the file is this test's own, has no name, and is not written any more.
    let map = unsafe { memmap2::Mmap::map(&file) }.unwrap();
    Arc::new(Mapped { map, shape: [SIDE, SIDE] })
}

fn graph(layers: usize) -> Arc<Graph> {
    let mut b = GraphBuilder::new("deep");
    let mut x = b.input("x", TensorDesc::new(DType::F32, [1, SIDE])).unwrap();
    for layer in 0..layers {
        let w = b.weight(&format!("layer{layer}"), TensorDesc::new(DType::F32, [SIDE, SIDE])).unwrap();
        x = b.node(ops::find("Linear").unwrap(), &[Some(x), Some(w)], [], &format!("fc{layer}")).unwrap()[0];
    }
    Arc::new(b.finish([("y", x)]).unwrap())
}

/// Memory of the process that no file stands behind, in bytes.
fn anonymous() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0
}

fn check(device: &dyn Device) {
    let layers = if std::env::var_os("KINOGRAPH_LARGE").is_some() { 192 } else { 32 };
    let (weights, graph) = (weights(layers), graph(layers));
    let size = (layers * SIDE * SIDE * 4) as f64;
    let before = anonymous();
    let executable = device.compile(graph, weights).unwrap();
    let share = (anonymous() - before) / size;
    println!("{}: {:.2} % of {:.2} GB", device.info().id, 100.0 * share, size / 1e9);
    assert!(share < 0.05, "{}: {:.1} % of the weights were copied", device.info().id, 100.0 * share);
    // The weights are read where they lie: the first element is doubled and halved.
    let mut x = vec![0.0; SIDE];
    x[0] = 3.0;
    let x = device.upload(HostTensor::f32([1, SIDE], x).unwrap()).unwrap();
    let y = device.download(&executable.run(&[x], &Control::new()).unwrap()[0]).unwrap();
    assert_eq!(y.as_f32().unwrap()[0], (0..layers).map(first).fold(3.0, |x, w| x * w));
}

#[test]
fn large_weights_are_not_copied() {
    let runtime = Runtime::new();
    check(&*runtime.open("cpu", &DeviceOptions::default()).unwrap());
    #[cfg(feature = "ort")]
    match runtime.open("ort:cpu", &DeviceOptions::default()) {
        Ok(device) => check(&*device),
        Err(error) if std::env::var_os("KINOGRAPH_REQUIRE_ALL").is_some() => panic!("{error}"),
        Err(error) => println!("skipped: ort:cpu: {error}"),
    }
}
