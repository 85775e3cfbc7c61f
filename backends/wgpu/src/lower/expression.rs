//! Elementwise ops as WGSL expressions.

use kinograph_graph::{DType, Graph, Node, exact};

/// How a kernel computes with elements of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Float,
    Int,
    Long,
    Bool,
}

pub(super) fn kind(dtype: DType) -> Kind {
    match dtype {
        DType::F32 | DType::F16 | DType::BF16 => Kind::Float,
        DType::I64 => Kind::Long,
        DType::Bool => Kind::Bool,
        DType::I8 | DType::U8 | DType::I32 => Kind::Int,
    }
}

/// Whether a node is elementwise and has an expression.
pub(super) fn is_member(graph: &Graph, node: &Node) -> bool {
    let names = ["x"; 3];
    node.inputs.iter().all(Option::is_some)
        && node.inputs.len() <= 3
        && expression(graph, node, &names).is_some()
}

/// A number as WGSL writes it.
fn number(value: f64) -> String {
    let value = value as f32;
    if value.is_nan() {
        return "nan()".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "infinity()".into() } else { "(-infinity())".into() };
    }
    format!("f32({value:e})")
}

/// The value of a node from the names of its operands, in the kind of its output.
pub(super) fn expression(graph: &Graph, node: &Node, args: &[&str]) -> Option<String> {
    let out = graph.value(*node.outputs.first()?).desc.dtype;
    let first = graph.value(node.input(0)?).desc.dtype;
    if node.op.name == "Cast" {
        return cast(first, out, args[0]);
    }
    let float = |name: &str| node.attrs.float(name).ok().map(number);
    let (a, b, c) = (args[0], args.get(1).copied().unwrap_or(""), args.get(2).copied().unwrap_or(""));
    let computed = match (kind(first), node.op.name) {
        (Kind::Bool, "Where") => return Some(format!("select({c}, {b}, {a})")),
        (Kind::Bool, "And") => format!("({a} && {b})"),
        (Kind::Bool, "Or") => format!("({a} || {b})"),
        (Kind::Bool, "Not") => format!("(!{a})"),
        (Kind::Bool | Kind::Int, "Equal") => format!("({a} == {b})"),
        (Kind::Float, "Equal") => format!("(!is_nan({a}) && !is_nan({b}) && {a} == {b})"),
        (Kind::Float, "Less") => format!("(!is_nan({a}) && !is_nan({b}) && {a} < {b})"),
        (Kind::Float, "Greater") => format!("(!is_nan({a}) && !is_nan({b}) && {a} > {b})"),
        (Kind::Int, "Less") => format!("({a} < {b})"),
        (Kind::Int, "Greater") => format!("({a} > {b})"),
        (Kind::Long, "Equal") => format!("equal_long({a}, {b})"),
        (Kind::Long, "Less") => format!("less_long({a}, {b})"),
        (Kind::Long, "Greater") => format!("less_long({b}, {a})"),
        (Kind::Int, op) => return integer(op, a, b).map(|e| wrapped(out, e)),
        (Kind::Long, op) => return long(op, a, b),
        (Kind::Float, op) => match op {
            "Swish" => format!("swish_f32({a}, {})", float("alpha")?),
            "LeakyRelu" => format!("select({a}, {a} * {}, {a} < 0.0)", float("alpha")?),
            "Snake" => format!("snake_f32({a}, {b}, {})", float("eps")?),
            "Clip" => {
                let limit = |name: &str, without: f64| {
                    node.attrs.opt_float(name).ok().map(|v| number(v.map_or(without, |v| out.quantize(v))))
                };
                format!(
                    "clip_f32({a}, {}, {})",
                    limit("min", f64::NEG_INFINITY)?,
                    limit("max", f64::INFINITY)?
                )
            }
            "Gelu" if node.attrs.str("approximate").ok()? == "tanh" => format!("gelu_tanh_f32({a})"),
            "exact.Gelu" if node.attrs.str("approximate").ok()? == "tanh" => format!("exact_gelu_tanh({a})"),
            "exact.Swish" => {
                let alpha = exact::flush(node.attrs.float("alpha").ok()? as f32);
                format!("exact_swish({a}, {})", number(f64::from(alpha)))
            }
            op => real(op, a, b)?,
        },
        _ => return None,
    };
    Some(match out {
        DType::F16 => format!("to_f16({computed})"),
        DType::BF16 => format!("to_bf16({computed})"),
        _ => computed,
    })
}

