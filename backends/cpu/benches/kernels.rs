//! Speed of the kernels that models spend their time in, as a share of the matrix product's.
//!
//! `cargo bench -p kinograph-cpu -- [filter] [threads=N] [simd=LEVEL]`. Each line is the best of many runs; the share
//! is of a 1024 x 1024 x 1024 product measured in the same process.

use std::sync::Arc;
use std::time::Instant;

use kinograph_backend::{Backend, Control, Device, DeviceOptions, HostTensor, MemoryWeights};
use kinograph_graph::{Attr, DType, Graph, GraphBuilder, OpError, TensorDesc, ops};

type Attributes = Vec<(String, Attr)>;

/// One line of the table.
struct Line {
    name: String,
    op: &'static str,
    /// Shapes; those marked are weights, stored in `f16`.
    operands: Vec<(Vec<usize>, bool)>,
    attrs: Attributes,
    /// Operations of one run where the op table does not count products, such as for elementwise ops.
    bytes: bool,
}

fn ints(name: &str, values: &[usize]) -> (String, Attr) {
    (name.to_owned(), Attr::Ints(values.iter().map(|&v| v as i64).collect()))
}

fn line(name: impl Into<String>, op: &'static str, operands: &[&[usize]], attrs: Attributes) -> Line {
    let operands = operands.iter().map(|s| (s.to_vec(), false)).collect();
    Line { name: name.into(), op, operands, attrs, bytes: false }
}

fn lines() -> Vec<Line> {
    let mut all = vec![line("matmul 1024^3", "MatMul", &[&[1024, 1024], &[1024, 1024]], vec![])];
    for (m, k, n) in [
        (4096, 1536, 1536),
        (64, 192, 512),
        (64, 512, 192),
        (256, 192, 576),
        (256, 1024, 4096),
        (1, 1536, 1536),
        (16, 1024, 1024),
        (48, 192, 512),
    ] {
        all.push(line(format!("linear {m}x{k}x{n}"), "Linear", &[&[m, k], &[n, k]], vec![]));
        let mut stored =
            line(format!("linear {m}x{k}x{n}, weight in f16"), "Linear", &[&[m, k], &[n, k]], vec![]);
        stored.operands[1].1 = true;
        all.push(stored);
    }
    let conv = |name: &str, x: &[usize], w: &[usize], pads: &[usize]| {
        line(format!("conv {name} {x:?} to {}", w[0]), "Conv", &[x, w], vec![ints("pads", pads)])
    };
    for (c, side) in [(16, 64), (32, 64), (64, 32), (128, 32), (256, 16)] {
        all.push(conv("spatial", &[1, c, 16, side, side], &[c, c, 1, 3, 3], &[0, 1, 1, 0, 1, 1]));
        all.push(conv("temporal", &[1, c, 16, side, side], &[c, c, 3, 1, 1], &[2, 0, 0, 0, 0, 0]));
    }
    all.push(conv("3x3x3", &[1, 64, 8, 32, 32], &[64, 64, 3, 3, 3], &[1; 6]));
    for (c, [h, w]) in [(96, [60, 416]), (192, [60, 208]), (384, [60, 104])] {
        let mut causal =
            conv("causal, weight in f16,", &[1, c, 6, h, w], &[c, c, 3, 3, 3], &[0, 1, 1, 0, 1, 1]);
        causal.operands[1].1 = true;
        all.push(causal);
    }
    all.push(conv("2d", &[8, 128, 64, 64], &[128, 128, 3, 3], &[1; 4]));
    all.push(conv("2d to rgb", &[1, 32, 256, 256], &[3, 32, 3, 3], &[1; 4]));
    all.push(conv("2d from rgb", &[1, 3, 256, 256], &[32, 3, 3, 3], &[1; 4]));
    all.push(conv("1d", &[8, 128, 1024], &[128, 128, 3], &[1, 1]));
    all.push(conv("pointwise", &[1, 128, 16, 32, 32], &[128, 128, 1, 1, 1], &[0; 6]));
    let mut strided = conv("strided", &[1, 64, 16, 64, 64], &[128, 64, 1, 3, 3], &[0, 0, 0, 0, 1, 1]);
    strided.attrs.push(ints("strides", &[1, 2, 2]));
    all.push(strided);
    let mut depthwise = conv("depthwise", &[1, 256, 64, 64], &[256, 1, 3, 3], &[1; 4]);
    depthwise.attrs.push(("group".to_owned(), Attr::Int(256)));
    all.push(depthwise);
    for tokens in [256, 1024, 4096] {
        for d in [64, 128] {
            let shape: &[usize] = &[1, 8, tokens, d];
            all.push(line(
                format!("attention {tokens} tokens, 8 heads of {d}"),
                "Attention",
                &[shape; 3],
                vec![],
            ));
        }
    }
    all.push(line("attention 64 tokens, 6 heads of 32", "Attention", &[&[1, 6, 64, 32][..]; 3], vec![]));
    let moved = |name: &str, op, operands: &[&[usize]], attrs| Line {
        bytes: true,
        ..line(name, op, operands, attrs)
    };
    all.push(moved("add 16M", "Add", &[&[1 << 24], &[1 << 24]], vec![]));
    for op in ["Swish", "Gelu", "Exp", "Tanh", "Sin", "Erf", "Log"] {
        all.push(moved(&format!("{op} 1M"), op, &[&[1 << 20]], vec![]));
    }
    all.push(moved("softmax 1024 rows", "Softmax", &[&[1024, 1024]], vec![]));
    all.push(moved("rms norm 1024 rows", "RMSNormalization", &[&[1024, 1024]], vec![]));
    all.push(moved(
        "rms norm of channels",
        "RMSNormalization",
        &[&[1, 64, 16, 64, 64]],
        vec![ints("axes", &[1])],
    ));
    all.push(moved(
        "group norm",
        "GroupNormalization",
        &[&[1, 64, 16, 64, 64]],
        vec![("num_groups".into(), Attr::Int(8))],
    ));
    all.push(moved("transpose", "Transpose", &[&[1024, 1024]], vec![]));
    all.push(moved("heads", "Transpose", &[&[4, 1024, 8, 64]], vec![ints("perm", &[0, 2, 1, 3])]));
    all.push(moved(
        "channels last",
        "Transpose",
        &[&[1, 64, 16, 64, 64]],
        vec![ints("perm", &[0, 2, 3, 4, 1])],
    ));
    all
}

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 + 13) % 1000) as f32 / 500.0 - 1.0).collect()
}

