use super::geometry::{self, Window};
use super::util;
use crate::tensor::for_each_index;
use crate::{
    Args, AttrDefault, AttrKind, AttrSpec, Attrs, Bound, InputSpec, OpDef, OpError, Tensor, TensorDesc, Types,
};

pub(super) static DEF: OpDef = OpDef {
    name: "ConvTranspose",
    doc: "The transpose of Conv: each element of [N, C, d1, ...] adds a multiple of a kernel \
          [C, O/group, k1, ...] to the result, plus an optional bias [O]. An axis of d becomes \
          (d - 1) * stride + (k - 1) * dilation + 1 + output_padding - begin - end.",
    inputs: &[
        InputSpec::required("X", Types::Float),
        InputSpec::required("W", Types::Float),
        InputSpec::optional("B", Types::Float),
    ],
    outputs: &["Y"],
    variadic_outputs: false,
    attrs: &[
        geometry::STRIDES,
        geometry::DILATIONS,
        AttrSpec {
            name: "pads",
            kind: AttrKind::Ints,
            default: AttrDefault::Absent,
            doc: "How much of the result to cut off: the begins of all spatial axes, then the ends; without it, 0.",
        },
        AttrSpec {
            name: "output_padding",
            kind: AttrKind::Ints,
            default: AttrDefault::Absent,
            doc: "How much longer the result is at each axis' end, less than its stride or dilation; without it, 0.",
        },
        geometry::GROUP,
    ],
    infer,
    reference: |args| Ok(vec![spread(args, |v| v)?]),
    bound: Bound::Scaled(bound),
    flops: |args, _| {
        let terms = args.optional(1).map_or(0, |w| util::count(w.shape.get(1..).unwrap_or_default()));
        let inputs = args.optional(0).map_or(0, |x| x.elements());
        (inputs as u64).saturating_mul(terms as u64).saturating_mul(2)
    },
};

fn infer(args: &Args<'_, TensorDesc>) -> Result<Vec<TensorDesc>, OpError> {
    util::same_type(args)?;
    let (x, w) = (args.input(0)?, args.input(1)?);
    let group = util::positive("group", args.attrs.int("group")?)?;
    let ([n, c, spatial @ ..], [c_w, o_group, kernel @ ..]) = (x.shape.as_slice(), w.shape.as_slice()) else {
        return Err(not_a_convolution(x, w));
    };
    if spatial.len() != kernel.len() || c != c_w {
        return Err(not_a_convolution(x, w));
    }
    let (0, Some(o)) = (c % group, o_group.checked_mul(group)) else {
        return Err(OpError::attribute("group", format!("{c} channels do not divide into {group} groups")));
    };
    if let Some(b) = args.optional(2)
        && b.shape != [o]
    {
        return Err(OpError::invalid(format!("the bias is {b}, but must be [{o}]")));
    }
    let windows = geometry::windows(args.attrs, kernel)?;
    let extra = output_padding(args.attrs, &windows)?;
    let mut shape = vec![*n, o];
    for ((window, &d), extra) in windows.iter().zip(spatial).zip(extra) {
        shape.push(window.covers(d, extra)?);
    }
    Ok(vec![x.with_shape(shape)])
}

fn not_a_convolution(x: &TensorDesc, w: &TensorDesc) -> OpError {
    OpError::invalid(format!(
        "X must be [N, C, d1, ...] and W [C, O/group, k1, ...] of the same rank; they are {x} and {w}"
    ))
}

fn output_padding(attrs: &Attrs, windows: &[Window]) -> Result<Vec<usize>, OpError> {
    let Some(values) = attrs.opt_ints("output_padding")? else { return Ok(vec![0; windows.len()]) };
    util::one_each("output_padding", values.len(), windows.len(), "spatial axes")?;
    let values = util::dims("output_padding", values)?;
    match values.iter().zip(windows).find(|&(&v, w)| v >= w.stride.max(w.dilation)) {
        Some((v, w)) => Err(OpError::attribute(
            "output_padding",
            format!("{v} must be less than the stride {} or the dilation {}", w.stride, w.dilation),
        )),
        None => Ok(values),
    }
}

/// The result with `f` applied to every number read: the identity for the reference, the absolute
/// value for the scale of the bound.
fn spread(args: &Args<'_, Tensor>, f: impl Fn(f64) -> f64) -> Result<Tensor, OpError> {
    let desc = util::output_of(args)?;
    let (x, w, bias) = (args.input(0)?, args.input(1)?, args.optional(2));
    let windows = geometry::windows(args.attrs, &w.shape()[2..])?;
    let group = util::positive("group", args.attrs.int("group")?)?;
    let (in_group, out_group) = (x.shape()[1] / group, w.shape()[1]);
    let start = Tensor::from_fn(desc.clone(), |index| bias.map_or(0.0, |b| f(b.data()[index[1]])));
    let mut out = start.into_data();
    let (image, taps) = (util::count(&desc.shape[2..]), util::count(&w.shape()[2..]));
    for_each_index(x.shape(), |from| {
        let (n, c, at) = (from[0], from[1], &from[2..]);
        let value = f(x.data()[util::offset(x.shape(), from)]);
        let hit = hit_by_taps(&windows, &desc.shape[2..], at, &w.shape()[2..]);
        for o in 0..out_group {
            let channel = n * desc.shape[1] + c / in_group * out_group + o;
            let image = &mut out[channel * image..][..image];
            let kernel = &w.data()[(c * out_group + o) * taps..][..taps];
            for (&weight, place) in kernel.iter().zip(&hit) {
                if let Some(place) = *place {
                    image[place] += value * f(weight);
                }
            }
        }
    });
    Tensor::new(desc, out)
}

/// For each tap of a kernel the element of a channel of the result that it adds to, or `None` where it is cut off.
fn hit_by_taps(windows: &[Window], dims: &[usize], at: &[usize], kernel: &[usize]) -> Vec<Option<usize>> {
    let mut hit = Vec::with_capacity(util::count(kernel));
    for_each_index(kernel, |tap| {
        let along = |a: usize| usize::try_from(windows[a].meets(at[a], tap[a])).ok().filter(|&i| i < dims[a]);
        hit.push((0..dims.len()).try_fold(0, |flat, a| Some(flat * dims[a] + along(a)?)));
    });
    hit
}

/// At most as many products and additions of an accumulator as a group has kernel elements and
/// channels, the bias, and the rounding to the type, on the sum of absolute values.
fn bound(args: &Args<'_, Tensor>, _: &[Tensor]) -> Result<Vec<Vec<f64>>, OpError> {
    let w = args.input(1)?;
    let group = util::positive("group", args.attrs.int("group")?)?;
    let taps = (w.shape()[0] / group).saturating_mul(util::count(&w.shape()[2..]));
    let scale = spread(args, f64::abs)?;
    let terms = util::accumulated(scale.dtype(), taps) + 2.0;
    Ok(vec![util::with_floor(scale.dtype(), scale.data().iter().map(|s| terms * s))])
}
