//! Which variant of the kernels that share tiles is the fastest on an adapter: found by a short run of each, and kept.
//!
//! Variants differ in how invocations share a tile, how many there are and how they multiply whole numbers, not in the order in which a sum
//! is made.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kinograph_backend::{BufferRef, Control, Executable, HostTensor, MemoryWeights};
use kinograph_graph::exact::Slices;
use kinograph_graph::{Attr, DType, Graph, GraphBuilder, OpError, TensorDesc, ops, passes};

use crate::buffer::GpuBuffer;
use crate::cache::Store;
use crate::exec::GpuExecutable;
use crate::gpu::{Gpu, internal};
use crate::lower::{self, Traits, WeightSource};
use crate::shader::{Multiply, Pin, Square, Variant};

const FILE: &str = "tuning";

/// The variant that was the fastest when it was measured: in an earlier process, or now.
pub(crate) fn fastest(gpu: &Arc<Gpu>, traits: Traits, candidates: &[Variant], store: &Store) -> Variant {
    let kept = store.read(FILE).and_then(|bytes| parse(&bytes, traits.variant.pin));
    if let Some(kept) = kept.filter(|variant| candidates.contains(variant)) {
        return kept;
    }
    // How whole numbers are multiplied matters to them alone: what is best for sharing is found first.
    let Some(first) = candidates.first().map(|variant| variant.multiply) else { return traits.variant };
    let alike = candidates.iter().copied().filter(|v| v.multiply == first);
    let Some(sharing) = least(gpu, traits, alike, false) else { return traits.variant };
    let alike = candidates.iter().copied().filter(|v| Variant { multiply: first, ..*v } == sharing);
    let fastest = least(gpu, traits, alike, true).unwrap_or(sharing);
    store.write(FILE, text(fastest).as_bytes());
    fastest
}

/// The variant that takes the least time, with native numerics or with reproducible ones. Of those one that does not give the bits of the
/// first is left out: how cooperative matrices round is the adapter's own affair, as long as it does not show.
fn least(
    gpu: &Arc<Gpu>,
    traits: Traits,
    variants: impl Iterator<Item = Variant>,
    exact: bool,
) -> Option<Variant> {
    let mut due = None;
    let measured = variants.filter_map(|variant| match time(gpu, Traits { variant, ..traits }, exact) {
        Ok((_, found)) if exact && *due.get_or_insert_with(|| found.clone()) != found => {
            log::warn!("tuning: {variant:?} is left out: it gives other bits");
            None
        }
        Ok((time, _)) => {
            log::info!("tuning: {variant:?} takes {:.2} ms", time.as_secs_f64() * 1e3);
            Some((time, variant))
        }
        Err(error) => {
            log::info!("tuning: {variant:?} is left out: {error}");
            None
        }
    });
    Some(measured.min_by_key(|(time, _)| *time)?.1)
}

fn text(variant: Variant) -> String {
    let multiply = match variant.multiply {
        Multiply::Floats => "floats".to_owned(),
        Multiply::Dots => "dots".to_owned(),
        Multiply::Matrices(Square { side, lanes }) => format!("{side}x{lanes}"),
    };
    format!("{} {} {multiply}", variant.subgroups, variant.lanes)
}

fn parse(bytes: &[u8], pin: Pin) -> Option<Variant> {
    let mut words = std::str::from_utf8(bytes).ok()?.split(' ');
    let mut next = || words.next();
    let (subgroups, lanes) = (next()?.parse().ok()?, next()?.parse().ok()?);
    let multiply = match next()? {
        "floats" => Multiply::Floats,
        "dots" => Multiply::Dots,
        square => {
            let (side, lanes) = square.split_once('x')?;
            Multiply::Matrices(Square { side: side.parse().ok()?, lanes: lanes.parse().ok()? })
        }
    };
    words.next().is_none().then_some(Variant { subgroups, lanes, multiply, pin })
}

