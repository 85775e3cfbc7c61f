use super::util;
use crate::{Args, AttrDefault, AttrKind, AttrSpec, Attrs, Bound, InputSpec, OpDef, OpError, Tensor, Types};

pub(super) static DEF: OpDef = OpDef {
    name: "Transpose",
    doc: "The axes in another order.",
    inputs: &[InputSpec::required("data", Types::Any)],
    outputs: &["transposed"],
    variadic_outputs: false,
    attrs: &[AttrSpec {
        name: "perm",
        kind: AttrKind::Ints,
        default: AttrDefault::Absent,
        doc: "For each axis of the result, the axis of the input that it is; without it, reversed.",
    }],
    infer: |args| {
        let x = args.input(0)?;
        let perm = permutation(args.attrs, x.rank())?;
        Ok(vec![x.with_shape(perm.iter().map(|&a| x.shape[a]).collect::<Vec<_>>())])
    },
    reference,
    bound: Bound::Exact,
    flops: util::flops_none,
};

fn permutation(attrs: &Attrs, rank: usize) -> Result<Vec<usize>, OpError> {
    let Some(perm) = attrs.opt_ints("perm")? else { return Ok((0..rank).rev().collect()) };
    util::one_each("perm", perm.len(), rank, "axes")?;
    util::axes("perm", perm, rank)
}

fn reference(args: &Args<'_, Tensor>) -> Result<Vec<Tensor>, OpError> {
    let desc = util::output_of(args)?;
    let x = args.input(0)?;
    let perm = permutation(args.attrs, x.shape().len())?;
    Ok(vec![Tensor::from_fn(desc, |index| {
        let mut source = vec![0; index.len()];
        perm.iter().zip(index).for_each(|(&a, &i)| source[a] = i);
        x.data()[util::offset(x.shape(), &source)]
    })])
}
