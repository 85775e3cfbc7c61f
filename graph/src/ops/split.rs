use super::util;
use crate::{
    Args, AttrDefault, AttrKind, AttrSpec, Attrs, Bound, InputSpec, OpDef, OpError, Tensor, TensorDesc, Types,
};

pub(super) static DEF: OpDef = OpDef {
    name: "Split",
    doc: "Cuts a tensor along an axis into parts of given sizes, one output each.",
    inputs: &[InputSpec::required("input", Types::Any)],
    outputs: &["outputs"],
    variadic_outputs: true,
    attrs: &[
        AttrSpec {
            name: "axis",
            kind: AttrKind::Int,
            default: AttrDefault::Int(0),
            doc: "The axis to cut, from the end if negative.",
        },
        AttrSpec {
            name: "sizes",
            kind: AttrKind::Ints,
            default: AttrDefault::Required,
            doc: "The size of each part; together they are the axis.",
        },
    ],
    infer: |args| {
        let x = args.input(0)?;
        let (axis, sizes) = cuts(args.attrs, x)?;
        Ok(sizes.iter().map(|&size| part(x, axis, size)).collect())
    },
    reference,
    bound: Bound::Exact,
    flops: util::flops_none,
};

fn cuts(attrs: &Attrs, x: &TensorDesc) -> Result<(usize, Vec<usize>), OpError> {
    let axis = util::axis("axis", attrs.int("axis")?, x.rank())?;
    let sizes = util::dims("sizes", attrs.ints("sizes")?)?;
    let total = sizes.iter().try_fold(0usize, |sum, &s| sum.checked_add(s));
    if sizes.is_empty() || total != Some(x.shape[axis]) {
        return Err(OpError::attribute(
            "sizes",
            format!("{sizes:?} do not add up to {}, which is axis {axis} of {x}", x.shape[axis]),
        ));
    }
    Ok((axis, sizes))
}

fn part(x: &TensorDesc, axis: usize, size: usize) -> TensorDesc {
    let mut shape = x.shape.clone();
    shape[axis] = size;
    x.with_shape(shape)
}

fn reference(args: &Args<'_, Tensor>) -> Result<Vec<Tensor>, OpError> {
    let x = args.input(0)?;
    let (axis, sizes) = cuts(args.attrs, x.desc())?;
    let mut start = 0;
    let mut outputs = Vec::new();
    for size in sizes {
        outputs.push(Tensor::from_fn(part(x.desc(), axis, size), |index| {
            let mut source = index.to_vec();
            source[axis] += start;
            x.data()[util::offset(x.shape(), &source)]
        }));
        start += size;
    }
    Ok(outputs)
}
