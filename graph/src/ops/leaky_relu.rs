use super::{elementwise, util};
use crate::{AttrDefault, AttrKind, AttrSpec, Bound, OpDef};

pub(super) static DEF: OpDef = OpDef {
    name: "LeakyRelu",
    doc: "x where it is 0 or more, alpha * x below, element by element.",
    attrs: &[AttrSpec {
        name: "alpha",
        kind: AttrKind::Float,
        default: AttrDefault::Float(0.01),
        doc: "The slope below 0.",
    }],
    reference: |args| {
        let alpha = args.attrs.float("alpha")?;
        elementwise::map(args, |x| if x < 0.0 { alpha * x } else { x })
    },
    // The rounding of alpha and of the product.
    bound: Bound::Scaled(|_, outputs| Ok(util::relative(outputs, 2.0))),
    ..elementwise::UNARY
};
