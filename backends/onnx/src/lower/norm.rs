//! Normalisations and softmax.

use kinograph_graph::Node;

use super::util::{axes, axis, float, int};
use crate::builder::{Builder, Lowered, Name};
use crate::model::Attr;

/// The shape that a tensor over some axes broadcasts by.
fn spread(shape: &[usize], axes: &[usize]) -> Vec<usize> {
    (0..shape.len()).map(|a| if axes.contains(&a) { shape[a] } else { 1 }).collect()
}

/// Whether axes are the last ones of a rank, and at least one.
fn trailing(axes: &[usize], rank: usize) -> bool {
    !axes.is_empty() && axes.iter().enumerate().all(|(i, &a)| a == rank - axes.len() + i)
}

impl Builder<'_> {
    /// 1 / sqrt(mean + epsilon) is not written as such: dividing once rounds once less.
    fn over_root(&mut self, x: &str, mean_of_squares: &str, epsilon: f32) -> Name {
        let epsilon = self.number(epsilon);
        let sum = self.op("Add", &[mean_of_squares, &epsilon]);
        let root = self.op("Sqrt", &[&sum]);
        self.op("Div", &[x, &root])
    }

    /// (x - mean) / sqrt(variance + epsilon) over axes.
    fn standardise(&mut self, x: &str, axes: &[usize], epsilon: f32) -> Name {
        let mean = self.reduce("ReduceMean", x, axes, true);
        let centred = self.op("Sub", &[x, &mean]);
        let square = self.op("Mul", &[&centred, &centred]);
        let variance = self.reduce("ReduceMean", &square, axes, true);
        self.over_root(&centred, &variance, epsilon)
    }

    /// Times an optional scale and plus an optional bias of the inputs 1 and 2, each reshaped to broadcast.
    fn affine(&mut self, node: &Node, mut y: Name, shape: &[usize]) -> Name {
        for (i, op) in [(1, "Mul"), (2, "Add")] {
            if let Some(id) = node.input(i) {
                let operand = self.read(id);
                let operand = self.reshape(&operand, shape);
                y = self.op(op, &[&y, &operand]);
            }
        }
        y
    }

    /// The scale of a node, or ones where ONNX wants one.
    fn scale_or_ones(&mut self, node: &Node, shape: &[usize]) -> Name {
        match node.input(1) {
            Some(id) => self.read(id),
            None => self.f32s(shape, vec![1.0; shape.iter().product()]),
        }
    }
}

pub(crate) fn rms(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let desc = b.desc(node, 0)?;
    let (axes, epsilon) = (axes(node, desc.rank())?, float(node, "epsilon")?);
    let x = b.input(node, 0)?;
    let y = if b.target.opset_23_ops && trailing(&axes, desc.rank()) {
        let scale = b.scale_or_ones(node, &desc.shape[axes[0]..]);
        let attrs = vec![("axis", Attr::Int(axes[0] as i64)), ("epsilon", Attr::Float(epsilon))];
        b.op_with("RMSNormalization", &[&x, &scale], attrs)
    } else {
        let square = b.op("Mul", &[&x, &x]);
        let mean = b.reduce("ReduceMean", &square, &axes, true);
        let y = b.over_root(&x, &mean, epsilon);
        b.affine(node, y, &spread(&desc.shape, &axes))
    };
    b.output(node, 0, y);
    Ok(())
}

pub(crate) fn layer(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let desc = b.desc(node, 0)?;
    let (axes, epsilon) = (axes(node, desc.rank())?, float(node, "epsilon")?);
    let x = b.input(node, 0)?;
    let y = if trailing(&axes, desc.rank()) {
        let scale = b.scale_or_ones(node, &desc.shape[axes[0]..]);
        let attrs = vec![("axis", Attr::Int(axes[0] as i64)), ("epsilon", Attr::Float(epsilon))];
        match node.input(2) {
            Some(id) => {
                let bias = b.read(id);
                b.op_with("LayerNormalization", &[&x, &scale, &bias], attrs)
            }
            None => b.op_with("LayerNormalization", &[&x, &scale], attrs),
        }
    } else {
        let y = b.standardise(&x, &axes, epsilon);
        b.affine(node, y, &spread(&desc.shape, &axes))
    };
    b.output(node, 0, y);
    Ok(())
}

/// Groups become an axis of their own.
pub(crate) fn group(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let desc = b.desc(node, 0)?;
    let groups = usize::try_from(int(node, "num_groups")?).unwrap_or(1).max(1);
    let [n, c] = [desc.shape[0], desc.shape[1]];
    let rest: usize = desc.shape[2..].iter().product();
    let x = b.input(node, 0)?;
    let x = b.reshape(&x, &[n, groups, c / groups * rest]);
    let y = b.standardise(&x, &[2], float(node, "epsilon")?);
    let y = b.reshape(&y, &desc.shape);
    let mut channels = vec![1; desc.rank()];
    channels[1] = c;
    let y = b.affine(node, y, &channels);
    b.output(node, 0, y);
    Ok(())
}

pub(crate) fn softmax(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let axis = axis(int(node, "axis")?, b.desc(node, 0)?.rank());
    let x = b.input(node, 0)?;
    let y = b.op_with("Softmax", &[&x], vec![("axis", Attr::Int(axis as i64))]);
    b.output(node, 0, y);
    Ok(())
}
