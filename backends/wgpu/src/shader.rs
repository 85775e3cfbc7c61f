//! Kernels: the files of `kernels/` with the constants that specialise them.

use kinograph_graph::DType;
use kinograph_graph::exact::Slices;

use crate::layout::{Root, View};

macro_rules! file {
    ($name:literal) => {
        include_str!(concat!("kernels/", $name, ".wgsl"))
    };
}

pub(crate) const MATH: &str = file!("math");
pub(crate) const INTEGER: &str = file!("integer");
pub(crate) const ANGLE: &str = file!("angle");
pub(crate) const EACH: &str = file!("each");
pub(crate) const EXACT: &str = file!("exact");
const PIN_XOR: &str = file!("pin_xor");
const PIN_DECORATED: &str = file!("pin_decorated");
const TEAM: &str = file!("team");
const PRODUCT: &str = file!("product");
const CONVOLUTION: &str = file!("convolution");
const WHOLE_NUMBERS: &str = file!("exact_whole");
const SUMS: &str = file!("exact_sums");

/// The texts that kernels are made of: their change is a change of what a cache may hold.
pub(crate) fn files() -> impl Iterator<Item = &'static str> {
    let either = [file!("share_subgroup"), file!("share_workgroup"), PIN_XOR, PIN_DECORATED];
    let all = [
        GEMM,
        GEMM_ALONG,
        GEMM_EXACT,
        GEMM_DOTS,
        GEMM_MATRICES,
        GEMM_HALVES,
        CONV,
        CONV_BY_TAP,
        CONV_EXACT,
        CONV_TRANSPOSE,
        ATTENTION,
        ATTENTION_EXACT,
        NORM,
        NORM_EXACT,
        HIGHEST,
        WHOLE,
        SOFTMAX,
        REDUCE,
        ARG_MAX,
        GATHER,
        ROTARY,
        RESIZE_LINEAR,
        MAPPED_COPY,
        SINUSOIDAL,
    ];
    let of_kernel = |kernel: Kernel| kernel.parts.iter().copied().chain([kernel.source]);
    [MATH, INTEGER, ANGLE, EACH, EXACT, TEAM]
        .into_iter()
        .chain(either)
        .chain(all.into_iter().flat_map(of_kernel))
}

/// A kernel's file, and what it is built on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kernel {
    pub(crate) name: &'static str,
    source: &'static str,
    parts: &'static [&'static str],
    /// Whether invocations share tiles, by a subgroup or through workgroup memory.
    shares: bool,
    /// Whether what is stored may go through a chain of elementwise nodes first.
    finishes: bool,
    /// Extensions of WGSL but f16, which a text begins with.
    enables: &'static str,
    pub(crate) reads: usize,
    pub(crate) writes: usize,
}

macro_rules! kernel {
    ($name:literal, $reads:literal, $writes:literal, $shares:literal, [$($part:expr),*]) => {
        Kernel { name: $name, source: file!($name), parts: &[$($part),*], shares: $shares, finishes: false, enables: "", reads: $reads, writes: $writes }
    };
    (finishes $name:literal, $shares:literal, [$($part:expr),*]) => {
        Kernel { finishes: true, ..kernel!($name, 3, 1, $shares, [$($part),*]) }
    };
}

pub(crate) const GEMM: Kernel = kernel!(finishes "gemm", true, [MATH, PRODUCT]);
pub(crate) const GEMM_ALONG: Kernel = kernel!(finishes "gemm_along", true, [MATH, PRODUCT]);
pub(crate) const GEMM_EXACT: Kernel =
    kernel!(finishes "gemm_exact", true, [MATH, EXACT, WHOLE_NUMBERS, SUMS, PRODUCT]);
pub(crate) const GEMM_DOTS: Kernel =
    kernel!(finishes "gemm_dots", true, [MATH, EXACT, WHOLE_NUMBERS, PRODUCT]);
