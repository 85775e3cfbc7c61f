//! The cases: single ops on tensors of the sizes that video models have.

use kinograph::graph::{Attr, DType, Graph, GraphBuilder, OpError, TensorDesc, ops};

/// An op on operands of these shapes.
pub(super) struct Case {
    kind: &'static str,
    op: &'static str,
    shapes: &'static [&'static [usize]],
    /// How many of the first operands are inputs; the others are weights.
    inputs: usize,
    /// The type that weights are stored in.
    stored: DType,
    ints: &'static [(&'static str, &'static [i64])],
    /// Padding repeats the edge.
    edge: bool,
}

const BASE: Case =
    Case { kind: "", op: "", shapes: &[], inputs: 1, stored: DType::F32, ints: &[], edge: false };

const fn linear(shapes: &'static [&'static [usize]; 2]) -> Case {
    Case { kind: "linear", op: "Linear", shapes, ..BASE }
}

/// A linear layer with its weight in half precision, as models store it.
const fn half(shapes: &'static [&'static [usize]; 2]) -> Case {
    Case { stored: DType::F16, ..linear(shapes) }
}

const fn conv(
    kind: &'static str,
    shapes: &'static [&'static [usize]; 2],
    ints: &'static [(&'static str, &'static [i64])],
) -> Case {
    Case { kind, op: "Conv", shapes, ints, ..BASE }
}

/// The two halves of a 2.5D convolution: over the frame, and over time with repeated edges.
const fn spatial(shapes: &'static [&'static [usize]; 2]) -> Case {
    conv("conv3d", shapes, &[("pads", &[0, 1, 1, 0, 1, 1])])
}

const fn temporal(shapes: &'static [&'static [usize]; 2]) -> Case {
    Case { edge: true, ..conv("conv3d", shapes, &[("pads", &[1, 0, 0, 1, 0, 0])]) }
}

const fn attention(shapes: &'static [&'static [usize]; 3]) -> Case {
    Case { kind: "attention", op: "Attention", shapes, inputs: 3, ..BASE }
}

/// An op that is bound by reading and writing.
const fn moved(
    kind: &'static str,
    op: &'static str,
    shapes: &'static [&'static [usize]],
    ints: &'static [(&'static str, &'static [i64])],
) -> Case {
    Case { kind, op, shapes, inputs: shapes.len(), ints, ..BASE }
}

const STRIDED: &[(&str, &[i64])] = &[("pads", &[0, 1, 1, 0, 1, 1]), ("strides", &[1, 2, 2])];
const GROUPS: &[(&str, &[i64])] = &[("pads", &[1, 1, 1, 1]), ("group", &[256])];

pub(super) const CASES: &[Case] = &[
    linear(&[&[4096, 1536], &[1536, 1536]]),
    half(&[&[4096, 1536], &[1536, 1536]]),
    linear(&[&[1024, 1024], &[4096, 1024]]),
    linear(&[&[256, 1024], &[4096, 1024]]),
    half(&[&[256, 1024], &[4096, 1024]]),
    linear(&[&[64, 192], &[576, 192]]),
    linear(&[&[16, 1024], &[1024, 1024]]),
    half(&[&[1, 1536], &[1536, 1536]]),
    conv("conv1d", &[&[8, 128, 1024], &[128, 128, 3]], &[("pads", &[1, 1])]),
    conv("conv2d", &[&[8, 128, 64, 64], &[128, 128, 3, 3]], &[("pads", &[1, 1, 1, 1])]),
    conv("conv2d", &[&[1, 3, 256, 256], &[32, 3, 3, 3]], &[("pads", &[1, 1, 1, 1])]),
    conv("conv2d", &[&[1, 32, 256, 256], &[3, 32, 3, 3]], &[("pads", &[1, 1, 1, 1])]),
    conv("conv2d", &[&[1, 256, 64, 64], &[256, 1, 3, 3]], GROUPS),
    conv("conv3d", &[&[1, 64, 8, 32, 32], &[64, 64, 3, 3, 3]], &[("pads", &[1, 1, 1, 1, 1, 1])]),
    spatial(&[&[1, 16, 16, 64, 64], &[16, 16, 1, 3, 3]]),
    temporal(&[&[1, 16, 16, 64, 64], &[16, 16, 3, 1, 1]]),
    spatial(&[&[1, 32, 16, 64, 64], &[32, 32, 1, 3, 3]]),
    temporal(&[&[1, 32, 16, 64, 64], &[32, 32, 3, 1, 1]]),
    spatial(&[&[1, 64, 16, 32, 32], &[64, 64, 1, 3, 3]]),
    temporal(&[&[1, 64, 16, 32, 32], &[64, 64, 3, 1, 1]]),
    spatial(&[&[1, 128, 16, 32, 32], &[128, 128, 1, 3, 3]]),
    temporal(&[&[1, 128, 16, 32, 32], &[128, 128, 3, 1, 1]]),
    spatial(&[&[1, 256, 16, 16, 16], &[256, 256, 1, 3, 3]]),
    temporal(&[&[1, 256, 16, 16, 16], &[256, 256, 3, 1, 1]]),
    conv("conv3d", &[&[1, 128, 16, 32, 32], &[128, 128, 1, 1, 1]], &[]),
    conv("conv3d", &[&[1, 64, 16, 64, 64], &[128, 64, 1, 3, 3]], STRIDED),
    attention(&[&[1, 8, 256, 64]; 3]),
    attention(&[&[1, 8, 1024, 64]; 3]),
    attention(&[&[1, 8, 4096, 64]; 3]),
    attention(&[&[1, 8, 16384, 64]; 3]),
    attention(&[&[1, 8, 1024, 128]; 3]),
    attention(&[&[2, 6, 64, 32]; 3]),
    moved("add", "Add", &[&[1 << 22], &[1 << 22]], &[]),
    moved("swish", "Swish", &[&[1 << 20]], &[]),
    moved("gelu", "Gelu", &[&[1 << 20]], &[]),
    moved("softmax", "Softmax", &[&[1024, 1024]], &[]),
    moved("rms norm", "RMSNormalization", &[&[1024, 1024]], &[]),
    moved("rms norm of channels", "RMSNormalization", &[&[1, 64, 16, 64, 64]], &[("axes", &[1])]),
    moved("group norm", "GroupNormalization", &[&[1, 64, 16, 64, 64]], &[("num_groups", &[8])]),
    moved("transpose", "Transpose", &[&[1024, 1024]], &[]),
    moved("channels last", "Transpose", &[&[1, 64, 16, 64, 64]], &[("perm", &[0, 2, 3, 4, 1])]),
];

