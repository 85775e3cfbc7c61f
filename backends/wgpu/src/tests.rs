//! What needs the inside of the crate: kernels checked without a device, and faults.

mod halves;
mod large;
mod views;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use kinograph_backend::{
    Backend, Control, Device, DeviceError, DeviceOptions, HostTensor, MemoryWeights, RunError,
};
use kinograph_conformance::{Suite, random_case};
use kinograph_graph::{Bindings, DType, Graph, GraphBuilder, GraphFile, Limits, TensorDesc, ops};

use crate::adapters;
use crate::device::WgpuDevice;
use crate::exec::GpuExecutable;
use crate::lower::{self, Halves, Traits, WeightSource};
use crate::shader::{Multiply, Pin, Shader, Square, Variant};
use crate::spirv;

fn traits(subgroups: bool) -> Traits {
    let pin = if subgroups { Pin::Xor } else { Pin::Decorated };
    let multiply = if subgroups { Multiply::Floats } else { Multiply::Dots };
    traits_of(Variant { subgroups, lanes: 32, multiply, pin })
}

fn traits_of(variant: Variant) -> Traits {
    let subgroups = variant.subgroups;
    Traits {
        variant,
        binding: 1 << 27,
        bindings: 8,
        groups: 65535,
        dispatch_cost: 1 << 31,
        teams: subgroups,
        halves: if subgroups { Halves::All } else { Halves::None },
        squares: match variant.multiply {
            Multiply::Matrices(square) => Some(square),
            _ => None,
        },
    }
}

/// Every kernel that the suite's cases need, and those of flipbook with all values in f16, as text.
fn kernels() -> Vec<Shader> {
    let suite = Suite::builtin().unwrap();
    let mut cases = suite.cases().to_vec();
    cases.extend((0..100).filter_map(random_case));
    let mut found: HashSet<Shader> = HashSet::new();
    for case in &cases {
        let mut builder = GraphBuilder::new("case");
        let mut ids = Vec::new();
        for (i, operand) in case.operands.iter().enumerate() {
            ids.push(operand.as_ref().map(|o| match o.stored {
                Some(_) => builder.weight(&format!("operand{i}"), o.desc.clone()).unwrap(),
                None => builder.input(&format!("operand{i}"), o.desc.clone()).unwrap(),
            }));
        }
        let made = builder.node(case.op, &ids, case.given.clone(), "node").unwrap();
        let outputs = made.into_iter().enumerate().map(|(i, id)| (format!("out{i}"), id));
        let graph = builder.finish(outputs).unwrap();
        let stored = |name: &str| {
            let at: usize = name.strip_prefix("operand")?.parse().ok()?;
            case.operands[at].as_ref()?.stored
        };
        let squares = [8, 16].map(|side| {
            let multiply = Multiply::Matrices(Square { side, lanes: 32 });
            traits_of(Variant { multiply, ..traits(true).variant })
        });
        for traits in squares.into_iter().chain([traits(true), traits(false)]) {
            let plan = lower::lower(&graph, WeightSource::Types(&stored), traits, "wgpu");
            // Some ops of reproducible numerics are written in others before a device sees them.
            if plan.is_err() && case.op.name.starts_with("exact.") {
                continue;
            }
            found.extend(plan.unwrap().steps.into_iter().map(|step| step.shader));
        }
    }
    for name in ["backbone.toml", "tae-decoder.toml", "tae-encoder.toml", "text-t5.toml", "text-clip.toml"] {
        let graph = flipbook(name, &Bindings::new());
        let plan = lower::lower(&graph, WeightSource::Declared, traits(true), "wgpu");
        found.extend(plan.unwrap().steps.into_iter().map(|step| step.shader));
    }
    found.into_iter().collect()
}