pub(crate) const GEMM_MATRICES: Kernel = Kernel {
    enables: "enable wgpu_cooperative_matrix;\n",
    ..kernel!(finishes "gemm_matrices", false, [MATH, EXACT, WHOLE_NUMBERS, PRODUCT])
};
pub(crate) const GEMM_HALVES: Kernel = Kernel {
    enables: "enable wgpu_cooperative_matrix;\n",
    ..kernel!(finishes "gemm_halves", false, [MATH, PRODUCT])
};
pub(crate) const CONV: Kernel = kernel!(finishes "conv", true, [MATH, CONVOLUTION, file!("weights_strided")]);
pub(crate) const CONV_BY_TAP: Kernel =
    Kernel { name: "conv_by_tap", parts: &[MATH, CONVOLUTION, file!("weights_by_tap")], ..CONV };
pub(crate) const CONV_EXACT: Kernel =
    kernel!(finishes "conv_exact", true, [MATH, EXACT, WHOLE_NUMBERS, SUMS, CONVOLUTION]);
pub(crate) const CONV_TRANSPOSE: Kernel = kernel!("conv_transpose", 3, 1, false, [MATH, EACH]);
pub(crate) const ATTENTION: Kernel = kernel!("attention", 5, 1, true, [MATH]);
pub(crate) const ATTENTION_EXACT: Kernel =
    kernel!("attention_exact", 5, 1, true, [MATH, EXACT, WHOLE_NUMBERS, SUMS]);
pub(crate) const NORM_EXACT: Kernel =
    kernel!(finishes "norm_exact", false, [MATH, EXACT, WHOLE_NUMBERS, TEAM]);
pub(crate) const HIGHEST: Kernel = kernel!("highest", 1, 1, false, [MATH, EXACT, EACH]);
pub(crate) const WHOLE: Kernel = kernel!("whole", 2, 1, false, [MATH, EXACT, WHOLE_NUMBERS, EACH]);
pub(crate) const NORM: Kernel = kernel!(finishes "norm", false, [MATH, TEAM]);
pub(crate) const SOFTMAX: Kernel = kernel!("softmax", 1, 1, false, [MATH, TEAM]);
pub(crate) const REDUCE: Kernel = kernel!("reduce", 1, 1, false, [MATH, INTEGER, TEAM]);
pub(crate) const ARG_MAX: Kernel = kernel!("arg_max", 1, 1, false, [MATH, INTEGER, EACH]);
pub(crate) const GATHER: Kernel = kernel!("gather", 2, 2, false, [MATH, INTEGER, EACH]);
pub(crate) const ROTARY: Kernel = kernel!("rotary", 3, 1, false, [MATH, EACH]);
pub(crate) const RESIZE_LINEAR: Kernel = kernel!("resize_linear", 2, 1, false, [MATH, EACH]);
pub(crate) const MAPPED_COPY: Kernel = kernel!("mapped_copy", 2, 1, false, [MATH, EACH]);
pub(crate) const SINUSOIDAL: Kernel = kernel!("sinusoidal", 2, 1, false, [MATH, INTEGER, ANGLE, EACH]);

/// How invocations share tiles, how many there are in a workgroup, and how whole numbers are multiplied: what an adapter is tuned by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Variant {
    pub(crate) subgroups: bool,
    pub(crate) lanes: u32,
    pub(crate) multiply: Multiply,
    /// What keeps a compiler from rounding two results of reproducible numerics at once.
    pub(crate) pin: Pin,
}

/// How products of matrices multiply whole numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Multiply {
    /// As `f32`.
    #[default]
    Floats,
    /// By dot products of four bytes.
    Dots,
    /// By cooperative matrices of `f16` that are summed in `f32`.
    Matrices(Square),
}

/// The cooperative matrices of an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Square {
    /// Rows and columns: 8 or 16.
    pub(crate) side: u32,
    /// The invocations of a subgroup, which share one.
    pub(crate) lanes: u32,
}

impl Square {
    /// What the kernel is told.
    pub(crate) fn declarations(self) -> [String; 5] {
        let Self { side, lanes } = self;
        let of = |name, number, role| format!("alias {name} = coop_mat{side}x{side}<{number}, {role}>;");
        [
            constant("SIDE", format!("{side}u")),
            constant("LANES", format!("{lanes}u")),
            of("Left", "f16", "A"),
            of("Right", "f16", "B"),
            of("Sum", "f32", "C"),
        ]
    }
}