fn graph(line: &Line, weights: &mut MemoryWeights) -> Result<Graph, OpError> {
    let mut b = GraphBuilder::new("bench");
    let mut ids = Vec::new();
    for (i, (shape, weight)) in line.operands.iter().enumerate() {
        let (name, desc) = (format!("x{i}"), TensorDesc::new(DType::F32, shape.clone()));
        ids.push(Some(if *weight {
            let halves = numbers(desc.elements()).into_iter().map(half::f16::from_f32);
            let bytes = halves.flat_map(|v| v.to_le_bytes()).collect();
            weights.insert(&name, DType::F16, shape.clone(), bytes);
            b.weight(&name, desc)?
        } else {
            b.input(&name, desc)?
        }));
    }
    let op = ops::find(line.op).ok_or_else(|| OpError::invalid("unknown op"))?;
    let y = b.node(op, &ids, line.attrs.clone(), "node")?[0];
    b.finish([("y", y)])
}

/// The time that this thread has computed for, where the system tells (Linux): on a shared machine
/// the clock on the wall counts others' work too.
fn thread_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    stat.split_whitespace().next()?.parse::<f64>().ok().map(|ns| ns * 1e-9)
}

/// The best time of a run; of one thread, the time that it computed. Runs are timed in batches, as
/// the system counts in steps of some milliseconds.
fn best(threads: usize, mut work: impl FnMut()) -> f64 {
    let start = Instant::now();
    work();
    let first = start.elapsed().as_secs_f64();
    let batch = ((0.05 / first) as usize).clamp(1, 10_000);
    let now = || thread_seconds().filter(|_| threads == 1).unwrap_or_else(|| start.elapsed().as_secs_f64());
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let before = now();
        (0..batch).for_each(|_| work());
        best = best.min((now() - before) / batch as f64);
    }
    best
}

fn measure(
    device: &dyn Device,
    threads: usize,
    line: &Line,
) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let mut weights = MemoryWeights::new();
    let graph = Arc::new(graph(line, &mut weights)?);
    let work = if line.bytes {
        let descs = graph.values().iter().map(|v| v.desc.bytes() as f64);
        descs.sum::<f64>()
    } else {
        graph.flops() as f64
    };
    let executable = device.compile(graph.clone(), Arc::new(weights))?;
    let mut inputs = Vec::new();
    for &id in graph.inputs() {
        let desc = &graph.value(id).desc;
        inputs.push(device.upload(HostTensor::f32(desc.shape.clone(), numbers(desc.elements()))?)?);
    }
    let control = Control::new();
    let mut failed = None;
    let seconds = best(threads, || {
        if let Err(error) = executable.run(&inputs, &control) {
            failed = Some(error);
        }
    });
    failed.map_or(Ok((work, seconds)), |error| Err(error.into()))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut options = DeviceOptions { threads: Some(1), ..DeviceOptions::default() };
    let mut filter = String::new();
    for argument in std::env::args().skip(1).filter(|a| !a.starts_with("--")) {
        match argument.split_once('=') {
            Some(("threads", n)) => options.threads = Some(n.parse()?),
            Some((name, value)) => drop(options.extra.insert(name.to_owned(), value.to_owned())),
            None => filter = argument,
        }
    }
    let device = kinograph_cpu::CpuBackend.open("cpu", &options)?;
    let threads = options.threads.unwrap_or(1);
    println!("{:?}", device.info().facts);
    let lines = lines();
    let (flops, seconds) = measure(&*device, threads, &lines[0])?;
    let peak = flops / seconds / 1e9;
    println!("{:<48} {peak:>8.1} GFLOP/s", lines[0].name);
    for line in lines[1..].iter().filter(|line| line.name.contains(&filter)) {
        let (work, seconds) = measure(&*device, threads, line)?;
        let rate = work / seconds / 1e9;
        if line.bytes {
            println!("{:<48} {rate:>8.1} GB/s   {:>9.3} ms", line.name, seconds * 1e3);
        } else {
            println!(
                "{:<48} {rate:>8.1} GFLOP/s {:>4.0} %  {:>9.3} ms",
                line.name,
                100.0 * rate / peak,
                seconds * 1e3
            );
        }
    }
    Ok(())
}
