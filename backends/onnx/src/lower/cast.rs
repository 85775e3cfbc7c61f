//! Conversions: ONNX leaves open what a float outside an integer's range becomes; the table saturates, and NaN is 0.

use kinograph_graph::{DType, Node};

use crate::builder::{Builder, Lowered, Name};

pub(crate) fn cast(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let (from, to) = (b.desc(node, 0)?.dtype, b.out_desc(node, 0).dtype);
    // Halves go through f32, which holds them exactly.
    let x = b.input(node, 0)?;
    let y = match to.int_range() {
        Some(range) if from.is_float() && to != DType::Bool => saturated(b, &x, range, to),
        Some((low, high)) if narrows(from, to) => {
            // Small integers are compared as i32.
            let small = from.size() == 1;
            let (x, way) = if small { (b.cast(&x, DType::I32), DType::I32) } else { (x, from) };
            let (low, high) = (b.scalar_i64(way, low), b.scalar_i64(way, high));
            let y = limited(b, &x, &low, &high);
            b.cast(&y, to)
        }
        _ if to.is_float() && to != DType::F32 => {
            // From f32 or an integer in one step.
            b.cast(&x, to)
        }
        _ if (from.is_float() && to == DType::F32) || from == to => b.op("Identity", &[&x]),
        _ => b.cast(&x, to),
    };
    b.raw_output(node, 0, y);
    Ok(())
}

/// Whether some integers of a type are outside another.
fn narrows(from: DType, to: DType) -> bool {
    match (from.int_range(), to.int_range()) {
        (Some(from), Some(to_range)) => to != DType::Bool && (from.0 < to_range.0 || from.1 > to_range.1),
        _ => false,
    }
}

fn limited(b: &mut Builder<'_>, x: &str, low: &str, high: &str) -> Name {
    let below = b.op("Less", &[x, low]);
    let x = b.op("Where", &[&below, low, x]);
    let above = b.op("Greater", &[&x, high]);
    b.op("Where", &[&above, high, &x])
}

/// f32 to an integer: what is outside is replaced first by 0, then by the end of the range.
fn saturated(b: &mut Builder<'_>, x: &str, (low, high): (i64, i64), to: DType) -> Name {
    // Small integers are converted by way of i32, which more libraries do as one expects.
    let way = if to == DType::I64 { to } else { DType::I32 };
    // In f32 the end of the range of i32 and i64 is 2^31 or 2^63, the first number outside; of the others it is exact.
    let exact = high < (1 << 24);
    let (lower, upper) = (b.number(low as f32), b.number(high as f32));
    let above = b.op(if exact { "Greater" } else { "GreaterOrEqual" }, &[x, &upper]);
    let below = b.op("Less", &[x, &lower]);
    let nan = b.is_nan(x);
    let outside = b.op("Or", &[&above, &below]);
    let outside = b.op("Or", &[&outside, &nan]);
    let zero = b.number(0.0);
    let inside = b.op("Where", &[&outside, &zero, x]);
    let y = b.cast(&inside, way);
    let (low, high) = (b.scalar_i64(way, low), b.scalar_i64(way, high));
    let y = b.op("Where", &[&above, &high, &y]);
    let y = b.op("Where", &[&below, &low, &y]);
    if way == to { y } else { b.cast(&y, to) }
}
