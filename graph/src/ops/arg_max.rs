use super::{reduce, util};
use crate::{Args, AttrDefault, AttrKind, AttrSpec, Attrs, DType, OpDef, OpError, Tensor, TensorDesc};

pub(super) static DEF: OpDef = OpDef {
    name: "ArgMax",
    doc: "The position of the largest element along an axis, as i64; of several, the first. A NaN counts \
          as the largest.",
    attrs: &[
        AttrSpec {
            name: "axis",
            kind: AttrKind::Int,
            default: AttrDefault::Int(0),
            doc: "The axis to reduce, from the end if negative.",
        },
        reduce::KEEPDIMS,
    ],
    infer,
    reference,
    ..reduce::REDUCTION
};

fn infer(args: &Args<'_, TensorDesc>) -> Result<Vec<TensorDesc>, OpError> {
    let x = args.input(0)?;
    let axis = axis(args.attrs, x.rank())?;
    reduce::check_nonempty(x, &[axis])?;
    let out = reduce::reduced(x, &[axis], args.attrs.bool("keepdims")?);
    Ok(vec![out.with_dtype(DType::I64)])
}

fn axis(attrs: &Attrs, rank: usize) -> Result<usize, OpError> {
    util::axis("axis", attrs.int("axis")?, rank)
}

fn reference(args: &Args<'_, Tensor>) -> Result<Vec<Tensor>, OpError> {
    let desc = util::output_of(args)?;
    let x = args.input(0)?;
    let mut out = Vec::new();
    reduce::each_group(x.shape(), &[axis(args.attrs, x.shape().len())?], |positions| {
        let mut best = 0;
        for (i, &position) in positions.iter().enumerate() {
            let (v, largest) = (x.data()[position], x.data()[positions[best]]);
            if !largest.is_nan() && (v.is_nan() || v > largest) {
                best = i;
            }
        }
        out.push(best as f64);
    });
    Ok(vec![Tensor::new(desc, out)?])
}