/// The least time of a few runs, after one that is not counted, and what came out.
fn time(gpu: &Arc<Gpu>, traits: Traits, exact: bool) -> Result<(Duration, Vec<HostTensor>), String> {
    let (mut graph, weights) = probe(exact).map_err(|e| e.to_string())?;
    if exact {
        graph = passes::reproducible(&graph, Slices::Two).map_err(|e| e.to_string())?;
    }
    let (graph, weights) = (Arc::new(graph), Arc::new(weights));
    let plan =
        lower::lower(&graph, WeightSource::Bytes(&*weights), traits, "tuning").map_err(|e| e.to_string())?;
    let executable =
        GpuExecutable::new(graph.clone(), gpu.clone(), weights, plan, 100).map_err(|e| e.to_string())?;
    let upload = |&id: &kinograph_graph::ValueId| {
        let shape = &graph.value(id).desc.shape;
        let values =
            (0..shape.iter().product()).map(|i: usize| extreme(i / shape[shape.len() - 1], i, 17)).collect();
        let tensor = HostTensor::f32(shape.clone(), values).map_err(internal)?;
        GpuBuffer::upload(gpu.clone(), &tensor).map(|buffer| Arc::new(buffer) as BufferRef)
    };
    let inputs =
        graph.inputs().iter().map(upload).collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
    let mut least = Duration::MAX;
    let mut outputs = Vec::new();
    for round in 0..4 {
        let start = Instant::now();
        outputs = executable.run(&inputs, &Control::new()).map_err(|e| e.to_string())?;
        if round > 0 {
            least = least.min(start.elapsed());
        }
    }
    let found = outputs.iter().filter_map(|output| output.as_any().downcast_ref::<GpuBuffer>());
    let found = found.map(|output| output.download().map_err(|e| e.to_string()));
    Ok((least, found.collect::<Result<_, _>>()?))
}

/// The largest number and its like in the first of rows, so that whole numbers are at their limit and sums have one sign, and others of both
/// signs in the rest.
fn extreme(row: usize, i: usize, period: usize) -> f32 {
    if row == 0 { 0.9999 - (i % 3) as f32 / 4096.0 } else { (i * 7 % period) as f32 / period as f32 - 0.48 }
}

/// A linear layer and a convolution of the sizes that small models have; to compare bits by, the layer's sums are longer than an exact sum is
/// made at once.
fn probe(exact: bool) -> Result<(Graph, MemoryWeights), OpError> {
    let (inner, columns) = if exact { (2048, 75) } else { (256, 512) };
    let op = |name: &str| ops::find(name).ok_or_else(|| OpError::invalid(format!("no op {name}")));
    let desc = |shape: &[usize]| TensorDesc::new(DType::F32, shape);
    let mut b = GraphBuilder::new("tuning");
    let mut weights = MemoryWeights::new();
    for (name, shape) in [("linear", &[columns, inner][..]), ("kernel", &[64, 64, 3, 3])] {
        let row = shape[1..].iter().product::<usize>();
        let values: Vec<f32> = (0..shape[0] * row).map(|i| extreme(i / row, i, 13)).collect();
        weights.insert_f32(name, shape, &values);
    }
    let (x, w) = (b.input("x", desc(&[512, inner]))?, b.weight("linear", desc(&[columns, inner]))?);
    let linear = b.node(op("Linear")?, &[Some(x), Some(w)], [], "linear")?[0];
    let (image, kernel) =
        (b.input("image", desc(&[1, 64, 32, 32]))?, b.weight("kernel", desc(&[64, 64, 3, 3]))?);
    let pads = [("pads".to_owned(), Attr::Ints(vec![1; 4]))];
    let conv = b.node(op("Conv")?, &[Some(image), Some(kernel)], pads, "conv")?[0];
    Ok((b.finish([("linear", linear), ("conv", conv)])?, weights))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_is_read_as_it_was_written() {
        let pin = Pin::Xor;
        let square = Square { side: 16, lanes: 32 };
        for multiply in [Multiply::Floats, Multiply::Dots, Multiply::Matrices(square)] {
            let variant = Variant { subgroups: true, lanes: 32, multiply, pin };
            assert_eq!(parse(text(variant).as_bytes(), pin), Some(variant));
        }
        assert_eq!(parse(b"true 32", pin), None);
        assert_eq!(parse(b"true 32 dots true", pin), None);
        assert_eq!(parse(b"true 32 16", pin), None);
        assert_eq!(parse(b"\xff 1", pin), None);
    }
}
