//! Rules of the ops along axes: softmax, normalisations, reductions.

use kinograph_backend::attributes::{axis_of, count, size, sorted_axes};
use kinograph_graph::{Node, OpError, ValueId};

use super::builder::{Builder, LowerError, Val};
use crate::kernels::norm::{Form, Norm};
use crate::kernels::reduce::{ArgMax, Reduce, Reduction};
use crate::kernels::softmax::Softmax;
use crate::layout::{Walk, dense_strides};

type Lowered = Result<(), LowerError>;

fn first(node: &Node) -> Result<ValueId, OpError> {
    node.input(0).ok_or_else(|| OpError::invalid("input 0 is missing"))
}

pub(super) fn softmax(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let id = first(node)?;
    let shape = &b.desc(id).shape;
    let axis = axis_of(&node.attrs, shape.len())?;
    let kernel = Softmax { length: shape[axis], inner: count(&shape[axis + 1..]) };
    let x = b.f32(id)?;
    b.step_f32(node, kernel, vec![x]);
    Ok(())
}

/// A tensor seen as groups along sorted axes: the walk over groups, and the walk within one.
fn divide(shape: &[usize], axes: &[usize]) -> (Walk, Walk) {
    let strides = dense_strides(shape);
    let walk = |inside: bool| {
        let own: Vec<usize> = (0..shape.len()).filter(|a| axes.contains(a) == inside).collect();
        let dims: Vec<usize> = own.iter().map(|&a| shape[a]).collect();
        Walk::new(&dims, &[own.iter().map(|&a| strides[a]).collect()])
    };
    (walk(false), walk(true))
}

/// How the elements of a group along sorted axes lie.
pub(super) fn form(shape: &[usize], axes: &[usize]) -> Form {
    let adjacent = axes.windows(2).all(|pair| pair[1] == pair[0] + 1);
    let (start, end) = (axes[0], axes[axes.len() - 1] + 1);
    let (length, inner) = (count(&shape[start..end]), count(&shape[end..]));
    if adjacent && inner == 1 {
        return Form::Rows { length, run: 1, repeat: 1 };
    }
    if adjacent {
        return Form::Middle { length, inner };
    }
    let (groups, elements) = divide(shape, axes);
    Form::Scattered { groups, elements }
}

/// The operands of a normalisation: X, and scale and bias where given; and which inputs they are.
fn operands(b: &mut Builder<'_>, node: &Node) -> Result<(Vec<Val>, [Option<usize>; 2]), LowerError> {
    let mut vals = vec![b.f32(first(node)?)?];
    let mut places = [None; 2];
    for (place, i) in places.iter_mut().zip([1, 2]) {
        if let Some(id) = node.input(i) {
            *place = Some(vals.len());
            vals.push(b.f32(id)?);
        }
    }
    Ok((vals, places))
}

fn norm(b: &mut Builder<'_>, node: &Node, centred: bool) -> Lowered {
    let shape = b.desc(first(node)?).shape.clone();
    let axes = sorted_axes(&node.attrs, shape.len())?;
    let (vals, [scale, bias]) = operands(b, node)?;
    let epsilon = node.attrs.float("epsilon")?;
    let kernel = Norm { centred, epsilon, scale, bias, form: form(&shape, &axes) };
    b.step_f32(node, kernel, vals);
    Ok(())
}

pub(super) fn rms_norm(b: &mut Builder<'_>, node: &Node) -> Lowered {
    norm(b, node, false)
}

pub(super) fn layer_norm(b: &mut Builder<'_>, node: &Node) -> Lowered {
    norm(b, node, true)
}

pub(super) fn group_norm(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let shape = b.desc(first(node)?).shape.clone();
    let groups = size(node.attrs.int("num_groups")?)?.max(1);
    let channel = count(&shape[2..]);
    let form = Form::Rows { length: shape[1] / groups * channel, run: channel.max(1), repeat: groups };
    let (vals, [scale, bias]) = operands(b, node)?;
    let epsilon = node.attrs.float("epsilon")?;
    b.step_f32(node, Norm { centred: true, epsilon, scale, bias, form }, vals);
    Ok(())
}

pub(super) fn reduce(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let id = first(node)?;
    let desc = b.desc(id).clone();
    let axes = sorted_axes(&node.attrs, desc.rank())?;
    let (groups, elements) = divide(&desc.shape, &axes);
    let reduction = match node.op.name {
        "ReduceMean" => Reduction::Mean,
        "ReduceMax" => Reduction::Max,
        "ReduceMin" => Reduction::Min,
        _ => Reduction::Sum,
    };
    let kernel = Reduce { reduction, dtype: desc.dtype, groups, elements };
    if desc.dtype.is_float() {
        let x = b.f32(id)?;
        b.step_f32(node, kernel, vec![x]);
    } else {
        let x = b.value(id)?;
        b.step(node, kernel, vec![x]);
    }
    Ok(())
}

pub(super) fn arg_max(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let id = first(node)?;
    let desc = b.desc(id).clone();
    let axis = axis_of(&node.attrs, desc.rank())?;
    let x = if desc.dtype.is_float() { b.f32(id)? } else { b.value(id)? };
    let inner = count(&desc.shape[axis + 1..]);
    b.step(node, ArgMax { length: desc.shape[axis], inner, dtype: desc.dtype }, vec![x]);
    Ok(())
}
