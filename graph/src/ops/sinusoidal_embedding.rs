use super::elementwise::{angle_units, exp_units};
use super::util;
use crate::{Args, AttrDefault, AttrKind, AttrSpec, Attrs, Bound, InputSpec, OpDef, OpError, Tensor, Types};

pub(super) static DEF: OpDef = OpDef {
    name: "video.SinusoidalEmbedding",
    doc: "Sines and cosines of a time [B] at falling frequencies, as [B, dim]: with half = dim / 2 rounded down, \
          frequency i is exp(-ln(max_period) * i / (half - shift)), the angle scale * t * frequency; first the \
          sines, then the cosines, then a zero if dim is odd.",
    inputs: &[InputSpec::required("t", Types::Float)],
    outputs: &["embedding"],
    variadic_outputs: false,
    attrs: &[
        AttrSpec {
            name: "dim",
            kind: AttrKind::Int,
            default: AttrDefault::Required,
            doc: "The size of the result's last axis, 2 at least.",
        },
        AttrSpec {
            name: "max_period",
            kind: AttrKind::Float,
            default: AttrDefault::Float(10000.0),
            doc: "The period, over 2 pi, towards which the frequencies fall.",
        },
        AttrSpec {
            name: "scale",
            kind: AttrKind::Float,
            default: AttrDefault::Float(1.0),
            doc: "The factor of t.",
        },
        AttrSpec {
            name: "flip",
            kind: AttrKind::Bool,
            default: AttrDefault::Bool(false),
            doc: "Whether the cosines come before the sines.",
        },
        AttrSpec {
            name: "shift",
            kind: AttrKind::Float,
            default: AttrDefault::Float(0.0),
            doc: "What is taken from half in the exponent, less than half.",
        },
    ],
    infer: |args| {
        let t = args.input(0)?;
        let [batch] = *t.shape else {
            return Err(OpError::invalid(format!("t must be [B], one time for each item; it is {t}")));
        };
        let table = Table::of(args.attrs)?;
        Ok(vec![t.with_shape([batch, table.dim])])
    },
    reference: |args| {
        let table = Table::of(args.attrs)?;
        build(args, |t, column| table.at(t, column).map_or(0.0, |wave| wave.value().0))
    },
    bound: Bound::Scaled(bound),
    flops: |_, outputs| util::cost(outputs, 4),
};

struct Table {
    dim: usize,
    log_period: f64,
    scale: f64,
    flip: bool,
    /// half - shift.
    steps: f64,
}

/// One element: the sine or cosine of an angle.
struct Wave {
    angle: f64,
    /// The logarithm of the frequency.
    exponent: f64,
    cosine: bool,
}

impl Wave {
    /// The value and its slope.
    fn value(&self) -> (f64, f64) {
        let (sin, cos) = self.angle.sin_cos();
        if self.cosine { (cos, -sin) } else { (sin, cos) }
    }
}

impl Table {
    fn of(attrs: &Attrs) -> Result<Self, OpError> {
        let dim = util::positive("dim", attrs.int("dim")?)?;
        let max_period = util::finite("max_period", attrs.float("max_period")?)?;
        let scale = util::finite("scale", attrs.float("scale")?)?;
        let shift = util::finite("shift", attrs.float("shift")?)?;
        let steps = (dim / 2) as f64 - shift;
        if dim < 2 {
            return Err(OpError::attribute("dim", format!("{dim} is given, but must be 2 or more")));
        }
        if max_period <= 0.0 {
            return Err(OpError::attribute("max_period", format!("{max_period} must be above 0")));
        }
        if steps <= 0.0 {
            return Err(OpError::attribute("shift", format!("{shift} must be less than half, {}", dim / 2)));
        }
        Ok(Self { dim, log_period: max_period.ln(), scale, flip: attrs.bool("flip")?, steps })
    }

    /// The element of a column; `None` in the last column when `dim` is odd.
    fn at(&self, t: f64, column: usize) -> Option<Wave> {
        let half = self.dim / 2;
        let second = column >= half;
        let i = if second { column - half } else { column };
        let exponent = -self.log_period * i as f64 / self.steps;
        let wave = Wave { angle: self.scale * t * exponent.exp(), exponent, cosine: second != self.flip };
        (i < half).then_some(wave)
    }
}

fn build(args: &Args<'_, Tensor>, f: impl Fn(f64, usize) -> f64) -> Result<Vec<Tensor>, OpError> {
    let t = args.input(0)?;
    Ok(vec![Tensor::from_fn(util::output_of(args)?, |index| f(t.data()[index[0]], index[1]))])
}

/// The exponent is rounded three times (the logarithm, the product, the quotient), which exp turns into a
/// relative error of the frequency; scale, and two products, make the angle.
fn bound(args: &Args<'_, Tensor>, outputs: &[Tensor]) -> Result<Vec<Vec<f64>>, OpError> {
    let table = Table::of(args.attrs)?;
    let accumulator = util::accumulator_unit(outputs[0].dtype());
    let units = build(args, |t, column| {
        table.at(t, column).map_or(0.0, |wave| {
            let (y, slope) = wave.value();
            let angle_error = exp_units(wave.exponent) + 3.0 * wave.exponent.abs() + 3.0;
            // The angle's part is in f32 at least, for no narrower type could hold it.
            let angle = accumulator * wave.angle;
            angle_units(angle, angle_error, y, slope)
        })
    })?;
    Ok(units.into_iter().map(|t| util::with_floor(outputs[0].dtype(), t.into_data())).collect())
}
