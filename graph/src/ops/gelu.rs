use super::elementwise::{self, erf_units, tanh_units};
use super::erf::{erf, erfc};
use super::util;
use crate::{Args, AttrDefault, AttrKind, AttrSpec, Bound, OpDef, OpError, Tensor};

pub(super) static DEF: OpDef = OpDef {
    name: "Gelu",
    doc: "x times the normal distribution's cumulative function at x, element by element. \
          The limit at -inf is 0.",
    attrs: &[AttrSpec {
        name: "approximate",
        kind: AttrKind::Choice(&["none", "tanh"]),
        default: AttrDefault::Str("none"),
        doc: "`none`: x/2 * (1 + erf(x / sqrt(2))); \
              `tanh`: x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x^3))).",
    }],
    reference: |args| {
        let form = Form::of(args)?;
        elementwise::map(args, |x| if x == f64::NEG_INFINITY { 0.0 } else { x / 2.0 * form.gate(x) })
    },
    bound: Bound::Scaled(bound),
    flops: |_, outputs| util::cost(outputs, 9),
    ..elementwise::UNARY
};

#[derive(Clone, Copy)]
enum Form {
    Erf,
    Tanh,
}

impl Form {
    fn of(args: &Args<'_, Tensor>) -> Result<Self, OpError> {
        Ok(if args.attrs.str("approximate")? == "tanh" { Form::Tanh } else { Form::Erf })
    }

    /// What erf or tanh is applied to.
    fn argument(self, x: f64) -> f64 {
        match self {
            Form::Erf => x * std::f64::consts::FRAC_1_SQRT_2,
            Form::Tanh => (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x),
        }
    }

    /// The factor of x/2, between 0 and 2.
    fn gate(self, x: f64) -> f64 {
        let z = self.argument(x);
        match self {
            // 1 + erf(z) = erfc(-z), which does not cancel.
            Form::Erf => erfc(-z),
            // 1 + tanh(z) = 2 / (1 + exp(-2z)), which does not cancel either.
            Form::Tanh => 2.0 / (1.0 + (-2.0 * z).exp()),
        }
    }
}

/// A device adds 1 to an erf or tanh near -1, so the gate's error is absolute: the function's own,
/// the rounding of its argument (6 operations at most, of like signs), and the addition.
fn bound(args: &Args<'_, Tensor>, outputs: &[Tensor]) -> Result<Vec<Vec<f64>>, OpError> {
    let form = Form::of(args)?;
    elementwise::bound(args, outputs, |x, y| {
        let z = form.argument(x);
        let inner = match form {
            Form::Erf => erf_units(z, erf(z)),
            Form::Tanh => tanh_units(z, z.tanh()) + 6.0 * z.abs() / z.cosh().powi(2),
        };
        x.abs() / 2.0 * (inner + 2.0) + 3.0 * y.abs()
    })
}
