use kinograph_graph::DType;

const ERF: &str = "its erf is off by up to 6e-7, several times what the op allows";

/// What the library that will run the model can do.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Target {
    /// The version of ONNX's own ops that is written.
    pub opset: u32,
    /// Whether it has `Attention`, `RMSNormalization` and `RotaryEmbedding` (opset 23); without them they are written
    /// in simpler ops.
    pub opset_23_ops: bool,
    /// Whether it has `MultiHeadAttention` of `com.microsoft`, which keeps no scores of all pairs of tokens.
    pub multi_head_attention: bool,
    /// Whether `Resize` is trusted with nearest neighbours; without it they are gathered.
    pub resize_nearest: bool,
    /// Whether `Sigmoid` is taken as it is, though libraries approximate it to the precision of 1 and not of its result,
    /// and whether -inf may give NaN where the limit is 0.
    pub approximate: bool,
    /// Whether weights are read as they are stored and converted in the graph; without it the caller converts them to
    /// the type that the graph computes in.
    pub stored_weights: bool,
    /// Why `Erf` is not precise enough for what is made of it, if it is not.
    pub erf: Option<&'static str>,
    /// Whether tensors may have no elements.
    pub empty: bool,
    /// Element types that values may have.
    pub types: &'static [DType],
    /// Ops that it gets wrong or lacks, with the reason.
    pub refused: &'static [(&'static str, &'static str)],
}

impl Target {
    /// ONNX Runtime of version 1.`minor` with any execution provider.
    pub fn onnx_runtime(minor: u32) -> Self {
        let recent = minor >= 23;
        Self {
            opset: if recent { 23 } else { 20 },
            opset_23_ops: recent,
            multi_head_attention: true,
            resize_nearest: true,
            approximate: false,
            stored_weights: true,
            erf: None,
            empty: true,
            types: &DType::ALL,
            refused: &[],
        }
    }

    /// tract 0.23.
    pub fn tract() -> Self {
        Self {
            opset: 18,
            opset_23_ops: false,
            multi_head_attention: false,
            resize_nearest: false,
            approximate: false,
            stored_weights: false,
            erf: Some(ERF),
            empty: false,
            types: &[DType::F32, DType::F16, DType::I8, DType::U8, DType::I32, DType::I64, DType::Bool],
            refused: &[
                ("Erf", ERF),
                ("Tanh", "its tanh ends at 1 - 7e-7 and is that far off before"),
                ("Softplus", "its softplus overflows above 88"),
            ],
        }
    }
}
