//! Element by element, with broadcasting.

use kinograph_backend::Refusal;
use kinograph_graph::{DType, Node};

use super::util::wide_integers;
use crate::builder::{Builder, Lowered, Name};

/// Ops that ONNX has under the same name and meaning.
pub(crate) fn unary(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let x = b.input(node, 0)?;
    let y = b.op(node.op.name, &[&x]);
    b.output(node, 0, y);
    Ok(())
}

pub(crate) fn arithmetic(b: &mut Builder<'_>, node: &Node) -> Lowered {
    wide_integers(b.out_desc(node, 0).dtype)?;
    let (x, y) = (b.input(node, 0)?, b.input(node, 1)?);
    let z = b.op(node.op.name, &[&x, &y]);
    b.output(node, 0, z);
    Ok(())
}

pub(crate) fn abs(b: &mut Builder<'_>, node: &Node) -> Lowered {
    wide_integers(b.out_desc(node, 0).dtype)?;
    unary(b, node)
}

/// Unsigned integers wrap around, which ONNX does not say.
pub(crate) fn neg(b: &mut Builder<'_>, node: &Node) -> Lowered {
    wide_integers(b.out_desc(node, 0).dtype)?;
    unary(b, node)
}

/// Integers: a zero divisor gives 0 and -1 the negative, where processors trap.
pub(crate) fn div(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let dtype = b.out_desc(node, 0).dtype;
    wide_integers(dtype)?;
    if dtype.is_float() {
        return arithmetic(b, node);
    }
    let (x, y) = (b.input(node, 0)?, b.input(node, 1)?);
    let (zero, one, minus) = (b.scalar(dtype, 0.0), b.scalar(dtype, 1.0), b.scalar(dtype, -1.0));
    let by_zero = b.op("Equal", &[&y, &zero]);
    let by_minus = b.op("Equal", &[&y, &minus]);
    let traps = b.op("Or", &[&by_zero, &by_minus]);
    let safe = b.op("Where", &[&traps, &one, &y]);
    let quotient = b.op("Div", &[&x, &safe]);
    let negative = b.op("Neg", &[&quotient]);
    let signed = b.op("Where", &[&by_minus, &negative, &quotient]);
    let z = b.op("Where", &[&by_zero, &zero, &signed]);
    b.output(node, 0, z);
    Ok(())
}

/// Integer powers wrap around in the table, and libraries go through floats.
pub(crate) fn pow(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let dtype = b.out_desc(node, 0).dtype;
    if dtype.is_int() {
        return Err(Refusal::DType(dtype));
    }
    arithmetic(b, node)
}

/// An operand of a comparison: small integers are widened, which keeps their order.
fn comparable(b: &mut Builder<'_>, node: &Node, i: usize) -> Lowered<Name> {
    let x = b.input(node, i)?;
    Ok(match b.desc(node, i)?.dtype {
        DType::I8 | DType::U8 | DType::Bool => b.cast(&x, DType::I32),
        _ => x,
    })
}

pub(crate) fn compare(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let (x, y) = (comparable(b, node, 0)?, comparable(b, node, 1)?);
    let z = b.op(node.op.name, &[&x, &y]);
    b.raw_output(node, 0, z);
    Ok(())
}

/// Max and Min: NaN if either is NaN.
pub(crate) fn extreme(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let dtype = b.out_desc(node, 0).dtype;
    let (x, y) = (comparable(b, node, 0)?, comparable(b, node, 1)?);
    if !dtype.is_float() {
        let z = b.op(node.op.name, &[&x, &y]);
        let z = if matches!(dtype, DType::I8 | DType::U8) { b.cast(&z, dtype) } else { z };
        b.raw_output(node, 0, z);
        return Ok(());
    }
    // Where the first wins by comparison, or is NaN, it is the result; a NaN of the second wins no comparison, so it
    // stands on the other side.
    let compare = if node.op.name == "Max" { "Greater" } else { "Less" };
    let wins = b.op(compare, &[&x, &y]);
    let nan = b.is_nan(&x);
    let first = b.op("Or", &[&wins, &nan]);
    let z = b.op("Where", &[&first, &x, &y]);
    b.output(node, 0, z);
    Ok(())
}

pub(crate) fn logic(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let inputs = b.inputs(node);
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let z = b.op(node.op.name, &inputs);
    b.raw_output(node, 0, z);
    Ok(())
}

/// `Where` moves elements; types that libraries lack there are widened and narrowed, which is exact.
pub(crate) fn choose(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let dtype = b.out_desc(node, 0).dtype;
    let condition = b.raw_input(node, 0)?;
    let (x, y) = (b.input(node, 1)?, b.input(node, 2)?);
    if !matches!(dtype, DType::Bool | DType::I8 | DType::U8) {
        let z = b.op("Where", &[&condition, &x, &y]);
        b.output(node, 0, z);
        return Ok(());
    }
    let (x, y) = (b.cast(&x, DType::I32), b.cast(&y, DType::I32));
    let z = b.op("Where", &[&condition, &x, &y]);
    let z = b.cast(&z, dtype);
    b.raw_output(node, 0, z);
    Ok(())
}
