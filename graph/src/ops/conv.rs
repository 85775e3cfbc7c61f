use super::geometry::{self, PadMode, Window};
use super::util;
use crate::tensor::for_each_index;
use crate::{
    Args, AttrDefault, AttrKind, AttrSpec, Attrs, Bound, InputSpec, OpDef, OpError, Tensor, TensorDesc, Types,
};

pub(super) static DEF: OpDef = OpDef {
    name: "Conv",
    doc: "Convolution of [N, C, d1, ...] with kernels [O, C/group, k1, ...] along one to three axes, plus an \
          optional bias [O]. The kernel is not flipped. Causal convolution is `pads` with a begin only.",
    inputs: &[
        InputSpec::required("X", Types::Float),
        InputSpec::required("W", Types::Float),
        InputSpec::optional("B", Types::Float),
    ],
    outputs: &["Y"],
    variadic_outputs: false,
    attrs: &ATTRS,
    infer,
    reference: |args| Ok(vec![convolve(args, |v| v)?]),
    bound: Bound::Scaled(bound),
    flops: |args, outputs| {
        let terms = args.optional(1).map_or(0, |w| util::count(w.shape.get(1..).unwrap_or_default()));
        util::cost(outputs, terms.saturating_mul(2))
    },
};

/// The attributes of a convolution.
pub(super) const ATTRS: [AttrSpec; 5] = [
    geometry::STRIDES,
    geometry::DILATIONS,
    AttrSpec {
        name: "pads",
        kind: AttrKind::Ints,
        default: AttrDefault::Absent,
        doc: "How much to pad: the begins of all spatial axes, then the ends; without it, 0.",
    },
    geometry::GROUP,
    AttrSpec {
        name: "pad_mode",
        kind: PadMode::KIND,
        default: AttrDefault::Str("constant"),
        doc: "What the padding is: `constant`: zeros; `edge`: the nearest element; `reflect`: mirrored at \
              the first and last element, which are not repeated. ONNX knows zeros only.",
    },
];

fn infer(args: &Args<'_, TensorDesc>) -> Result<Vec<TensorDesc>, OpError> {
    util::same_type(args)?;
    let (x, w) = (args.input(0)?, args.input(1)?);
    let group = util::positive("group", args.attrs.int("group")?)?;
    let ([n, c, spatial @ ..], [o, c_group, kernel @ ..]) = (x.shape.as_slice(), w.shape.as_slice()) else {
        return Err(not_a_convolution(x, w));
    };
    if spatial.len() != kernel.len() {
        return Err(not_a_convolution(x, w));
    }
    if c_group.checked_mul(group) != Some(*c) || o % group != 0 {
        return Err(OpError::invalid(format!(
            "the kernels {w} must be [O, C/group, ...] for {c} channels in {group} groups, with O a multiple of them"
        )));
    }
    if let Some(b) = args.optional(2)
        && b.shape != [*o]
    {
        return Err(OpError::invalid(format!("the bias is {b}, but must be [{o}]")));
    }
    let mode = PadMode::of(args.attrs, "pad_mode")?;
    let mut shape = vec![*n, *o];
    for (axis, (window, &d)) in geometry::windows(args.attrs, kernel)?.iter().zip(spatial).enumerate() {
        mode.check(axis + 2, d, window.begin, window.end)?;
        shape.push(window.positions(d)?);
    }
    Ok(vec![x.with_shape(shape)])
}

fn not_a_convolution(x: &TensorDesc, w: &TensorDesc) -> OpError {
    OpError::invalid(format!(
        "X must be [N, C, d1, ...] and W [O, C/group, k1, ...] of the same rank; they are {x} and {w}"
    ))
}

/// The convolution with `f` applied to every number read: the identity for the reference, the
/// absolute value for the scale of the bound.
fn convolve(args: &Args<'_, Tensor>, f: impl Fn(f64) -> f64) -> Result<Tensor, OpError> {
    let desc = util::output_of(args)?;
    let (x, w, bias) = (args.input(0)?, args.input(1)?, args.optional(2));
    let windows = geometry::windows(args.attrs, &w.shape()[2..])?;
    let mode = PadMode::of(args.attrs, "pad_mode")?;
    let (out_group, in_group) = groups(args.attrs, w)?;
    let (image, taps) = (util::count(&x.shape()[2..]), util::count(&w.shape()[2..]));
    Ok(Tensor::from_fn(desc, |index| {
        let (n, o, at) = (index[0], index[1], &index[2..]);
        let met = met_by_taps(&windows, mode, &x.shape()[2..], at, &w.shape()[2..]);
        let mut sum = bias.map_or(0.0, |b| f(b.data()[o]));
        for c in 0..in_group {
            let channel = n * x.shape()[1] + o / out_group * in_group + c;
            let image = &x.data()[channel * image..][..image];
            let kernel = &w.data()[(o * in_group + c) * taps..][..taps];
            for (&weight, place) in kernel.iter().zip(&met) {
                sum += place.map_or(0.0, |place| f(image[place]) * f(weight));
            }
        }
        sum
    }))
}

/// The output channels and the input channels of one group.
pub(super) fn groups(attrs: &Attrs, w: &Tensor) -> Result<(usize, usize), OpError> {
    let group = util::positive("group", attrs.int("group")?)?;
    Ok((w.shape()[0] / group, w.shape()[1]))
}

/// For each tap of a kernel the element of a channel of X that it meets, or `None` in the zeros around it.
pub(super) fn met_by_taps(
    windows: &[Window],
    mode: PadMode,
    dims: &[usize],
    at: &[usize],
    kernel: &[usize],
) -> Vec<Option<usize>> {
    let mut met = Vec::with_capacity(util::count(kernel));
    for_each_index(kernel, |tap| {
        let along = |a: usize| mode.source(windows[a].meets(at[a], tap[a]), dims[a]);
        met.push((0..dims.len()).try_fold(0, |flat, a| Some(flat * dims[a] + along(a)?)));
    });
    met
}

/// As many products and additions of an accumulator as the kernel has elements, the bias, and the
/// rounding to the type, on the sum of absolute values.
fn bound(args: &Args<'_, Tensor>, _: &[Tensor]) -> Result<Vec<Vec<f64>>, OpError> {
    let scale = convolve(args, f64::abs)?;
    let terms = util::accumulated(scale.dtype(), util::count(&args.input(1)?.shape()[1..])) + 2.0;
    Ok(vec![util::with_floor(scale.dtype(), scale.data().iter().map(|s| terms * s))])
}
