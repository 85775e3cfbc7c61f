//! The device as a whole: determinism, memory, errors, aliases.

use std::sync::Arc;

use kinograph_backend::{
    Backend, BufferRef, CompileError, Control, Device, DeviceOptions, HostData, HostTensor, MemoryWeights,
    RunError,
};
use kinograph_cpu::CpuBackend;
use kinograph_graph::{
    Attr, DType, Graph, GraphBuilder, OpError, Tensor, TensorDesc, ValueId, evaluate, ops,
};

fn device(threads: usize) -> Arc<dyn Device> {
    let options = DeviceOptions { threads: Some(threads), ..DeviceOptions::default() };
    CpuBackend.open("cpu", &options).unwrap()
}

fn desc(shape: &[usize]) -> TensorDesc {
    TensorDesc::new(DType::F32, shape)
}

fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.5 - 1.0).collect()
}

/// A builder of graphs that also makes their weights.
struct Maker {
    builder: GraphBuilder,
    weights: MemoryWeights,
    count: usize,
}

impl Maker {
    fn new() -> Self {
        Self { builder: GraphBuilder::new("test"), weights: MemoryWeights::new(), count: 0 }
    }

    fn input(&mut self, shape: &[usize]) -> ValueId {
        self.count += 1;
        self.builder.input(&format!("x{}", self.count), desc(shape)).unwrap()
    }