/// Floats without attributes.
fn real(op: &str, a: &str, b: &str) -> Option<String> {
    Some(match op {
        // Pinned, so that fusing nodes changes no bit: what follows cannot be contracted or reordered with them.
        "Add" => format!("pin({a} + {b})"),
        "Sub" => format!("pin({a} - {b})"),
        "Mul" => format!("pin({a} * {b})"),
        "Div" => format!("pin({a} / {b})"),
        "Pow" => format!("pow_f32({a}, {b})"),
        "Min" => format!("min_f32({a}, {b})"),
        "Max" => format!("max_f32({a}, {b})"),
        "Neg" => format!("(-{a})"),
        "Abs" => format!("abs({a})"),
        "Exp" => format!("exp_f32({a})"),
        "Log" => format!("log_f32({a})"),
        "Sqrt" => format!("sqrt_f32({a})"),
        "Reciprocal" => format!("(1.0 / {a})"),
        "Sin" => format!("sin_f32({a})"),
        "Cos" => format!("cos_f32({a})"),
        "Tanh" => format!("tanh_f32({a})"),
        "Sigmoid" => format!("sigmoid_f32({a})"),
        "Relu" => format!("max_f32({a}, 0.0)"),
        "Gelu" => format!("gelu_f32({a})"),
        "Erf" => format!("erf_f32({a})"),
        "Softplus" => format!("softplus_f32({a})"),
        "Floor" => format!("floor_f32({a})"),
        "Round" => format!("round_f32({a})"),
        "exact.Flush" => format!("flush({a})"),
        "exact.Add" => format!("exact_add({a}, {b})"),
        "exact.Sub" => format!("exact_sub({a}, {b})"),
        "exact.Mul" => format!("exact_mul({a}, {b})"),
        "exact.Sigmoid" => format!("exact_sigmoid({a})"),
        "exact.Exp" => format!("exact_exp_wide({a})"),
        "exact.Tanh" => format!("exact_tanh({a})"),
        "exact.Gelu" => format!("exact_gelu({a})"),
        "exact.Sin" => format!("exact_wave({a}, 0u)"),
        "exact.Cos" => format!("exact_wave({a}, 1u)"),
        _ => return None,
    })
}

/// A narrow integer's result, which wraps around.
fn wrapped(out: DType, computed: String) -> String {
    match out {
        DType::I8 => format!("wrap_i8({computed})"),
        DType::U8 => format!("wrap_u8({computed})"),
        _ => computed,
    }
}

fn integer(op: &str, a: &str, b: &str) -> Option<String> {
    Some(match op {
        "Add" => format!("({a} + {b})"),
        "Sub" => format!("({a} - {b})"),
        "Mul" => format!("({a} * {b})"),
        "Div" => format!("div_i32({a}, {b})"),
        "Pow" => format!("pow_i32({a}, {b})"),
        "Min" => format!("min({a}, {b})"),
        "Max" => format!("max({a}, {b})"),
        "Neg" => format!("(-{a})"),
        "Abs" => format!("abs({a})"),
        _ => return None,
    })
}

fn long(op: &str, a: &str, b: &str) -> Option<String> {
    Some(match op {
        "Add" => format!("add_long({a}, {b})"),
        "Sub" => format!("sub_long({a}, {b})"),
        "Mul" => format!("mul_long({a}, {b})"),
        "Div" => format!("div_long({a}, {b})"),
        "Pow" => format!("pow_long({a}, {b})"),
        "Min" => format!("min_long({a}, {b})"),
        "Max" => format!("max_long({a}, {b})"),
        "Neg" => format!("neg_long({a})"),
        "Abs" => format!("abs_long({a})"),
        _ => return None,
    })
}

fn cast(from: DType, to: DType, a: &str) -> Option<String> {
    let float = match kind(from) {
        Kind::Float => a.to_owned(),
        Kind::Int => format!("f32_of_i32({a})"),
        Kind::Long => format!("f32_of_long({a})"),
        Kind::Bool => format!("select(0.0, 1.0, {a})"),
    };
    // Through f32 an integer would be rounded twice.
    let odd = match kind(from) {
        Kind::Int => format!("f32_odd_of_long(long_of_i32({a}))"),
        Kind::Long => format!("f32_odd_of_long({a})"),
        _ => float.clone(),
    };
    let int = match kind(from) {
        Kind::Float => format!("i32_of_f32({a})"),
        Kind::Int => a.to_owned(),
        Kind::Long => format!("i32_of_long({a})"),
        Kind::Bool => format!("select(0, 1, {a})"),
    };
    Some(match to {
        DType::F32 => float,
        DType::F16 => format!("to_f16({odd})"),
        DType::BF16 => format!("to_bf16({odd})"),
        DType::I8 => format!("clamp({int}, -128, 127)"),
        DType::U8 => format!("clamp({int}, 0, 255)"),
        DType::I32 => int,
        DType::I64 => match kind(from) {
            Kind::Float => format!("long_of_f32({a})"),
            Kind::Long => a.to_owned(),
            _ => format!("long_of_i32({int})"),
        },
        DType::Bool => match kind(from) {
            // By bits, as a device may take a subnormal for zero.
            Kind::Float => format!("((bitcast<u32>({a}) & 0x7fffffffu) != 0u)"),
            Kind::Int => format!("({a} != 0)"),
            Kind::Long => format!("({a}.x != 0u || {a}.y != 0u)"),
            Kind::Bool => a.to_owned(),
        },
    })
}