/// Vulkan's, Metal's and Direct3D's compilers get what naga makes of a kernel: that it is valid, and that each can be written, needs
/// none of them.
#[test]
fn every_kernel_is_valid_and_translates() {
    let kernels = kernels();
    let names: HashSet<&str> = kernels.iter().map(|k| k.name).collect();
    assert_eq!(names.len(), 25, "a kernel that no case needs is not tested: {names:?}");
    let mut pinned = 0;
    for kernel in &kernels {
        let mut capabilities = naga::valid::Capabilities::SUBGROUP
            | naga::valid::Capabilities::SHADER_FLOAT16_IN_FLOAT32
            | naga::valid::Capabilities::SHADER_FLOAT16;
        // What only some adapters have, and Direct3D does not.
        let squares = kernel.source.contains("enable wgpu_cooperative_matrix");
        if squares {
            capabilities |= naga::valid::Capabilities::COOPERATIVE_MATRIX;
        }
        if kernel.pin == Pin::Decorated {
            let (decorated, operations) = spirv::decorations(&spirv::decorated(&kernel.source).unwrap());
            assert_eq!(decorated, operations, "{}", kernel.name);
            pinned += operations.len();
        }
        let module = naga::front::wgsl::parse_str(&kernel.source)
            .unwrap_or_else(|e| panic!("{}: {}", kernel.name, e.emit_to_string(&kernel.source)));
        let mut validator = naga::valid::Validator::new(naga::valid::ValidationFlags::all(), capabilities);
        let info = validator
            .validate(&module)
            .unwrap_or_else(|e| panic!("{}: {e:?}\n{}", kernel.name, kernel.source));
        let spirv = naga::back::spv::write_vec(&module, &info, &Default::default(), None).unwrap();
        assert_eq!(spirv[0], 0x0723_0203);
        let options = naga::back::msl::Options { lang_version: (2, 4), ..Default::default() };
        let (metal, _) = naga::back::msl::write_string(&module, &info, &options, &Default::default())
            .unwrap_or_else(|e| panic!("{}: {e}", kernel.name));
        assert!(metal.contains("kernel void main_"));
        if squares {
            continue;
        }
        let mut hlsl = String::new();
        let options = naga::back::hlsl::Options {
            shader_model: naga::back::hlsl::ShaderModel::V6_2,
            ..Default::default()
        };
        naga::back::hlsl::Writer::new(&mut hlsl, &options, &Default::default())
            .write(&module, &info, None)
            .unwrap_or_else(|e| panic!("{}: {e}", kernel.name));
        assert!(hlsl.contains("numthreads"));
    }
    assert!(pinned > 1000, "{pinned} decorated operations are too few to show anything");
}

/// The first adapter; none is a skip, or a failure where every device is required.
fn open(options: &[(&str, String)]) -> Option<Arc<WgpuDevice>> {
    let extra = options.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    open_with(&DeviceOptions { extra, ..Default::default() })
}