/// How kernels of reproducible numerics keep a driver's compiler from contracting and regrouping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Pin {
    /// Each rounded result is combined with a zero that the compiler cannot know.
    #[default]
    Xor,
    /// Each float operation is decorated `NoContraction`, in SPIR-V that wgpu hands to Vulkan as it is.
    Decorated,
}

impl Pin {
    /// The one that a kernel with these parts is made with.
    pub(crate) fn of_parts<'a>(self, mut parts: impl Iterator<Item = &'a &'static str>) -> Self {
        if parts.any(|&part| part == EXACT) { self } else { Self::Xor }
    }

    pub(crate) fn source(self) -> &'static str {
        match self {
            Self::Xor => PIN_XOR,
            Self::Decorated => PIN_DECORATED,
        }
    }
}

/// A specialised kernel: its whole text. Equal texts are one pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shader {
    pub(crate) name: &'static str,
    pub(crate) source: String,
    /// The storages that the kernel's file reads and writes, bound in this order; the parameters follow.
    pub(crate) reads: usize,
    pub(crate) writes: usize,
    /// The storages that its tail reads, bound after the parameters.
    pub(crate) extra: usize,
    /// Whether it takes tails.
    pub(crate) finishes: bool,
    pub(crate) pin: Pin,
}

/// What a kernel does to each result before it stores it: `finish(sum, i)`, with `i` counting the elements of the result.
#[derive(Clone, Debug)]
pub(crate) struct Tail {
    pub(crate) source: String,
    /// The parts of the library that the source needs.
    pub(crate) parts: &'static [&'static str],
    /// The members of its struct `Extra`, which stands at the end of the kernel's parameters.
    pub(crate) params: Vec<u32>,
    pub(crate) reads: Vec<Root>,
}

impl Tail {
    /// Its first binding: kernels that have one bind three storages to read, one to write and their parameters.
    pub(crate) const FIRST: usize = 5;

    /// Rounding alone.
    pub(crate) fn none() -> Self {
        let source =
            "struct Extra {\n  none: u32,\n}\nfn finish(sum: f32, i: u32) -> f32 { return rounded(sum); }\n";
        Self { source: source.into(), parts: &[], params: vec![0], reads: Vec::new() }
    }
}

impl Kernel {
    /// The kernel with these declarations in front: constants, types, functions of a type.
    pub(crate) fn with(self, declarations: &[String], variant: Variant) -> Shader {
        self.finished(declarations, variant, &Tail::none())
    }

    /// The kernel with a tail, where it takes one.
    pub(crate) fn finished(self, declarations: &[String], variant: Variant, tail: &Tail) -> Shader {
        let mut source = String::new();
        declarations.iter().for_each(|line| {
            source.push_str(line);
            source.push('\n');
        });
        if self.finishes {
            source.push_str(&tail.source);
        }
        if self.shares {
            source.push_str(&format!("const LANES = {}u;\n", variant.lanes));
            source.push_str(if variant.subgroups {
                file!("share_subgroup")
            } else {
                file!("share_workgroup")
            });
        }
        let missing = tail.parts.iter().filter(|part| !self.parts.contains(part));
        let parts = self.parts.iter().chain(missing);
        let pin = variant.pin.of_parts(parts.clone());
        if self.parts.contains(&MATH) {
            source.push_str(pin.source());
        }
        parts.for_each(|part| source.push_str(part));
        source.push_str(self.source);
        Shader {
            name: self.name,
            source: enabled(self.enables, source),
            reads: self.reads,
            writes: self.writes,
            extra: tail.reads.len(),
            finishes: self.finishes,
            pin,
        }
    }
}

/// A kernel's text with the extensions that it needs in front.
pub(crate) fn enabled(extensions: &str, source: String) -> String {
    let halves = source.contains("= f16;") || source.contains("<f16");
    let halves = if halves { "enable f16;\n" } else { "" };
    format!("{halves}{extensions}{source}")
}

