use super::util;
use crate::tensor::for_each_index;
use crate::{
    Args, AttrDefault, AttrKind, AttrSpec, Attrs, Bound, InputSpec, OpDef, OpError, Tensor, TensorDesc, Types,
};

pub(super) static DEF: OpDef = OpDef {
    name: "Resize",
    doc: "Resamples the spatial axes of [N, C, d1, ...]. A position x of the result lies at x / scale in the \
          input (`asymmetric`), at (x + 1/2) / scale - 1/2 (`half_pixel`), or at x * (d - 1) / (d' - 1), 0 if \
          d' is 1 (`align_corners`); positions outside take the nearest element. PyTorch's `nearest` is \
          asymmetric with floor. Scales and sizes are for the spatial axes only.",
    inputs: &[InputSpec::required("X", Types::Float)],
    outputs: &["Y"],
    variadic_outputs: false,
    attrs: &[
        AttrSpec {
            name: "scales",
            kind: AttrKind::Floats,
            default: AttrDefault::Absent,
            doc: "The factor for each spatial axis, which becomes floor(d * factor); or give `sizes`.",
        },
        AttrSpec {
            name: "sizes",
            kind: AttrKind::Ints,
            default: AttrDefault::Absent,
            doc: "The new size of each spatial axis; or give `scales`.",
        },
        AttrSpec {
            name: "mode",
            kind: AttrKind::Choice(&["nearest", "linear"]),
            default: AttrDefault::Str("nearest"),
            doc: "One element, or the linear interpolation between the two nearest along each axis.",
        },
        AttrSpec {
            name: "coordinate_transformation_mode",
            kind: AttrKind::Choice(&["half_pixel", "asymmetric", "align_corners"]),
            default: AttrDefault::Str("half_pixel"),
            doc: "Where a position of the result lies in the input.",
        },
        AttrSpec {
            name: "nearest_mode",
            kind: AttrKind::Choice(&["floor", "round_prefer_floor"]),
            default: AttrDefault::Str("floor"),
            doc: "Which element is the nearest: the one at or before the position, or the closest, of two \
                  equally close ones the first.",
        },
    ],
    infer: |args| {
        let x = args.input(0)?;
        let axes = axes(args.attrs, x)?;
        let mut shape = x.shape.clone();
        axes.iter().zip(&mut shape[2..]).for_each(|(axis, d)| *d = axis.to);
        Ok(vec![x.with_shape(shape)])
    },
    reference: |args| {
        let desc = util::output_of(args)?;
        let sum = |terms: &[Term]| terms.iter().map(|t| t.weight * t.value).sum();
        Ok(vec![Tensor::new(desc, resample(args, sum)?)?])
    },
    bound: Bound::Scaled(bound),
    flops: |args, outputs| {
        let axes = args.optional(0).map_or(0, |x| x.rank().saturating_sub(2)).min(3);
        let linear = args.attrs.str("mode").is_ok_and(|mode| mode == "linear");
        if linear { util::cost(outputs, 3 * ((1 << axes) - 1)) } else { 0 }
    },
};

