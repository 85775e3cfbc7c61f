use super::util;
use crate::{
    Args, AttrDefault, AttrKind, AttrSpec, Bound, InputSpec, OpDef, OpError, Tensor, TensorDesc, Types,
};

pub(super) static DEF: OpDef = OpDef {
    name: "Gather",
    doc: "Slices of the data along an axis, picked by indices: the axis is replaced by the indices' axes. \
          An index may be negative, counting from the end; one outside the axis is an error.",
    inputs: &[InputSpec::required("data", Types::Any), InputSpec::required("indices", Types::Int)],
    outputs: &["output"],
    variadic_outputs: false,
    attrs: &[AttrSpec {
        name: "axis",
        kind: AttrKind::Int,
        default: AttrDefault::Int(0),
        doc: "The axis to pick from, from the end if negative.",
    }],
    infer,
    reference,
    bound: Bound::Exact,
    flops: util::flops_none,
};

fn infer(args: &Args<'_, TensorDesc>) -> Result<Vec<TensorDesc>, OpError> {
    let (data, indices) = (args.input(0)?, args.input(1)?);
    let axis = util::axis("axis", args.attrs.int("axis")?, data.rank())?;
    let shape = [&data.shape[..axis], &indices.shape, &data.shape[axis + 1..]].concat();
    Ok(vec![data.with_shape(shape)])
}

fn reference(args: &Args<'_, Tensor>) -> Result<Vec<Tensor>, OpError> {
    let desc = util::output_of(args)?;
    let (data, indices) = (args.input(0)?, args.input(1)?);
    let axis = util::axis("axis", args.attrs.int("axis")?, data.shape().len())?;
    let positions = positions(indices, data.shape()[axis])?;
    let picked = axis + indices.shape().len();
    Ok(vec![Tensor::from_fn(desc, |index| {
        let position = positions[util::offset(indices.shape(), &index[axis..picked])];
        let source = [&index[..axis], &[position], &index[picked..]].concat();
        data.data()[util::offset(data.shape(), &source)]
    })])
}

fn positions(indices: &Tensor, size: usize) -> Result<Vec<usize>, OpError> {
    let position = |&index: &f64| {
        let wrapped = if index < 0.0 { index + size as f64 } else { index };
        if (0.0..size as f64).contains(&wrapped) {
            return Ok(wrapped as usize);
        }
        Err(OpError::invalid(format!("index {index} is outside the axis, which has {size} entries")))
    };
    indices.data().iter().map(position).collect()
}
