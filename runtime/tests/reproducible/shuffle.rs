//! Threads, instructions and partitions at random: no bit changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use kinograph::backend::{
    BufferRef, CompileError, Control, Device, DeviceError, DeviceInfo, Executable, HostTensor, MemoryWeights,
    Refusal, Support, Weights,
};
use kinograph::graph::{Attr, DType, Graph, GraphBuilder, Node, TensorDesc, ValueId, ops};
use kinograph::{DeviceOptions, Fallback, Numerics, Precision, Runtime};

/// Takes some nodes, by a number of its own.
struct Partial {
    inner: Arc<dyn Device>,
    salt: u64,
}

fn mixed(mut v: u64) -> u64 {
    v = (v ^ (v >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    v = (v ^ (v >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    v ^ (v >> 32)
}

impl Device for Partial {
    fn info(&self) -> &DeviceInfo {
        self.inner.info()
    }

    fn support(&self, graph: &Graph, node: &Node) -> Support {
        let name = node.name.bytes().fold(self.salt, |h, b| mixed(h ^ u64::from(b)));
        if name % 2 == 0 { self.inner.support(graph, node) } else { Support::No(Refusal::Op) }
    }

    fn compile(
        &self,
        graph: Arc<Graph>,
        weights: Arc<dyn Weights>,
    ) -> Result<Arc<dyn Executable>, CompileError> {
        self.inner.compile(graph, weights)
    }

    fn upload(&self, tensor: HostTensor) -> Result<BufferRef, DeviceError> {
        self.inner.upload(tensor)
    }

    fn download(&self, buffer: &BufferRef) -> Result<HostTensor, DeviceError> {
        self.inner.download(buffer)
    }
}

fn numbers(count: usize, seed: u64) -> Vec<f32> {
    (0..count).map(|i| (mixed(seed << 32 | i as u64) >> 40) as f32 / 8_388_608.0 - 1.0).collect()
}

/// A block of a transformer and a convolution.
fn graph() -> (Arc<Graph>, Arc<MemoryWeights>) {
    let mut b = GraphBuilder::new("block");
    let mut weights = MemoryWeights::new();
    let mut weight = |b: &mut GraphBuilder, name: &str, shape: &[usize]| {
        let count = shape.iter().product();
        weights.insert_f32(name, shape, &numbers(count, name.len() as u64));
        b.weight(name, TensorDesc::new(DType::F32, shape)).unwrap()
    };
    let node = |b: &mut GraphBuilder, op: &str, inputs: &[ValueId], attrs: &[(&str, Attr)], name: &str| {
        let inputs: Vec<_> = inputs.iter().copied().map(Some).collect();
        let attrs = attrs.iter().map(|(n, v)| ((*n).to_owned(), v.clone()));
        b.node(ops::find(op).unwrap(), &inputs, attrs, name).unwrap()[0]
    };
    let x = b.input("x", TensorDesc::new(DType::F32, [2, 60, 32])).unwrap();
    let w = weight(&mut b, "norm", &[32]);
    let n = node(&mut b, "RMSNormalization", &[x, w], &[], "a");
    let w = weight(&mut b, "queries", &[32, 32]);
    let q = node(&mut b, "Linear", &[n, w], &[], "b");
    let heads = [("q_num_heads", Attr::Int(4)), ("kv_num_heads", Attr::Int(4))];
    let n = node(&mut b, "Attention", &[q, n, n], &heads, "c");
    let x = node(&mut b, "Add", &[x, n], &[], "d");
    let (w, bias) = (weight(&mut b, "feed weight", &[48, 32]), weight(&mut b, "feed bias", &[48]));
    let n = node(&mut b, "Linear", &[x, w, bias], &[], "e");
    let n = node(&mut b, "Gelu", &[n], &[], "f");
    let n = node(&mut b, "Reshape", &[n], &[("shape", Attr::Ints(vec![2, 48, 6, 10]))], "g");
    let w = weight(&mut b, "the kernel", &[20, 48, 3, 3]);
    let y = node(&mut b, "Conv", &[n, w], &[("pads", Attr::Ints(vec![1; 4]))], "h");
    let y = node(&mut b, "Swish", &[y], &[], "i");
    let y = node(&mut b, "LayerNormalization", &[y], &[("axes", Attr::Ints(vec![1]))], "j");
    let y = node(&mut b, "Softmax", &[y], &[], "k");
    (Arc::new(b.finish([("y", y)]).unwrap()), Arc::new(weights))
}

#[test]
fn two_hundred_ways_give_the_same_bits() {
    let runtime = Runtime::new();
    let mut levels = Vec::new();
    for simd in ["avx512", "avx2", "neon", "plain"] {
        let extra: BTreeMap<_, _> = [("simd".to_owned(), simd.to_owned())].into();
        if runtime
            .open("cpu", &DeviceOptions { threads: Some(1), extra: extra.clone(), ..Default::default() })
            .is_ok()
        {
            levels.push(extra);
        }
    }
    let (graph, weights) = graph();
    let x = HostTensor::f32([2, 60, 32], numbers(2 * 60 * 32, 99)).unwrap();
    let mut wanted: Option<Vec<u8>> = None;
    for run in 0..200u64 {
        let open = |salt: u64| {
            let choice = mixed(run << 8 | salt);
            let extra = levels[choice as usize % levels.len()].clone();
            let threads = Some(1 + (choice >> 32) as usize % 3);
            let device =
                runtime.open("cpu", &DeviceOptions { threads, extra, ..Default::default() }).unwrap();
            Numerics::Reproducible(Precision::R16).on(device).unwrap()
        };
        let device = Fallback::new(Arc::new(Partial { inner: open(1), salt: run }), open(2));
        let executable = device.compile(graph.clone(), weights.clone()).unwrap();
        let input = device.upload(x.clone()).unwrap();
        let made = executable.run(&[input], &Control::new()).unwrap();
        let bytes = device.download(&made[0]).unwrap().data().as_bytes().to_vec();
        match &wanted {
            None => wanted = Some(bytes),
            Some(wanted) => assert!(bytes == *wanted, "run {run}"),
        }
    }
}