/// `const NAME = value;`
pub(crate) fn constant(name: &str, value: impl std::fmt::Display) -> String {
    format!("const {name} = {value};")
}

/// The type in which the elements of a float operand are kept, under the name that a kernel's file gives it.
pub(crate) fn operand(name: &str, half: bool) -> String {
    format!("alias {name} = {};", if half { "f16" } else { "f32" })
}

/// How a float result is rounded to its type, and how it is kept.
pub(crate) fn result(out: &View) -> Vec<String> {
    let body = match out.dtype {
        DType::F16 => "to_f16(x)",
        DType::BF16 => "to_bf16(x)",
        _ => "x",
    };
    // A conversion rounds as a driver likes: what is converted is a half already.
    let kept = if out.half { "f16(to_f16(x))" } else { "x" };
    vec![
        format!("fn rounded(x: f32) -> f32 {{ return {body}; }}"),
        operand("OfOut", out.half),
        format!("fn kept(x: f32) -> OfOut {{ return {kept}; }}"),
    ]
}

/// How a bias is added with native numerics.
pub(crate) const PLAIN_BIAS: &str = "fn biased(x: f32, bias: f32) -> f32 { return x + bias; }";

/// What kernels of reproducible numerics are told: how many slices there are, the largest whole number, and how a bias is added.
pub(crate) fn whole(slices: Slices) -> Vec<String> {
    vec![
        constant("SLICES", format!("{}u", slices.count())),
        constant("LIMIT", format!("{}.0", slices.limit())),
        "fn biased(x: f32, bias: f32) -> f32 { return exact_add(x, flush(bias)); }".into(),
    ]
}

/// Reading eight whole numbers that lie two a word, and telling them apart.
pub(crate) const EIGHT_WHOLE: &str = "fn eight(at: u32) -> vec4<u32> { return b[at >> 3u]; }
fn nth(eight: vec4<u32>, j: u32) -> f32 {
  let word = bitcast<i32>(eight[j >> 1u]);
  return f32(select(word << 16u, word, (j & 1u) == 1u) >> 16u);
}";

/// Reading an element of a weight that lies packed: which word, and which part of it.
pub(crate) fn element(stored: DType) -> String {
    let (word, body) = match stored {
        DType::F16 => ("at >> 1u", "unpack2x16float(word)[at & 1u]"),
        DType::BF16 => ("at >> 1u", "bitcast<f32>(select(word << 16u, word & 0xffff0000u, (at & 1u) == 1u))"),
        _ => ("at", "bitcast<f32>(word)"),
    };
    format!(
        "fn word(at: u32) -> u32 {{ return {word}; }}\nfn element(word: u32, at: u32) -> f32 {{ return {body}; }}"
    )
}

/// Reading eight elements of a weight that lies packed, from a multiple of eight on, and telling them apart.
pub(crate) fn eight_elements(stored: DType) -> String {
    let (eight, load, nth) = match stored {
        DType::F16 => (
            "vec4<u32>",
            "b[at >> 3u]",
            "let halves = unpack2x16float(eight[j >> 1u]); return select(halves.x, halves.y, (j & 1u) == 1u);",
        ),
        DType::BF16 => (
            "vec4<u32>",
            "b[at >> 3u]",
            "let word = eight[j >> 1u]; return bitcast<f32>(select(word << 16u, word & 0xffff0000u, (j & 1u) == 1u));",
        ),
        _ => (
            "mat2x4<f32>",
            "mat2x4(bitcast<vec4<f32>>(b[at >> 2u]), bitcast<vec4<f32>>(b[(at >> 2u) + 1u]))",
            "return select(eight[0][j & 3u], eight[1][j & 3u], j >= 4u);",
        ),
    };
    format!(
        "fn eight(at: u32) -> {eight} {{ return {load}; }}\nfn nth(eight: {eight}, j: u32) -> f32 {{ {nth} }}"
    )
}

/// The WGSL type of an element.
pub(crate) fn type_of(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 | DType::F16 | DType::BF16 => "f32",
        DType::I64 => "vec2<u32>",
        DType::Bool => "u32",
        DType::I8 | DType::U8 | DType::I32 => "i32",
    }
}