impl Case {
    /// Its name, which no other case has: the shapes of inputs, what weights make of them, and how.
    pub(super) fn name(&self) -> String {
        let inputs: Vec<String> = self.shapes[..self.inputs].iter().map(|s| shape(s)).collect();
        let mut name = match self.op {
            "Attention" => format!("{} {}", self.kind, inputs[0]),
            _ => format!("{} {}", self.kind, inputs.join(" ")),
        };
        if let Some(weight) = self.shapes.get(self.inputs) {
            name += &format!(" to {}", weight[0]);
            if let [_, _, kernel @ ..] = weight
                && !kernel.is_empty()
            {
                name += &format!(", kernel {}", shape(kernel));
            }
        }
        for (attribute, values) in self.ints.iter().filter(|(a, _)| ["strides", "group"].contains(a)) {
            let values: Vec<usize> = values.iter().map(|&v| v as usize).collect();
            name += &format!(", {attribute} {}", shape(&values));
        }
        if self.edge {
            name += ", edge";
        }
        if self.stored != DType::F32 {
            name += &format!(", weight in {}", self.stored);
        }
        name
    }

    /// See [`Work::is_product`](super::Work::is_product).
    pub(super) fn is_product(&self) -> bool {
        ["Linear", "Conv", "Attention", "MatMul"].contains(&self.op)
    }

    pub(super) fn stored(&self) -> DType {
        self.stored
    }

    /// The op alone.
    pub(super) fn graph(&self) -> Result<Graph, OpError> {
        let mut builder = GraphBuilder::new(self.name());
        let mut operands = Vec::new();
        for (i, &shape) in self.shapes.iter().enumerate() {
            let (name, desc) = (format!("x{i}"), TensorDesc::new(DType::F32, shape));
            let value =
                if i < self.inputs { builder.input(&name, desc) } else { builder.weight(&name, desc) };
            operands.push(Some(value?));
        }
        let op = ops::find(self.op).ok_or_else(|| OpError::invalid(format!("no op `{}`", self.op)))?;
        let outputs = builder.node(op, &operands, self.attrs(), "node")?;
        builder.finish([("y", outputs[0])])
    }

    fn attrs(&self) -> Vec<(String, Attr)> {
        let value = |name: &str, values: &[i64]| match values {
            // One number, where the op takes no list of them.
            [one] if ["group", "num_groups"].contains(&name) => Attr::Int(*one),
            _ => Attr::Ints(values.to_vec()),
        };
        let ints = self.ints.iter().map(|(name, values)| ((*name).to_owned(), value(name, values)));
        ints.chain(self.edge.then(|| ("pad_mode".to_owned(), Attr::Str("edge".to_owned())))).collect()
    }

    /// What another library needs to measure the same.
    pub(super) fn json(&self) -> serde_json::Value {
        let ints: serde_json::Map<_, _> =
            self.ints.iter().map(|(name, values)| ((*name).to_owned(), (*values).into())).collect();
        serde_json::json!({
            "case": self.name(), "op": self.op, "shapes": self.shapes, "attributes": ints,
            "pad_mode": if self.edge { "edge" } else { "constant" }, "weight": self.stored.to_string(),
        })
    }
}

/// A shape as people write it.
pub(super) fn shape(dims: &[usize]) -> String {
    dims.iter().map(ToString::to_string).collect::<Vec<_>>().join("x")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn cases_are_valid_and_have_names_of_their_own() {
        let mut names = HashSet::new();
        for case in CASES {
            let graph = case.graph().unwrap_or_else(|e| panic!("{}: {e}", case.name()));
            assert!(!case.is_product() || graph.flops() > 0, "{}", case.name());
            assert!(names.insert(case.name()), "{} stands twice", case.name());
        }
    }
}