fn open_with(options: &DeviceOptions) -> Option<Arc<WgpuDevice>> {
    match adapters::find("wgpu:0").and_then(|listed| WgpuDevice::open(listed, options)) {
        Ok(device) => Some(Arc::new(device)),
        Err(error) if std::env::var_os("KINOGRAPH_REQUIRE_ALL").is_some() => panic!("{error}"),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

/// exp(x + x) and a sum over it: two steps with something between them.
fn graph(elements: usize) -> Arc<Graph> {
    let op = |name| ops::find(name).unwrap();
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", TensorDesc::new(DType::F32, [elements])).unwrap();
    let twice = b.node(op("Add"), &[Some(x), Some(x)], [], "twice").unwrap()[0];
    let e = b.node(op("Exp"), &[Some(twice)], [], "e").unwrap()[0];
    let sum = b.node(op("ReduceSum"), &[Some(e)], [], "sum").unwrap()[0];
    Arc::new(b.finish([("sum", sum)]).unwrap())
}

fn sum(device: &WgpuDevice, graph: &Arc<Graph>) -> Result<f32, RunError> {
    let elements = graph.value(graph.inputs()[0]).desc.elements();
    let executable = device.compile(graph.clone(), Arc::new(MemoryWeights::new())).map_err(|e| match e {
        kinograph_backend::CompileError::Device(error) => RunError::Device(error),
        other => panic!("{other}"),
    })?;
    let x = device.upload(HostTensor::f32([elements], vec![0.0; elements]).unwrap())?;
    let out = executable.run(&[x], &Control::new())?;
    Ok(device.download(&out[0])?.as_f32().unwrap()[0])
}

#[test]
fn a_lost_device_is_an_error_and_the_next_compile_opens_a_new_one() {
    let Some(device) = open(&[]) else { return };
    let graph = graph(100);
    assert_eq!(sum(&device, &graph), Ok(100.0));
    let executable = device.compile(graph.clone(), Arc::new(MemoryWeights::new())).unwrap();
    let x = device.upload(HostTensor::f32([100], vec![0.0; 100]).unwrap()).unwrap();
    device.current().device.destroy();
    let run = executable.run(&[x], &Control::new()).map(|_| ());
    assert!(matches!(run, Err(RunError::Device(DeviceError::Lost(_)))), "{run:?}");
    assert_eq!(sum(&device, &graph), Ok(100.0));
}

#[test]
fn every_allocation_may_fail_and_the_device_survives() {
    let graph = graph(10_000);
    let mut failures = 0;
    // From a budget for nothing to one for everything: each allocation in turn is the first that is too much.
    for budget in (1..=40).map(|n| n * 4096) {
        let Some(device) = open(&[("memory", budget.to_string())]) else { return };
        match sum(&device, &graph) {
            Ok(value) => assert_eq!(value, 10_000.0),
            Err(RunError::Device(DeviceError::OutOfMemory { bytes })) => {
                assert!(bytes > 0);
                failures += 1;
                // What it held is given back, and small work goes on.
                assert_eq!(device.current().used(), 0);
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!((10..40).contains(&failures), "{failures}");
}

#[test]
fn a_kernel_that_the_driver_refuses_is_an_error() {
    let Some(device) = open(&[]) else { return };
    let shader = Shader {
        name: "broken",
        source: "@compute fn main() {}".into(),
        reads: 0,
        writes: 1,
        extra: 0,
        finishes: false,
        pin: Pin::Xor,
    };
    assert!(matches!(device.current().pipeline(&shader), Err(DeviceError::Internal(_))));
    assert_eq!(sum(&device, &graph(10)), Ok(10.0));
}

#[test]
fn memory_in_use_is_what_was_planned() {
    let Some(device) = open(&[]) else { return };
    let graph = graph(1 << 20);
    let plan = device.plan(&graph, &|_| None).unwrap();
    let executable = device.compile(graph.clone(), Arc::new(MemoryWeights::new())).unwrap();
    let x = device.upload(HostTensor::f32([1 << 20], vec![0.0; 1 << 20]).unwrap()).unwrap();
    let input = 4 << 20;
    let inputs = [x];
    let _out = executable.run(&inputs, &Control::new()).unwrap();
    let used = device.current().used() - input;
    assert_eq!(executable.memory(), plan);
    let off = plan.total().abs_diff(used);
    assert!(off * 10 <= used, "planned {}, in use {used}", plan.total());
    let before = device.current().used();
    device.trim();
    assert!(device.current().used() + (4 << 20) <= before);
}

#[test]
fn kernels_and_tuning_are_kept_and_what_is_damaged_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let extra =
        [("tuning".to_owned(), "true".to_owned()), ("subgroups".to_owned(), "false".to_owned())].into();
    let options = DeviceOptions { extra, cache: Some(folder.path().to_owned()), ..Default::default() };
    let graph = graph(100);
    let files = || {
        let mut files: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        files
    };
    let Some(device) = open_with(&options) else { return };
    assert_eq!(sum(&device, &graph), Ok(100.0));
    let features = device.current().device.features();
    let kept = files();
    let what: Vec<_> = kept.iter().map(|f| f.extension().unwrap().to_str().unwrap()).collect();
    if features.contains(wgpu::Features::PIPELINE_CACHE) {
        assert_eq!(what, ["pipelines", "tuning"]);
    } else {
        assert_eq!(what, ["tuning"]);
    }
    let mut last = device.variant();
    for (case, damage) in [("cut", 0..1), ("whole", 0..0), ("emptied", 0..usize::MAX)] {
        for file in &kept {
            let mut bytes = std::fs::read(file).unwrap();
            bytes.drain(damage.start..damage.end.min(bytes.len()));
            std::fs::write(file, bytes).unwrap();
        }
        let device = open_with(&options).unwrap();
        assert_eq!(sum(&device, &graph), Ok(100.0), "{case}");
        assert_eq!(files(), kept, "{case}");
        if case == "whole" {
            assert_eq!(device.variant(), last, "what was measured is kept");
        }
        last = device.variant();
    }
}

/// A kernel that writes one element too far, and one that does not.
#[test]
fn guards_show_a_kernel_that_writes_outside_of_its_result() {
    let Some(device) = open(&[("guards", "true".into())]) else { return };
    let graph = graph(100);
    assert_eq!(sum(&device, &graph), Ok(100.0));
    let plain = traits(true);
    let mut plan = lower::lower(&graph, WeightSource::Types(&|_| None), plain, "wgpu").unwrap();
    let source = &mut plan.steps[0].shader.source;
    assert!(source.contains("  out["));
    *source = source.replace("  out[", "  out[1u + ");
    let weights = Arc::new(MemoryWeights::new());
    let executable = GpuExecutable::new(graph.clone(), device.current(), weights, plan, 100).unwrap();
    let x = device.upload(HostTensor::f32([100], vec![0.0; 100]).unwrap()).unwrap();
    let Err(error) = kinograph_backend::Executable::run(&executable, &[x], &Control::new()) else {
        panic!("a write outside was not seen")
    };
    assert!(error.to_string().contains("the kernel `elementwise` of `e` wrote outside"), "{error}");
}

/// A graph of flipbook.
fn flipbook(name: &str, bindings: &Bindings) -> Graph {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/models/flipbook");
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).map_err(|e| format!("{name}: {e}"));
    let file = GraphFile::parse_with(name, &text(name).unwrap(), &Limits::default(), &text);
    file.and_then(|file| file.bind(bindings)).unwrap()
}

/// The steps of a block of flipbook's backbone: none that only scales, adds or activates what another could have before storing it.
#[test]
fn a_transformer_block_makes_no_needless_pass() {
    let [words, halves] = [Halves::Declared, Halves::All].map(block);
    assert_eq!(words.len(), halves.len());
    let bytes = |block: &[(String, u64)]| block.iter().map(|(_, bytes)| bytes).sum::<u64>();
    println!("{words:#?}");
    for (block, each) in [(&words, 4), (&halves, 2)] {
        let (bytes, paper) = (bytes(block), on_paper(each));
        println!("{} dispatches, {bytes} bytes, on paper {paper}", block.len());
        // What is above it are gains, shifts and gates, which are a row for all tokens.
        assert!(bytes * 100 <= paper * 102);
    }
    // Eight products, three normalisations, two attentions; the table of modulations and two gains.
    assert_eq!(words.len(), 16, "{words:#?}");
    let alone = words.iter().filter(|(name, _)| name.ends_with("elementwise")).count();
    assert_eq!(alone, 3, "{words:#?}");
}

/// The fewest bytes that a block moves when each product, normalisation and attention reads its operands once and writes its result once,
/// with so many bytes an element; weights are in f16, the text in f32.
fn on_paper(each: u64) -> u64 {
    let (tokens, text, dim, hidden) = (2 * 64, 2 * 112, 192, 448);
    // Attention reads three and writes one, a product of residual sums reads two and writes one, all else reads one and writes one.
    let of_tokens = (1 + 3) + 4 + 3 + 2 + 2 + 2 + 2 + 3 + 2 + 2 + 1 + 1;
    let of_text = 2 + 2;
    let of_hidden = 1 + 2 + 1;
    let positions = tokens / 2 * dim;
    let elements = of_tokens * tokens * dim + of_text * text * dim + of_hidden * tokens * hidden + positions;
    let weights = 8 * dim * dim + 3 * dim * hidden;
    each * elements + 4 * text * dim + 2 * weights
}

/// What the steps of a block are called, and the bytes that each moves.
fn block(halves: Halves) -> Vec<(String, u64)> {
    let steps = |layers| {
        let graph = flipbook("backbone.toml", &Bindings::new().param("layers", layers));
        let traits = Traits { halves, ..traits(true) };
        let stored = |_: &str| Some(DType::F16);
        let plan = lower::lower(&graph, WeightSource::Types(&stored), traits, "wgpu").unwrap();
        let moved = |step: &lower::Step| -> u64 {
            step.reads
                .iter()
                .chain(&step.writes)
                .collect::<HashSet<_>>()
                .iter()
                .map(|&&r| plan.storages[r].bytes)
                .sum()
        };
        let named =
            plan.steps.iter().map(|step| (format!("{} by {}", step.node, step.shader.name), moved(step)));
        named.collect::<Vec<_>>()
    };
    let (two, three) = (steps(2), steps(3));
    let all = three.len();
    let own: Vec<_> = three.into_iter().filter(|(name, _)| name.starts_with("blocks.1.")).collect();
    assert_eq!(own.len(), all - two.len());
    own
}

#[test]
fn options_and_ids_are_checked() {
    let error = |id: &str, name: &str, value: &str| {
        let extra = [(name.to_owned(), value.to_owned())].into();
        crate::WgpuBackend
            .open(id, &DeviceOptions { threads: None, extra, ..Default::default() })
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    if open(&[]).is_none() {
        return;
    }
    assert!(error("wgpu:0", "speed", "1").contains("has no option `speed`"));
    assert!(error("wgpu:0", "lanes", "7").contains("16, 32 or 64"));
    assert!(error("wgpu:0", "guards", "maybe").contains("true or false"));
    assert!(error("wgpu:0", "memory", "much").contains("whole number"));
    assert!(error("wgpu:0", "matrices", "perhaps").contains("true or false"));
    assert!(error("wgpu:99", "memory", "1").contains("there are wgpu:0"));
}
