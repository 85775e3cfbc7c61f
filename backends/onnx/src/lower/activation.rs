//! Activations. Libraries approximate them on a range and differ at NaN and the infinities, which is mended here.

use kinograph_graph::Node;

use super::util::{defect, float, word};
use crate::builder::{Builder, Lowered, Name};
use crate::model::Attr;

/// P of `normal_cumulative`, from the constant up.
const ERFC: [f32; 10] = [
    0.28205878,
    0.28297895,
    0.23754606,
    0.23105799,
    -0.115350276,
    0.45490375,
    -0.7125966,
    0.46234813,
    -0.13805655,
    0.01510975,
];

/// What stands for -inf where a product with 0 would be NaN and the limit is 0.
const FLOOR: f32 = -3e38;

impl Builder<'_> {
    /// y, or x where x is NaN.
    fn keep_nan(&mut self, x: &str, y: &str) -> Name {
        let nan = self.is_nan(x);
        self.op("Where", &[&nan, x, y])
    }

    /// x, or a finite number at -inf.
    fn above_minus_infinity(&mut self, x: &str) -> Name {
        if self.target.approximate {
            return x.to_owned();
        }
        let floor = self.number(FLOOR);
        let below = self.op("Less", &[x, &floor]);
        self.op("Where", &[&below, &floor, x])
    }

    /// The normal distribution's cumulative function, without `Erf`: erfc(z) = exp(-z^2) t P(t) with t = 1 / (1 + z / 2) for
    /// z >= 0, P a least-squares fit on Chebyshev nodes of z in 0 to 9.5, within 2e-8 of erfc.
    fn normal_cumulative(&mut self, x: &str) -> Name {
        let [one, half, zero] = [1.0, 0.5, 0.0].map(|v| self.number(v));
        let root = self.number(std::f64::consts::FRAC_1_SQRT_2 as f32);
        let absolute = self.op("Abs", &[x]);
        let z = self.op("Mul", &[&absolute, &root]);
        let halved = self.op("Mul", &[&z, &half]);
        let divisor = self.op("Add", &[&halved, &one]);
        let t = self.op("Reciprocal", &[&divisor]);
        let mut sum = self.number(ERFC[ERFC.len() - 1]);
        for &c in ERFC[..ERFC.len() - 1].iter().rev() {
            let (c, product) = (self.number(c), self.op("Mul", &[&sum, &t]));
            sum = self.op("Add", &[&product, &c]);
        }
        let square = self.op("Mul", &[&z, &z]);
        let negative = self.op("Neg", &[&square]);
        let power = self.op("Exp", &[&negative]);
        let product = self.op("Mul", &[&sum, &t]);
        let tail = self.op("Mul", &[&product, &power]);
        let below = self.op("Mul", &[&tail, &half]);
        let above = self.op("Sub", &[&one, &below]);
        let negative = self.op("Less", &[x, &zero]);
        self.op("Where", &[&negative, &below, &above])
    }

    /// 1 + exp(-x).
    fn over_sigmoid(&mut self, x: &str) -> Name {
        let one = self.number(1.0);
        let negative = self.op("Neg", &[x]);
        let power = self.op("Exp", &[&negative]);
        self.op("Add", &[&power, &one])
    }
}

pub(crate) fn relu(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let x = b.input(node, 0)?;
    // 0 where x is below it: NaN is not.
    let zero = b.number(0.0);
    let below = b.op("Less", &[&x, &zero]);
    let y = b.op("Where", &[&below, &zero, &x]);
    b.output(node, 0, y);
    Ok(())
}

pub(crate) fn leaky_relu(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let x = b.input(node, 0)?;
    let y = b.op_with("LeakyRelu", &[&x], vec![("alpha", Attr::Float(float(node, "alpha")?))]);
    b.output(node, 0, y);
    Ok(())
}

pub(crate) fn clip(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let dtype = b.out_desc(node, 0).dtype;
    let mut y = b.input(node, 0)?;
    for (name, op) in [("min", "Less"), ("max", "Greater")] {
        if let Some(limit) = node.attrs.opt_float(name).map_err(defect)? {
            let limit = b.number(dtype.quantize(limit) as f32);
            let outside = b.op(op, &[&y, &limit]);
            y = b.op("Where", &[&outside, &limit, &y]);
        }
    }
    b.output(node, 0, y);
    Ok(())
}

