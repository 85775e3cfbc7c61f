//! Ops that move elements without computing.

use kinograph_backend::{HostData, Refusal};
use kinograph_graph::{DType, Node};

use super::util::{axis, defect, int, ints, list, word};
use crate::builder::{Builder, Lowered};
use crate::model::Attr;

pub(crate) fn identity(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let x = b.raw_input(node, 0)?;
    let y = b.op("Identity", &[&x]);
    b.raw_output(node, 0, y);
    Ok(())
}

pub(crate) fn reshape(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let x = b.raw_input(node, 0)?;
    let y = b.reshape(&x, &b.out_desc(node, 0).shape);
    b.raw_output(node, 0, y);
    Ok(())
}

pub(crate) fn transpose(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let rank = b.desc(node, 0)?.rank();
    let x = b.raw_input(node, 0)?;
    let perm: Vec<usize> = match ints(node, "perm")? {
        Some(perm) => perm.iter().map(|&p| axis(p, rank)).collect(),
        None => (0..rank).rev().collect(),
    };
    let y = if rank == 0 { b.op("Identity", &[&x]) } else { b.transpose(&x, &perm) };
    b.raw_output(node, 0, y);
    Ok(())
}

pub(crate) fn concat(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let rank = b.out_desc(node, 0).rank();
    let axis = axis(int(node, "axis")?, rank);
    let inputs: Vec<String> = node.inputs.iter().flatten().map(|&id| b.raw(id)).collect();
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let y = b.op_with("Concat", &inputs, vec![("axis", Attr::Int(axis as i64))]);
    b.raw_output(node, 0, y);
    Ok(())
}

pub(crate) fn split(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let x = b.raw_input(node, 0)?;
    let axis = axis(int(node, "axis")?, b.desc(node, 0)?.rank());
    let sizes = node.attrs.ints("sizes").map_err(defect)?.to_vec();
    let sizes = b.i64s(&sizes);
    b.op_many("Split", &[&x, &sizes], vec![("axis", Attr::Int(axis as i64))], node.outputs.len());
    b.raw_outputs(node);
    Ok(())
}

pub(crate) fn slice(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let x = b.raw_input(node, 0)?;
    let rank = b.desc(node, 0)?.rank();
    let starts = node.attrs.ints("starts").map_err(defect)?.to_vec();
    let ends = node.attrs.ints("ends").map_err(defect)?.to_vec();
    let axes: Vec<i64> = match ints(node, "axes")? {
        Some(axes) => axes.iter().map(|&a| axis(a, rank) as i64).collect(),
        None => (0..starts.len() as i64).collect(),
    };
    // A step beyond the axis is as good as one of its length, and safer.
    let most = |(step, &axis): (i64, &i64)| {
        let size = b.desc(node, 0).map_or(1, |d| d.shape[axis as usize].max(1) as i64);
        step.clamp(-size, size)
    };
    let steps = ints(node, "steps")?.map_or(vec![1; starts.len()], <[i64]>::to_vec);
    let steps = steps.into_iter().zip(&axes).map(most).collect();
    let [starts, ends, axes, steps] = [starts, ends, axes, steps].map(|list| b.i64s(&list));
    let y = b.op("Slice", &[&x, &starts, &ends, &axes, &steps]);
    b.raw_output(node, 0, y);
    Ok(())
}

/// Ops that libraries lack for half precision: by way of f32, which is exact.
pub(crate) fn expand(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let x = b.input(node, 0)?;
    let y = b.broadcast(&x, &b.out_desc(node, 0).shape);
    b.output(node, 0, y);
    Ok(())
}

pub(crate) fn tile(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let x = b.input(node, 0)?;
    let repeats = node.attrs.ints("repeats").map_err(defect)?.to_vec();
    let repeats = b.i64s(&repeats);
    let y = b.op("Tile", &[&x, &repeats]);
    b.output(node, 0, y);
    Ok(())
}

pub(crate) fn gather(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let axis = axis(int(node, "axis")?, b.desc(node, 0)?.rank());
    let (data, mut indices) = (b.raw_input(node, 0)?, b.raw_input(node, 1)?);
    if matches!(b.desc(node, 1)?.dtype, DType::I8 | DType::U8) {
        indices = b.cast(&indices, DType::I32);
    }
    let y = b.op_with("Gather", &[&data, &indices], vec![("axis", Attr::Int(axis as i64))]);
    b.raw_output(node, 0, y);
    Ok(())
}

pub(crate) fn pad(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let desc = b.desc(node, 0)?;
    let mode = match word(node, "mode")? {
        "edge" => "edge",
        "reflect" => "reflect",
        _ => "constant",
    };
    if mode != "constant" && desc.elements() == 0 {
        return Err(Refusal::Other("no kernel for padding an empty tensor by its own elements".into()));
    }
    let x = b.raw_input(node, 0)?;
    if desc.rank() == 0 {
        let y = b.op("Identity", &[&x]);
        b.raw_output(node, 0, y);
        return Ok(());
    }
    // Truth values by way of integers, for libraries that cannot pad them.
    let boolean = desc.dtype == DType::Bool;
    let (x, dtype) = if boolean { (b.cast(&x, DType::I32), DType::I32) } else { (x, desc.dtype) };
    let pads = b.i64s(node.attrs.ints("pads").map_err(defect)?);
    let attrs = vec![("mode", Attr::Str(mode))];
    let y = if mode == "constant" {
        let value = node.attrs.float("value").map_err(defect)?;
        let value = b.constant(&[], &HostData::from_f64(dtype, &[value]));
        b.op_with("Pad", &[&x, &pads, &value], attrs)
    } else {
        b.op_with("Pad", &[&x, &pads], attrs)
    };
    let y = if boolean { b.cast(&y, DType::Bool) } else { y };
    b.raw_output(node, 0, y);
    Ok(())
}

impl Builder<'_> {
    /// Elements along one axis, by positions known now.
    pub(crate) fn pick(&mut self, x: &str, axis: usize, positions: &[usize]) -> String {
        let positions: Vec<i64> = positions.iter().map(|&p| p as i64).collect();
        let positions = self.i64s(&positions);
        self.op_with("Gather", &[x, &positions], vec![("axis", Attr::Int(axis as i64))])
    }

    /// A part of one axis.
    pub(crate) fn part(&mut self, x: &str, axis: usize, from: usize, to: usize) -> String {
        let [starts, ends, axes] = [from, to, axis].map(|v| self.i64s(&[v as i64]));
        self.op("Slice", &[x, &starts, &ends, &axes])
    }

    /// A tensor broadcast to a shape.
    pub(crate) fn broadcast(&mut self, x: &str, shape: &[usize]) -> String {
        let Attr::Ints(shape) = list(shape.iter().copied()) else { return x.to_owned() };
        let shape = self.i64s(&shape);
        self.op("Expand", &[x, &shape])
    }
}