/// How one axis is resampled.
#[derive(Clone, Copy, Debug)]
struct Axis {
    from: usize,
    to: usize,
    scale: f64,
    transform: Transform,
    sampling: Sampling,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Transform {
    HalfPixel,
    Asymmetric,
    AlignCorners,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Sampling {
    Floor,
    RoundPreferFloor,
    Linear,
}

impl Axis {
    /// Where a position of the result lies in the input, moved inside.
    fn coordinate(&self, x: usize) -> f64 {
        let x = x as f64;
        let at = match self.transform {
            Transform::HalfPixel => (x + 0.5) / self.scale - 0.5,
            Transform::Asymmetric => x / self.scale,
            Transform::AlignCorners if self.to == 1 => 0.0,
            Transform::AlignCorners => x * (self.from - 1) as f64 / (self.to - 1) as f64,
        };
        at.max(0.0).min((self.from - 1) as f64)
    }

    /// The elements that make a position of the result, with their weights.
    fn taps(&self, x: usize) -> Vec<(usize, f64)> {
        let at = self.coordinate(x);
        match self.sampling {
            Sampling::Floor => vec![(at.floor() as usize, 1.0)],
            Sampling::RoundPreferFloor => vec![((at - 0.5).ceil() as usize, 1.0)],
            Sampling::Linear => {
                let (low, part) = (at.floor() as usize, at.fract());
                vec![(low, 1.0 - part), ((low + 1).min(self.from - 1), part)]
            }
        }
    }
}

fn axes(attrs: &Attrs, x: &TensorDesc) -> Result<Vec<Axis>, OpError> {
    let spatial = x.shape.get(2..).unwrap_or_default();
    if !(1..=3).contains(&spatial.len()) {
        return Err(OpError::invalid(format!("X must be [N, C, d1, ...] with one to three d; it is {x}")));
    }
    if spatial.contains(&0) {
        return Err(OpError::invalid(format!("X is {x}: an empty axis has nothing to resample")));
    }
    let (transform, sampling) = modes(attrs)?;
    let targets = targets(attrs, spatial)?;
    let axis = |(&from, (to, scale))| Axis { from, to, scale, transform, sampling };
    Ok(spatial.iter().zip(targets).map(axis).collect())
}

fn modes(attrs: &Attrs) -> Result<(Transform, Sampling), OpError> {
    let transform = match attrs.str("coordinate_transformation_mode")? {
        "asymmetric" => Transform::Asymmetric,
        "align_corners" => Transform::AlignCorners,
        _ => Transform::HalfPixel,
    };
    let sampling = match (attrs.str("mode")?, attrs.str("nearest_mode")?) {
        ("linear", _) => Sampling::Linear,
        (_, "round_prefer_floor") => Sampling::RoundPreferFloor,
        _ => Sampling::Floor,
    };
    Ok((transform, sampling))
}

/// The new size and the scale of each axis.
fn targets(attrs: &Attrs, spatial: &[usize]) -> Result<Vec<(usize, f64)>, OpError> {
    match (attrs.opt_floats("scales")?, attrs.opt_ints("sizes")?) {
        (Some(scales), None) => {
            util::one_each("scales", scales.len(), spatial.len(), "spatial axes")?;
            spatial.iter().zip(scales).map(|(&d, &scale)| Ok((scaled(d, scale)?, scale))).collect()
        }
        (None, Some(sizes)) => {
            util::one_each("sizes", sizes.len(), spatial.len(), "spatial axes")?;
            let size = |(&d, &size): (&usize, &i64)| {
                let size = util::positive("sizes", size)?;
                Ok((size, size as f64 / d as f64))
            };
            spatial.iter().zip(sizes).map(size).collect()
        }
        _ => Err(OpError::attribute("sizes", "give either sizes or scales, and not both")),
    }
}

fn scaled(d: usize, scale: f64) -> Result<usize, OpError> {
    let size = (d as f64 * scale).floor();
    // Whole numbers are exact in f64 up to 2^53; no tensor is larger.
    if scale > 0.0 && (1.0..=9007199254740992.0).contains(&size) {
        return Ok(size as usize);
    }
    Err(OpError::attribute("scales", format!("{scale} times {d} is not a size; sizes are 1 or more")))
}

/// One element that enters a result.
struct Term {
    weight: f64,
    value: f64,
}

/// The result made by `f` from the terms of each element.
fn resample(args: &Args<'_, Tensor>, f: impl Fn(&[Term]) -> f64) -> Result<Vec<f64>, OpError> {
    let x = args.input(0)?;
    let axes = axes(args.attrs, x.desc())?;
    let out = util::output_of(args)?;
    let mut data = Vec::new();
    for_each_index(&out.shape, |index| {
        let taps: Vec<_> = axes.iter().zip(&index[2..]).map(|(axis, &x)| axis.taps(x)).collect();
        let counts: Vec<usize> = taps.iter().map(Vec::len).collect();
        let mut terms = Vec::new();
        for_each_index(&counts, |choice| {
            let chosen = || taps.iter().zip(choice).map(|(taps, &c)| taps[c]);
            let place: Vec<usize> = index[..2].iter().copied().chain(chosen().map(|(i, _)| i)).collect();
            let weight = chosen().map(|(_, w)| w).product();
            terms.push(Term { weight, value: x.data()[util::offset(x.shape(), &place)] });
        });
        data.push(f(&terms));
    });
    Ok(data)
}

/// Nearest moves data and has no error. Linear: along each axis two weights, two products and an
/// addition, on the sum of absolute values; and the coordinate, rounded three times in f32 at least, moves the
/// result by at most the spread of its terms times the error of the coordinate, which is at most the
/// axis' size in units.
fn bound(args: &Args<'_, Tensor>, outputs: &[Tensor]) -> Result<Vec<Vec<f64>>, OpError> {
    let axes = axes(args.attrs, args.input(0)?.desc())?;
    let (r, dtype) = (axes.len() as f64, outputs[0].dtype());
    let sizes: f64 = axes.iter().map(|a| a.from as f64 + 1.0).sum();
    let coordinate = 3.0 * sizes * util::accumulator_unit(dtype);
    let units = resample(args, |terms| {
        if terms.len() == 1 {
            return 0.0;
        }
        let magnitude: f64 = terms.iter().map(|t| (t.weight * t.value).abs()).sum();
        let largest = terms.iter().map(|t| t.value).fold(f64::NEG_INFINITY, f64::max);
        let smallest = terms.iter().map(|t| t.value).fold(f64::INFINITY, f64::min);
        4.0 * r * magnitude + coordinate * (largest - smallest)
    })?;
    Ok(vec![util::with_floor(dtype, units)])
}