    fn weight(&mut self, stored: DType, shape: &[usize]) -> ValueId {
        self.count += 1;
        let name = format!("w{}", self.count);
        let values: Vec<f64> =
            numbers(desc(shape).elements(), self.count).iter().map(|&v| f64::from(v) * 0.3).collect();
        let bytes = match HostData::from_f64(stored, &values) {
            HostData::F16(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            HostData::BF16(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            HostData::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            other => panic!("no weight of {}", other.dtype()),
        };
        self.weights.insert(&name, stored, shape, bytes);
        self.builder.weight(&name, desc(shape)).unwrap()
    }

    fn node(&mut self, op: &str, inputs: &[ValueId], attrs: &[(&str, Attr)]) -> ValueId {
        self.nodes(op, inputs, attrs)[0]
    }

    fn nodes(&mut self, op: &str, inputs: &[ValueId], attrs: &[(&str, Attr)]) -> Vec<ValueId> {
        self.count += 1;
        let inputs: Vec<Option<ValueId>> = inputs.iter().map(|&id| Some(id)).collect();
        let attrs = attrs.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        self.builder.node(ops::find(op).unwrap(), &inputs, attrs, &format!("{op}{}", self.count)).unwrap()
    }

    fn finish(self, outputs: &[ValueId]) -> (Arc<Graph>, Arc<MemoryWeights>) {
        let outputs = outputs.iter().enumerate().map(|(i, &id)| (format!("y{i}"), id));
        (Arc::new(self.builder.finish(outputs).unwrap()), Arc::new(self.weights))
    }
}

fn inputs(device: &dyn Device, graph: &Graph) -> Vec<BufferRef> {
    let tensor = |(i, &id): (usize, &ValueId)| {
        let shape = graph.value(id).desc.shape.clone();
        let data = numbers(shape.iter().product(), i);
        device.upload(HostTensor::f32(shape, data).unwrap()).unwrap()
    };
    graph.inputs().iter().enumerate().map(tensor).collect()
}

fn run(device: &dyn Device, graph: &Arc<Graph>, weights: &Arc<MemoryWeights>) -> Vec<HostTensor> {
    let executable = device.compile(graph.clone(), weights.clone()).unwrap();
    let inputs = inputs(device, graph);
    let first = executable.run(&inputs, &Control::new()).unwrap();
    let first: Vec<HostTensor> = first.iter().map(|b| device.download(b).unwrap()).collect();
    let second = executable.run(&inputs, &Control::new()).unwrap();
    let second: Vec<HostTensor> = second.iter().map(|b| device.download(b).unwrap()).collect();
    assert_eq!(bits(&first), bits(&second), "the second run differs");
    first
}

fn bits(tensors: &[HostTensor]) -> Vec<Vec<u64>> {
    tensors.iter().map(|t| t.data().to_f64().iter().map(|v| v.to_bits()).collect()).collect()
}

/// A transformer block with a gated middle, video convolutions, norms and movement: every kernel
/// that a model leans on.
fn model() -> (Arc<Graph>, Arc<MemoryWeights>) {
    let mut m = Maker::new();
    let video = m.input(&[1, 6, 5, 20, 12]);
    let (w, b) = (m.weight(DType::F16, &[16, 6, 1, 3, 3]), m.weight(DType::F32, &[16]));
    let pads = |p: [i64; 6]| [("pads", Attr::Ints(p.to_vec()))];
    let h = m.node("Conv", &[video, w, b], &pads([0, 1, 1, 0, 1, 1]));
    let scale = m.weight(DType::F16, &[16]);
    let h = m.node("RMSNormalization", &[h, scale], &[("axes", Attr::Ints(vec![1]))]);
    let h = m.node("Swish", &[h], &[]);
    let w = m.weight(DType::BF16, &[16, 16, 3, 1, 1]);
    let h2 = m.node("Conv", &[h, w], &pads([2, 0, 0, 0, 0, 0]));
    let h = m.node("Add", &[h, h2], &[]);
    let tokens = m.node("Reshape", &[h], &[("shape", Attr::Ints(vec![1, 16, 1200]))]);
    let tokens = m.node("Transpose", &[tokens], &[("perm", Attr::Ints(vec![0, 2, 1]))]);
    let w = m.weight(DType::F16, &[96, 16]);
    let qkv = m.node("Linear", &[tokens, w], &[]);
    let parts = m.nodes("Split", &[qkv], &[("axis", Attr::Int(2)), ("sizes", Attr::Ints(vec![32, 32, 32]))]);
    let heads = [("q_num_heads", Attr::Int(4)), ("kv_num_heads", Attr::Int(4))];
    let a = m.node("Attention", &parts, &heads);
    let (w, b) = (m.weight(DType::F32, &[16, 32]), m.weight(DType::F16, &[16]));
    let a = m.node("Linear", &[a, w, b], &[]);
    let x = m.node("Add", &[tokens, a], &[]);
    let n = m.node("LayerNormalization", &[x], &[]);
    let (up, gate) = (m.weight(DType::F16, &[50, 16]), m.weight(DType::BF16, &[50, 16]));
    let (up, gate) = (m.node("Linear", &[n, up], &[]), m.node("Linear", &[n, gate], &[]));
    let gate = m.node("Gelu", &[gate], &[]);
    let y = m.node("Mul", &[up, gate], &[]);
    let w = m.weight(DType::F16, &[16, 50]);
    let y = m.node("Linear", &[y, w], &[]);
    let y = m.node("Add", &[x, y], &[]);
    let mean = m.node("ReduceMean", &[y], &[("axes", Attr::Ints(vec![1]))]);
    let soft = m.node("Softmax", &[y], &[]);
    m.finish(&[y, mean, soft])
}

#[test]
fn the_bytes_do_not_depend_on_threads_or_on_the_run() {
    let (graph, weights) = model();
    for level in CpuBackend::simd_levels() {
        let results: Vec<_> = [1, 2, 3]
            .map(|threads| {
                let extra = [("simd".to_owned(), level.to_owned())].into();
                let device = CpuBackend
                    .open("cpu", &DeviceOptions { threads: Some(threads), extra, ..Default::default() })
                    .unwrap();
                bits(&run(&*device, &graph, &weights))
            })
            .into();
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "{level}");
    }
}

/// What the references of the op table make of the same numbers.
fn reference(graph: &Graph, weights: &MemoryWeights) -> Vec<Tensor> {
    let feed = |name: &str| -> Result<Tensor, OpError> {
        let find = |ids: &[ValueId]| ids.iter().position(|&id| graph.value(id).name == name);
        let desc = |ids: &[ValueId], i: usize| graph.value(ids[i]).desc.clone();
        let (inputs, own) = (graph.inputs(), graph.weights());
        if let Some(i) = find(inputs) {
            let desc = desc(inputs, i);
            let values = numbers(desc.elements(), i).into_iter().map(f64::from).collect();
            return Tensor::new(desc, values);
        }
        let i = find(own).ok_or_else(|| OpError::invalid("unknown"))?;
        let view = kinograph_backend::Weights::get(weights, name).unwrap();
        let pairs = || view.bytes.chunks(2).map(|b| [b[0], b[1]]);
        let values = match view.dtype {
            DType::F16 => pairs().map(|b| half::f16::from_le_bytes(b).to_f64()).collect(),
            DType::BF16 => pairs().map(|b| half::bf16::from_le_bytes(b).to_f64()).collect(),
            _ => {
                let words = view.bytes.chunks(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                words.map(f64::from).collect()
            }
        };
        Tensor::new(desc(own, i), values)
    };
    evaluate(graph, feed).unwrap()
}

fn agree(graph: &Arc<Graph>, weights: &Arc<MemoryWeights>, device: &dyn Device) {
    let found = run(device, graph, weights);
    for (i, (expected, found)) in reference(graph, weights).iter().zip(&found).enumerate() {
        assert_eq!(expected.data().len(), found.data().to_f64().len());
        for (e, f) in expected.data().iter().zip(found.data().to_f64()) {
            assert!((e - f).abs() <= 1e-4 * (1.0 + e.abs()), "output {i}: {e} against {f}");
        }
    }
}

#[test]
fn a_model_agrees_with_the_reference() {
    let (graph, weights) = model();
    agree(&graph, &weights, &*device(2));
}

/// Rows, inner and outer features round the sizes of tiles, panels and tasks; none of each; rows that fall on the same lines of a cache.
#[test]
fn linear_layers_of_any_size_agree_with_the_reference() {
    let sizes = [
        [33, 1, 1],
        [40, 4, 0],
        [40, 0, 9],
        [0, 4, 9],
        [33, 7, 300],
        [47, 255, 17],
        [48, 256, 16],
        [49, 257, 15],
        [64, 300, 33],
        [97, 520, 40],
        [241, 33, 70],
        [300, 20, 8],
        [500, 9, 260],
        [34, 1024, 12],
        [100, 1024, 7],
        [130, 2048, 30],
    ];
    for level in CpuBackend::simd_levels() {
        for stored in [DType::F32, DType::F16] {
            let mut m = Maker::new();
            let mut outputs = Vec::new();
            for [rows, inner, out] in sizes {
                let (x, w) = (m.input(&[rows, inner]), m.weight(stored, &[out, inner]));
                let bias = m.weight(DType::F32, &[out]);
                outputs.push(m.node("Linear", &[x, w], &[]));
                outputs.push(m.node("Linear", &[x, w, bias], &[]));
            }
            let (graph, weights) = m.finish(&outputs);
            let extra = [("simd".to_owned(), level.to_owned())].into();
            let options = DeviceOptions { threads: Some(2), extra, ..Default::default() };
            agree(&graph, &weights, &*CpuBackend.open("cpu", &options).unwrap());
        }
    }
}

#[test]
fn nothing_can_be_transposed() {
    let mut m = Maker::new();
    let x = m.input(&[4, 0, 4]);
    let y = m.node("Transpose", &[x], &[("perm", Attr::Ints(vec![2, 1, 0]))]);
    let (graph, weights) = m.finish(&[y]);
    agree(&graph, &weights, &*device(1));
}

#[test]
fn weights_stay_where_they_are() {
    let mut m = Maker::new();
    let x = m.input(&[3, 64]);
    let w = m.weight(DType::F16, &[32, 64]);
    let y = m.node("Linear", &[x, w], &[]);
    let w = m.weight(DType::F32, &[8, 32]);
    let y = m.node("Linear", &[y, w], &[]);
    let (graph, weights) = m.finish(&[y]);
    let memory = device(1).compile(graph, weights).unwrap().memory();
    // A vector of bytes is not always aligned for f32; the sum shows that nothing is counted twice.
    assert_eq!(memory.weights_in_place + memory.weights_copied, 32 * 64 * 2 + 8 * 32 * 4);
    assert!(memory.weights_in_place >= 32 * 64 * 2);
}

#[test]
fn attention_needs_memory_linear_in_tokens() {
    let run = |tokens: usize| {
        let mut m = Maker::new();
        let [q, k, v] = [0; 3].map(|_| m.input(&[1, 2, tokens, 16]));
        let y = m.node("Attention", &[q, k, v], &[]);
        let (graph, weights) = m.finish(&[y]);
        device(1).compile(graph, weights).unwrap().memory().run
    };
    assert!(run(8192) < 8 * run(1024));
}

#[test]
fn chains_run_in_place() {
    let mut m = Maker::new();
    let x = m.input(&[1000, 1000]);
    let mut y = m.node("Transpose", &[x], &[]);
    for op in ["Exp", "Neg", "Sigmoid"] {
        // The sum over an axis ends a chain, and its result starts the next.
        y = m.node(op, &[y], &[]);
        let sum = m.node("ReduceSum", &[y], &[("axes", Attr::Ints(vec![1]))]);
        y = m.node("Sub", &[y, sum], &[]);
    }
    let y = m.node("ReduceSum", &[y], &[]);
    let (graph, weights) = m.finish(&[y]);
    let memory = device(1).compile(graph.clone(), weights.clone()).unwrap().memory();
    assert!(memory.run < 4 * 1000 * 1000 + 200_000, "{}", memory.run);
    run(&*device(2), &graph, &weights);
}

/// Compares what a convolution makes of something that no other op reads, with what it makes of the same where it is an output too and so
/// must be there. `made` gives both.
fn reads_where_it_lies(case: &str, made: impl Fn(&mut Maker) -> (ValueId, ValueId)) {
    let [alone, shown] = [1, 2].map(|outputs| {
        let mut m = Maker::new();
        let (read, y) = made(&mut m);
        let bytes = m.builder.desc(read).bytes() as u64;
        let (graph, weights) = m.finish(&[y, read][..outputs]);
        let memory = device(2).compile(graph.clone(), weights.clone()).unwrap().memory().run;
        (run(&*device(2), &graph, &weights), memory, bytes)
    });
    assert!(bits(&alone.0) == bits(&shown.0[..1]), "{case}");
    // One that reads it all in place may need a little less for a task.
    assert!(alone.1 + alone.2 / 2 <= shown.1, "{case}: it is made, {} and {} bytes", alone.1, shown.1);
}

#[test]
fn convolutions_read_what_is_concatenated_where_it_lies() {
    let ints = |name: &'static str, values: &[i64]| (name, Attr::Ints(values.to_vec()));
    let cube = [2, 3, 3];
    for (first, second, taps, strides, dilations, pads, mode, groups) in [
        (2, 4, cube, [1, 1, 1], [1, 1, 1], [0, 1, 1, 0, 1, 1], "constant", 1),
        (1, 1, cube, [1, 1, 1], [1, 1, 1], [2, 1, 1, 0, 1, 1], "constant", 2),
        (3, 2, cube, [2, 1, 2], [1, 2, 1], [0, 0, 1, 0, 0, 1], "edge", 1),
        (5, 1, cube, [1, 2, 1], [2, 1, 1], [1, 2, 2, 1, 2, 2], "constant", 4),
        (2, 3, [3, 1, 1], [1, 1, 1], [1, 1, 1], [0; 6], "constant", 1),
        (2, 2, [3, 1, 1], [1, 1, 1], [1, 1, 1], [2, 0, 0, 0, 0, 0], "edge", 1),
    ] {
        let case = format!("{first} and {second} by {taps:?}, {strides:?}, {dilations:?}, {pads:?}");
        reads_where_it_lies(&case, |m| {
            let (a, b) = (m.input(&[2, 8, first, 19, 21]), m.input(&[2, 8, second, 19, 21]));
            let both = m.node("Concat", &[a, b], &[("axis", Attr::Int(2))]);
            let w = m.weight(DType::F16, &[&[12, 8 / groups][..], &taps].concat());
            let bias = m.weight(DType::F32, &[12]);
            let attrs = [
                ints("strides", &strides),
                ints("dilations", &dilations),
                ints("pads", &pads),
                ("pad_mode", Attr::Str(mode.into())),
                ("group", Attr::Int(groups as i64)),
            ];
            (both, m.node("Conv", &[both, w, bias], &attrs))
        });
    }
    reads_where_it_lies("the same twice", |m| {
        let (x, w) = (m.input(&[1, 4, 2, 9, 16]), m.weight(DType::F32, &[4, 4, 2, 1, 1]));
        let both = m.node("Concat", &[x, x], &[("axis", Attr::Int(2))]);
        (both, m.node("Conv", &[both, w], &[]))
    });
}

#[test]
fn convolutions_read_what_is_resized_where_it_lies() {
    let transforms = ["asymmetric", "half_pixel", "align_corners"];
    for (shape, scales, taps) in [
        (&[2, 6, 3, 9, 11][..], &[1.0, 2.0, 2.0][..], &[1, 3, 3][..]),
        (&[1, 4, 7, 10], &[3.0, 1.5], &[3, 3]),
        (&[1, 4, 30], &[0.5], &[3]),
        (&[1, 3, 50, 400], &[2.0, 2.0], &[1, 1]),
    ] {
        for transform in transforms {
            reads_where_it_lies(&format!("{shape:?} by {scales:?}, {transform}"), |m| {
                let x = m.input(shape);
                let attrs = [
                    ("scales", Attr::Floats(scales.to_vec())),
                    ("mode", Attr::Str("nearest".into())),
                    ("coordinate_transformation_mode", Attr::Str(transform.into())),
                ];
                let resized = m.node("Resize", &[x], &attrs);
                let w = m.weight(DType::BF16, &[&[10, shape[1]], taps].concat());
                let pads: Vec<i64> = [taps, taps].concat().iter().map(|&t| t as i64 / 2).collect();
                (resized, m.node("Conv", &[resized, w], &[("pads", Attr::Ints(pads))]))
            });
        }
    }
}

#[test]
fn what_small_weights_alone_decide_is_made_once() {
    for (rows, once) in [(100, true), (100_000, false)] {
        let mut m = Maker::new();
        let x = m.input(&[rows, 8]);
        let (a, b) = (m.weight(DType::F32, &[rows, 8]), m.weight(DType::F32, &[8]));
        let sum = m.node("Add", &[a, b], &[]);
        let table = m.node("Exp", &[sum], &[]);
        let y = m.node("Mul", &[x, table], &[]);
        let (graph, weights) = m.finish(&[y, table]);
        let device = device(2);
        let copied = device.compile(graph.clone(), weights.clone()).unwrap().memory().weights_copied;
        assert_eq!(copied >= 4 * 8 * rows as u64, once, "{copied} bytes");
        agree(&graph, &weights, &*device);
        let stored = |name: &str| kinograph_backend::Weights::get(&*weights, name).map(|view| view.dtype);
        let compiled = device.compile(graph.clone(), weights.clone()).unwrap().memory();
        assert_eq!(device.plan(&graph, &stored).unwrap(), compiled);
    }
}

#[test]
fn what_weights_alone_get_wrong_is_said_by_a_run() {
    let mut m = Maker::new();
    let (x, table) = (m.input(&[2]), m.weight(DType::F32, &[3, 2]));
    let index = m.node(
        "Constant",
        &[],
        &[
            ("value", Attr::Floats(vec![7.0])),
            ("shape", Attr::Ints(vec![1])),
            ("dtype", Attr::Str("i64".into())),
        ],
    );
    let row = m.node("Gather", &[table, index], &[("axis", Attr::Int(0))]);
    let y = m.node("Add", &[x, row], &[]);
    let (graph, weights) = m.finish(&[y]);
    let device = device(1);
    let executable = device.compile(graph.clone(), weights).unwrap();
    let error = executable.run(&inputs(&*device, &graph), &Control::new()).err().unwrap();
    assert!(matches!(error, RunError::Data { .. }), "{error}");
}

#[test]
fn inputs_that_are_given_away_make_room() {
    let mut m = Maker::new();
    let (state, x) = (m.input(&[500, 1000]), m.input(&[500, 1000]));
    let y = m.node("Add", &[state, x], &[]);
    let sum = m.node("ReduceSum", &[y], &[]);
    let y = m.node("Transpose", &[x], &[]);
    let (graph, weights) = m.finish(&[sum, y]);
    let device = device(1);
    let executable = device.compile(graph.clone(), weights.clone()).unwrap();
    // The state is free before the transpose is there.
    let memory = executable.memory();
    assert!(memory.reused >= 4 * 500 * 1000, "{memory:?}");
    let own = inputs(&*device, &graph);
    let held = Arc::downgrade(&own[0]);
    let made = executable.run_owned(own, &Control::new()).unwrap();
    assert!(held.upgrade().is_none(), "what was given away is gone");
    let made: Vec<HostTensor> = made.iter().map(|b| device.download(b).unwrap()).collect();
    assert_eq!(bits(&made), bits(&run(&*device, &graph, &weights)));
}

#[test]
fn outputs_may_be_inputs_weights_parts_and_the_same() {
    let mut m = Maker::new();
    let x = m.input(&[4, 3]);
    let w = m.weight(DType::F16, &[2]);
    let y = m.node("Neg", &[x], &[]);
    let flat = m.node("Reshape", &[y], &[("shape", Attr::Ints(vec![12]))]);
    let parts = m.nodes("Split", &[flat], &[("sizes", Attr::Ints(vec![5, 7]))]);
    let z = m.node("Exp", &[flat], &[]);
    let (graph, weights) = m.finish(&[x, w, y, y, flat, parts[1], z]);
    let found = run(&*device(1), &graph, &weights);
    let x = numbers(12, 0);
    let negative: Vec<f32> = x.iter().map(|v| -v).collect();
    assert_eq!(found[0].as_f32(), Some(&x[..]));
    assert_eq!(found[1].desc().shape, [2]);
    assert_eq!(found[2].as_f32(), Some(&negative[..]));
    assert_eq!(found[3], found[2]);
    assert_eq!(found[4].as_f32(), Some(&negative[..]));
    assert_eq!(found[5].as_f32(), Some(&negative[5..]));
    assert!(found[6].as_f32().unwrap().iter().zip(&negative).all(|(z, y)| (z - y.exp()).abs() < 1e-6));
}

#[test]
fn a_run_can_be_cancelled_and_repeated() {
    let (graph, weights) = model();
    let device = device(2);
    let executable = device.compile(graph.clone(), weights).unwrap();
    let inputs = inputs(&*device, &graph);
    let control = Control::new();
    control.cancel();
    assert_eq!(executable.run(&inputs, &control).err(), Some(RunError::Cancelled));
    assert!(executable.run(&inputs, &Control::new()).is_ok());
}

#[test]
fn one_executable_runs_in_several_threads() {
    let (graph, weights) = model();
    let device = device(2);
    let executable = device.compile(graph.clone(), weights).unwrap();
    let inputs = inputs(&*device, &graph);
    let results: Vec<_> = std::thread::scope(|scope| {
        let work = || {
            let outputs = executable.run(&inputs, &Control::new()).unwrap();
            outputs.iter().map(|b| device.download(b).unwrap()).collect::<Vec<_>>()
        };
        let running: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        running.into_iter().map(|thread| bits(&thread.join().unwrap())).collect()
    });
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn bad_indices_are_an_error_that_names_the_node() {
    let mut m = Maker::new();
    let table = m.input(&[3, 2]);
    let indices = m.builder.input("indices", TensorDesc::new(DType::I64, [2])).unwrap();
    let y = m.node("Gather", &[table, indices], &[]);
    let (graph, weights) = m.finish(&[y]);
    let device = device(1);
    let executable = device.compile(graph, weights).unwrap();
    let feed = |indices: [i64; 2]| {
        let table = HostTensor::f32([3, 2], numbers(6, 0)).unwrap();
        let indices = HostTensor::new([2], HostData::I64(indices.to_vec())).unwrap();
        [table, indices].map(|t| device.upload(t).unwrap())
    };
    let error = executable.run(&feed([0, 3]), &Control::new()).err().unwrap();
    assert!(matches!(&error, RunError::Data { node, .. } if node.starts_with("Gather")), "{error}");
    assert!(executable.run(&feed([-3, 2]), &Control::new()).is_ok());
}

#[test]
fn unknown_options_and_missing_weights_are_refused() {
    let extra = |name: &str, value: &str| DeviceOptions {
        extra: [(name.to_owned(), value.to_owned())].into(),
        ..DeviceOptions::default()
    };
    assert!(CpuBackend.open("cpu:1", &DeviceOptions::default()).is_err());
    assert!(CpuBackend.open("cpu", &extra("speed", "high")).is_err());
    assert!(CpuBackend.open("cpu", &extra("simd", "mmx")).is_err());
    let mut m = Maker::new();
    let x = m.input(&[1, 2]);
    let w = m.weight(DType::F32, &[2, 2]);
    let y = m.node("Linear", &[x, w], &[]);
    let (graph, _) = m.finish(&[y]);
    let error = device(1).compile(graph, Arc::new(MemoryWeights::new())).err();
    assert!(matches!(error, Some(CompileError::MissingWeight(_))));
}
