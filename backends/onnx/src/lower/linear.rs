//! Matrix products.

use kinograph_graph::Node;

use crate::builder::{Builder, Lowered};
use crate::model::Attr;

/// `Gemm` reads the weight as it lies, [out, in]; a transposed copy would double it.
pub(crate) fn linear(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let (x_desc, out) = (b.desc(node, 0)?, b.out_desc(node, 0));
    let (x, weight) = (b.input(node, 0)?, b.input(node, 1)?);
    let inner = x_desc.shape.last().copied().unwrap_or(1);
    let rows = x_desc.shape[..x_desc.rank().saturating_sub(1)].iter().product();
    let flat = x_desc.rank() == 2;
    let x = if flat { x } else { b.reshape(&x, &[rows, inner]) };
    let transposed = vec![("transB", Attr::Int(1))];
    let y = match node.input(2) {
        Some(id) => {
            let bias = b.read(id);
            b.op_with("Gemm", &[&x, &weight, &bias], transposed)
        }
        None => b.op_with("Gemm", &[&x, &weight], transposed),
    };
    let y = if flat { y } else { b.reshape(&y, &out.shape) };
    b.output(node, 0, y);
    Ok(())
}

pub(crate) fn mat_mul(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let (x, y) = (b.input(node, 0)?, b.input(node, 1)?);
    let z = b.op("MatMul", &[&x, &y]);
    b.output(node, 0, z);
    Ok(())
}
