//! Rules of the ops that make tensors from attributes.

use kinograph_backend::HostData;
use kinograph_backend::attributes::{axis_of, count, size};
use kinograph_graph::Node;

use super::builder::{Builder, LowerError};
use crate::kernels::copy::StridedCopy;
use crate::kernels::make::{Iota, RelativeBuckets, Sinusoidal};

type Lowered = Result<(), LowerError>;

pub(super) fn constant(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let desc = b.desc(node.outputs[0]).clone();
    let values = node.attrs.opt_floats("value")?.unwrap_or_default();
    let bytes = HostData::from_f64(desc.dtype, values).as_bytes().to_vec();
    let val = b.constant(desc.dtype, &bytes)?;
    if values.len() == desc.elements() {
        b.alias(node.outputs[0], val, 0);
    } else {
        // One number for all elements is spread at run time.
        let kernel = StridedCopy::new(desc.dtype.size(), &desc.shape, vec![0; desc.rank()], 0);
        b.step(node, kernel, vec![val]);
    }
    Ok(())
}

pub(super) fn iota(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let desc = b.desc(node.outputs[0]).clone();
    let axis = axis_of(&node.attrs, desc.rank())?;
    let kernel = Iota { length: desc.shape[axis], inner: count(&desc.shape[axis + 1..]), dtype: desc.dtype };
    b.step(node, kernel, Vec::new());
    Ok(())
}

pub(super) fn sinusoidal(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let dim = size(node.attrs.int("dim")?)?;
    let steps = (dim / 2) as f64 - node.attrs.float("shift")?;
    let kernel = Sinusoidal {
        dim,
        slope: node.attrs.float("max_period")?.ln() / steps,
        scale: node.attrs.float("scale")?,
        cosines_first: node.attrs.bool("flip")?,
    };
    let times = node.input(0).map(|id| b.f32(id)).transpose()?;
    b.step_f32(node, kernel, times.into_iter().collect());
    Ok(())
}

pub(super) fn relative_buckets(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let bidirectional = node.attrs.bool("bidirectional")?;
    let all = node.attrs.int("num_buckets")?;
    let count = if bidirectional { all / 2 } else { all };
    b.check_table(b.desc(node.outputs[0]).shape.iter().sum())?;
    let kernel = RelativeBuckets {
        queries: size(node.attrs.int("query_length")?)?,
        keys: size(node.attrs.int("key_length")?)?,
        count,
        exact: count / 2,
        max_distance: node.attrs.int("max_distance")?,
        bidirectional,
    };
    b.step(node, kernel, Vec::new());
    Ok(())
}
