//! A graph of one's own on a device of one's choice: an image filter in TOML is bound to a size, compiled and run, and held
//! against what the op table says it means.
//!
//! ```text
//! cargo run --release -p kinograph-example-custom-op-graph -- [DEVICE] [WIDTH] [HEIGHT]
//! ```

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use kinograph::backend::{MemoryWeights, WeightView, Weights};
use kinograph::graph::{
    Args, Bindings, Bound, DType, Graph, GraphFile, OpError, Tensor, TensorDesc, evaluate,
};
use kinograph::{Control, Device, DeviceOptions, HostTensor, Runtime};

/// What sharpens: the pixel grows by what its neighbours lack.
const KERNEL: [f32; 9] = [0.0, -0.5, 0.0, -0.5, 3.0, -0.5, 0.0, -0.5, 0.0];

fn main() -> ExitCode {
    match sharpen() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn sharpen() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let device = arguments.next().unwrap_or_else(|| "cpu".to_owned());
    let mut size = || arguments.next().map_or(Ok(64), |text| text.parse::<usize>());
    let (width, height) = (size()?, size()?);

    let device = Runtime::new().open(&device, &DeviceOptions::default())?;
    let file = GraphFile::parse("filter.toml", include_str!("../filter.toml"))?;
    let graph = Arc::new(file.bind(&Bindings::new().symbol("W", width).symbol("H", height))?);
    let mut weights = MemoryWeights::new();
    weights.insert_f32("kernel", [3, 1, 3, 3], &KERNEL.repeat(3));

    let picture = picture(width, height)?;
    let sharp = run(&*device, &graph, Arc::new(weights.clone()), picture.clone())?;
    let worst = against_reference(&graph, &weights, &picture, &sharp)?;
    println!(
        "{} on {}: {:.2} Mflop, worst error {worst:.3} of what the op table permits",
        graph.name(),
        device.info().id,
        graph.flops() as f64 / 1e6,
    );
    if worst > 1.0 {
        return Err("the device is not what the op table says".into());
    }
    Ok(())
}

/// A picture with an edge and a gradient, \[1, 3, height, width\], 0 dark to 1 light.
fn picture(width: usize, height: usize) -> Result<HostTensor, OpError> {
    let light = |c: usize, y: usize, x: usize| {
        let edge = if x > width / 2 { 0.7 } else { 0.2 };
        edge + 0.2 * (y as f32 / height as f32) * (c as f32 - 1.0)
    };
    let rows = (0..3).flat_map(|c| (0..height).flat_map(move |y| (0..width).map(move |x| (c, y, x))));
    HostTensor::f32([1, 3, height, width], rows.map(|(c, y, x)| light(c, y, x)).collect())
}

/// Compiles the graph for the device and runs it once.
fn run(
    device: &dyn Device,
    graph: &Arc<Graph>,
    weights: Arc<dyn Weights>,
    picture: HostTensor,
) -> Result<HostTensor, Box<dyn Error>> {
    // A host that has several devices asks first. `compile` would fail with the first node that is refused, and the reason.
    for node in graph.nodes() {
        println!("{} ({}): {:?}", node.name, node.op.name, device.support(graph, node));
    }
    let executable = device.compile(graph.clone(), weights)?;
    let outputs = executable.run(&[device.upload(picture)?], &Control::new())?;
    Ok(device.download(&outputs[0])?)
}

/// The largest error as a share of what is permitted. The convolution's row of the op table says how far a device may be from
/// the exact result; to cut both to a range afterwards brings them no further apart.
fn against_reference(
    graph: &Graph,
    weights: &MemoryWeights,
    picture: &HostTensor,
    sharp: &HostTensor,
) -> Result<f64, Box<dyn Error>> {
    let picture = picture.to_reference();
    let kernel = reference(weights.get("kernel").ok_or("the kernel is missing")?)?;
    let exact = evaluate(graph, |name| Ok(if name == "picture" { picture.clone() } else { kernel.clone() }))?;

    let convolution = &graph.nodes()[0];
    let args =
        Args { op: convolution.op, inputs: &[Some(&picture), Some(&kernel)], attrs: &convolution.attrs };
    let Bound::Scaled(bound) = convolution.op.bound else {
        return Err("a convolution is never exact".into());
    };
    let permitted = bound(&args, &(convolution.op.reference)(&args)?)?;

    let unit = DType::F32.unit_roundoff();
    let errors = exact[0].data().iter().zip(sharp.data().to_f64()).map(|(e, s)| (e - s).abs());
    Ok(errors
        .zip(&permitted[0])
        .map(|(error, most)| if error == 0.0 { 0.0 } else { error / (most * unit) })
        // A maximum leaves out what is no number, which is the worst that a device can give.
        .map(|share| if share.is_nan() { f64::INFINITY } else { share })
        .fold(0.0, f64::max))
}

/// A weight of `f32` as the reference takes it.
fn reference(weight: WeightView<'_>) -> Result<Tensor, OpError> {
    let values =
        weight.bytes.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
    Tensor::new(TensorDesc::new(weight.dtype, weight.shape), values.collect())
}
