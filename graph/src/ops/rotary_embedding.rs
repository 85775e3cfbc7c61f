use super::heads::Heads;
use super::util::{self, broadcast_offset};
use crate::{
    Args, AttrDefault, AttrKind, AttrSpec, Attrs, Bound, InputSpec, OpDef, OpError, Tensor, TensorDesc, Types,
};

pub(super) static DEF: OpDef = OpDef {
    name: "RotaryEmbedding",
    doc: "Rotates pairs (a, b) of each head's first R elements by an angle that depends on position: to \
          (a cos - b sin, b cos + a sin). X is [B, H, L, D], or [B, L, H * D] with the number of heads as an \
          attribute; cos and sin are [L, R/2], or [B, L, R/2] where B may be 1.",
    inputs: &[
        InputSpec::required("X", Types::Float),
        InputSpec::required("cos", Types::Float),
        InputSpec::required("sin", Types::Float),
    ],
    outputs: &["Y"],
    variadic_outputs: false,
    attrs: &[
        AttrSpec {
            name: "num_heads",
            kind: AttrKind::Int,
            default: AttrDefault::Absent,
            doc: "The heads of X; required at rank 3.",
        },
        AttrSpec {
            name: "interleaved",
            kind: AttrKind::Bool,
            default: AttrDefault::Bool(false),
            doc: "Whether pairs are neighbours (0 and 1, 2 and 3, ...) or lie half of R apart.",
        },
        AttrSpec {
            name: "rotary_dim",
            kind: AttrKind::Int,
            default: AttrDefault::Absent,
            doc: "R, how many elements of a head are rotated, an even number; the others pass through. Without \
                  it, all.",
        },
    ],
    infer: |args| {
        util::same_type(args)?;
        let x = args.input(0)?;
        let (heads, pairs) = layout(args.attrs, x)?;
        let wanted = [heads.batch, heads.length, pairs];
        for (i, what) in [(1, "cos"), (2, "sin")] {
            check_table(what, args.input(i)?, wanted)?;
        }
        Ok(vec![x.clone()])
    },
    reference: |args| {
        let y = rotate(args, |[a_cos, b_sin]| a_cos - b_sin, |[b_cos, a_sin]| b_cos + a_sin, |v| v)?;
        Ok(vec![Tensor::new(util::output_of(args)?, y)?])
    },
    // Two products and a sum, each rounded once, on the sum of absolute values; the rest is moved.
    bound: Bound::Scaled(|args, outputs| {
        let units = |terms: [f64; 2]| 2.0 * (terms[0].abs() + terms[1].abs());
        Ok(vec![util::with_floor(outputs[0].dtype(), rotate(args, units, units, |_| 0.0)?)])
    }),
    flops: |_, outputs| util::cost(outputs, 3),
};

/// The heads of X, and the number of rotated pairs in each.
fn layout(attrs: &Attrs, x: &TensorDesc) -> Result<(Heads, usize), OpError> {
    let heads = Heads::of("X", x, attrs, "num_heads")?;
    let rotated = match attrs.opt_int("rotary_dim")? {
        Some(r) => util::positive("rotary_dim", r)?,
        None => heads.size,
    };
    if rotated % 2 != 0 || rotated > heads.size {
        let reason = format!("{rotated} must be even, and {} at most, the head size", heads.size);
        return Err(OpError::attribute("rotary_dim", reason));
    }
    Ok((heads, rotated / 2))
}

fn check_table(what: &str, table: &TensorDesc, [batch, length, pairs]: [usize; 3]) -> Result<(), OpError> {
    match *table.shape.as_slice() {
        [l, p] if [l, p] == [length, pairs] => Ok(()),
        [b, l, p] if [l, p] == [length, pairs] && (b == batch || b == 1) => Ok(()),
        _ => Err(OpError::invalid(format!(
            "{what} is {table}, but must be [{length}, {pairs}] or [{batch}, {length}, {pairs}]"
        ))),
    }
}

/// Walks X: the first and second element of each pair are made from their two products, the
/// elements behind the pairs by `pass`.
fn rotate(
    args: &Args<'_, Tensor>,
    first: impl Fn([f64; 2]) -> f64,
    second: impl Fn([f64; 2]) -> f64,
    pass: impl Fn(f64) -> f64,
) -> Result<Vec<f64>, OpError> {
    util::outputs_of(args)?;
    let (x, cos, sin) = (args.input(0)?, args.input(1)?, args.input(2)?);
    let (heads, pairs) = layout(args.attrs, x.desc())?;
    let interleaved = args.attrs.bool("interleaved")?;
    let mut out: Vec<f64> = x.data().iter().map(|&v| pass(v)).collect();
    crate::tensor::for_each_index(&[heads.batch, heads.heads, heads.length, pairs], |index| {
        let &[b, h, l, p] = index else { return };
        let (i, j) = if interleaved { (2 * p, 2 * p + 1) } else { (p, p + pairs) };
        let (i, j) = (heads.at(b, h, l, i), heads.at(b, h, l, j));
        let at = |table: &Tensor| table.data()[table_offset(table.shape(), [b, l, p])];
        let (cos, sin, a, b) = (at(cos), at(sin), x.data()[i], x.data()[j]);
        out[i] = first([a * cos, b * sin]);
        out[j] = second([b * cos, a * sin]);
    });
    Ok(out)
}

fn table_offset(shape: &[usize], index: [usize; 3]) -> usize {
    broadcast_offset(shape, &index[3 - shape.len()..])
}