pub(crate) fn sigmoid(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let x = b.input(node, 0)?;
    let y = if b.target.approximate {
        b.op("Sigmoid", &[&x])
    } else {
        let divisor = b.over_sigmoid(&x);
        b.op("Reciprocal", &[&divisor])
    };
    b.output(node, 0, y);
    Ok(())
}

pub(crate) fn tanh(b: &mut Builder<'_>, node: &Node) -> Lowered {
    same(b, node, "Tanh")
}

pub(crate) fn erf(b: &mut Builder<'_>, node: &Node) -> Lowered {
    same(b, node, "Erf")
}

pub(crate) fn softplus(b: &mut Builder<'_>, node: &Node) -> Lowered {
    same(b, node, "Softplus")
}

/// An op of ONNX whose approximation is trusted but for NaN.
fn same(b: &mut Builder<'_>, node: &Node, op: &'static str) -> Lowered {
    let x = b.input(node, 0)?;
    let y = b.op(op, &[&x]);
    let y = b.keep_nan(&x, &y);
    b.output(node, 0, y);
    Ok(())
}

pub(crate) fn swish(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let (x, alpha) = (b.input(node, 0)?, float(node, "alpha")?);
    let scaled = if alpha == 1.0 {
        x.clone()
    } else {
        let alpha = b.number(alpha);
        b.op("Mul", &[&x, &alpha])
    };
    let y = if b.target.approximate {
        let gate = b.op("Sigmoid", &[&scaled]);
        b.op("Mul", &[&x, &gate])
    } else {
        let divisor = b.over_sigmoid(&scaled);
        let x = b.above_minus_infinity(&x);
        b.op("Div", &[&x, &divisor])
    };
    b.output(node, 0, y);
    Ok(())
}

pub(crate) fn gelu(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let x = b.input(node, 0)?;
    if word(node, "approximate")? == "tanh" {
        // 1 + tanh(y) is 2 / (1 + exp(-2 y)), which keeps its precision where tanh is near -1.
        let (c, s) = (b.number(0.044_715), b.number((8.0 / std::f64::consts::PI).sqrt() as f32));
        let square = b.op("Mul", &[&x, &x]);
        let cube = b.op("Mul", &[&square, &x]);
        let term = b.op("Mul", &[&cube, &c]);
        let sum = b.op("Add", &[&x, &term]);
        let angle = b.op("Mul", &[&sum, &s]);
        let divisor = b.over_sigmoid(&angle);
        let x = b.above_minus_infinity(&x);
        let y = b.op("Div", &[&x, &divisor]);
        b.output(node, 0, y);
        return Ok(());
    }
    if b.target.erf.is_some() {
        let gate = b.normal_cumulative(&x);
        let x = b.above_minus_infinity(&x);
        let y = b.op("Mul", &[&x, &gate]);
        b.output(node, 0, y);
        return Ok(());
    }
    let (one, half) = (b.number(1.0), b.number(0.5));
    let root = b.number(std::f64::consts::SQRT_2 as f32);
    let scaled = b.op("Div", &[&x, &root]);
    let inner = b.op("Erf", &[&scaled]);
    let gate = b.op("Add", &[&inner, &one]);
    let x = b.above_minus_infinity(&x);
    let part = b.op("Mul", &[&x, &half]);
    let y = b.op("Mul", &[&part, &gate]);
    b.output(node, 0, y);
    Ok(())
}

/// x + sin(alpha x)^2 / (alpha + eps), alpha one number a channel.
pub(crate) fn snake(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let (x, alpha, eps) = (b.input(node, 0)?, b.input(node, 1)?, float(node, "eps")?);
    let mut shape = vec![1; b.desc(node, 0)?.rank().saturating_sub(1)];
    if let Some(first) = shape.first_mut() {
        *first = b.desc(node, 1)?.elements();
    }
    let alpha = b.reshape(&alpha, &shape);
    let angle = b.op("Mul", &[&x, &alpha]);
    let sine = b.op("Sin", &[&angle]);
    let square = b.op("Mul", &[&sine, &sine]);
    let eps = b.number(eps);
    let divisor = b.op("Add", &[&alpha, &eps]);
    let term = b.op("Div", &[&square, &divisor]);
    let y = b.op("Add", &[&x, &term]);
    b.output(node, 0, y);
    Ok(())
}
