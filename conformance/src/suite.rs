//! The built-in cases, one file an op.

use kinograph_graph::ops;

use crate::case::{Case, CaseError, parse};

/// The cases of all ops.
#[derive(Clone, Debug)]
pub struct Suite {
    cases: Vec<Case>,
}

macro_rules! file {
    ($name:literal) => {
        ($name, include_str!(concat!("../cases/", $name, ".toml")))
    };
}

/// Each file of `cases/`, in the order of names.
const FILES: &[(&str, &str)] = &[
    file!("abs"),
    file!("add"),
    file!("and"),
    file!("arg_max"),
    file!("attention"),
    file!("cast"),
    file!("clip"),
    file!("concat"),
    file!("constant"),
    file!("conv"),
    file!("conv_transpose"),
    file!("cos"),
    file!("div"),
    file!("equal"),
    file!("erf"),
    file!("exact_add"),
    file!("exact_attention"),
    file!("exact_conv"),
    file!("exact_cos"),
    file!("exact_exp"),
    file!("exact_flush"),
    file!("exact_gelu"),
    file!("exact_layer_normalization"),
    file!("exact_linear"),
    file!("exact_mat_mul"),
    file!("exact_mul"),
    file!("exact_rms_normalization"),
    file!("exact_sigmoid"),
    file!("exact_sin"),
    file!("exact_softmax"),
    file!("exact_sub"),
    file!("exact_swish"),
    file!("exact_tanh"),
    file!("exp"),
    file!("expand"),
    file!("floor"),
    file!("gather"),
    file!("gelu"),
    file!("greater"),
    file!("group_normalization"),
    file!("identity"),
    file!("iota"),
    file!("layer_normalization"),
    file!("leaky_relu"),
    file!("less"),
    file!("linear"),
    file!("log"),
    file!("mat_mul"),
    file!("max"),
    file!("min"),
    file!("mul"),
    file!("neg"),
    file!("not"),
    file!("or"),
    file!("pad"),
    file!("pow"),
    file!("reciprocal"),
    file!("reduce_max"),
    file!("reduce_mean"),
    file!("reduce_min"),
    file!("reduce_sum"),
    file!("relative_buckets"),
    file!("relu"),
    file!("reshape"),
    file!("resize"),
    file!("rms_normalization"),
    file!("rotary_embedding"),
    file!("round"),
    file!("sigmoid"),
    file!("sin"),
    file!("sinusoidal_embedding"),
    file!("slice"),
    file!("snake"),
    file!("softmax"),
    file!("softplus"),
    file!("split"),
    file!("sqrt"),
    file!("sub"),
    file!("swish"),
    file!("tanh"),
    file!("tile"),
    file!("transpose"),
    file!("where"),
];

impl Suite {
    /// The cases that this crate carries.
    ///
    /// # Errors
    /// When a file is wrong, which a test of this crate rules out.
    pub fn builtin() -> Result<Self, CaseError> {
        let mut cases = Vec::new();
        for (name, text) in FILES {
            cases.extend(parse(name, text)?);
        }
        Ok(Self { cases })
    }

    /// The cases, op by op.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// The ops of the table that have no case.
    pub fn missing(&self) -> Vec<&'static str> {
        let covered = |name: &str| self.cases.iter().any(|case| case.op.name == name);
        ops::OPS.iter().map(|op| op.name).filter(|name| !covered(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_op_has_cases() {
        let suite = Suite::builtin().unwrap();
        assert_eq!(suite.missing(), [""; 0], "write conformance/cases/<op>.toml for them");
    }

    #[test]
    fn every_case_file_is_listed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/cases");
        let mut there: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".toml").map(str::to_owned))
            .collect();
        there.sort();
        assert_eq!(there, FILES.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>());
    }
}
