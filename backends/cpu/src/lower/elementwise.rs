//! Elementwise nodes: chains of them become one program, integers have a kernel of their own.

use kinograph_graph::passes::{self, ChainLimits, Membership, Role};
use kinograph_graph::{DType, Graph, Node, ValueId};

use super::builder::{Builder, LowerError, Val};
use crate::kernels::elementwise::{Op, Program};
use crate::kernels::exact::functions as exact;
use crate::kernels::integer::{Cast, IntOp, Integers};
use crate::layout::broadcast_strides;

/// The most inputs of one program, so that its blocks stay in the first-level cache.
const MOST_INPUTS: usize = 8;
/// The most instructions of one program.
const MOST_NODES: usize = 24;

/// Whether a node is elementwise and has a kernel.
pub(super) fn is_elementwise(graph: &Graph, node: &Node) -> bool {
    operation(graph, node).is_some() || is_integer(node)
}

/// The operation of a node that works on blocks of floats and truth values.
fn operation(graph: &Graph, node: &Node) -> Option<Op> {
    let blocks = |id: &ValueId| {
        let dtype = graph.value(*id).desc.dtype;
        dtype.is_float() || dtype == DType::Bool
    };
    if !node.inputs.iter().flatten().chain(&node.outputs).all(blocks) {
        return None;
    }
    let float = |name: &str| node.attrs.float(name).ok().map(|v| v as f32);
    Some(match node.op.name {
        "Add" => Op::Add,
        "Sub" => Op::Sub,
        "Mul" => Op::Mul,
        "Div" => Op::Div,
        "Pow" => Op::Pow,
        "Min" => Op::Min,
        "Max" => Op::Max,
        "Equal" => Op::Equal,
        "Less" => Op::Less,
        "Greater" => Op::Greater,
        "And" => Op::And,
        "Or" => Op::Or,
        "Not" => Op::Not,
        "Where" => Op::Where,
        "Neg" => Op::Neg,
        "Abs" => Op::Abs,
        "Exp" => Op::Exp,
        "Log" => Op::Log,
        "Sqrt" => Op::Sqrt,
        "Reciprocal" => Op::Reciprocal,
        "Sin" => Op::Sin,
        "Cos" => Op::Cos,
        "Tanh" => Op::Tanh,
        "Sigmoid" => Op::Sigmoid,
        "Relu" => Op::Relu,
        "Swish" => Op::Swish(float("alpha")?),
        "Gelu" if node.attrs.str("approximate").ok()? == "tanh" => Op::GeluTanh,
        "Gelu" => Op::Gelu,
        "Erf" => Op::Erf,
        "Floor" => Op::Floor,
        "Round" => Op::Round,
        "Clip" => clip(graph, node)?,
        "Snake" => Op::Snake(float("eps")?),
        "LeakyRelu" => Op::LeakyRelu(float("alpha")?),
        "Softplus" => Op::Softplus,
        "exact.Flush" => Op::Clean,
        "exact.Add" => Op::CleanAdd,
        "exact.Sub" => Op::CleanSub,
        "exact.Mul" => Op::CleanMul,
        "exact.Sigmoid" => Op::ExactSigmoid,
        "exact.Swish" => Op::ExactSwish(exact::clean(float("alpha")?)),
        "exact.Exp" => Op::ExactExp,
        "exact.Tanh" => Op::ExactTanh,
        "exact.Gelu" if node.attrs.str("approximate").ok()? == "tanh" => Op::ExactGeluTanh,
        "exact.Gelu" => Op::ExactGelu,
        "exact.Sin" => Op::ExactSin,
        "exact.Cos" => Op::ExactCos,
        "Cast" if output_type(graph, node) == DType::Bool => Op::Truth,
        "Cast" => Op::Copy,
        _ => return None,
    })
}

fn output_type(graph: &Graph, node: &Node) -> DType {
    graph.value(node.outputs[0]).desc.dtype
}

/// The limits of Clip, rounded to the type.
fn clip(graph: &Graph, node: &Node) -> Option<Op> {
    let dtype = output_type(graph, node);
    let min = node.attrs.opt_float("min").ok()?.unwrap_or(f64::NEG_INFINITY);
    let max = node.attrs.opt_float("max").ok()?.unwrap_or(f64::INFINITY);
    Some(Op::Clip(dtype.quantize(min) as f32, dtype.quantize(max) as f32))
}

/// For each node, what it is to a chain.
pub(super) fn chains(graph: &Graph) -> Vec<Membership> {
    let limits = ChainLimits { nodes: MOST_NODES, inputs: MOST_INPUTS, beside_head: 0 };
    passes::chains(graph, limits, |node| match operation(graph, node) {
        Some(_) => Role::Member,
        None => Role::None,
    })
}

/// The values that a chain reads and does not make, without repeats, and whether each is one number a channel.
fn reads(nodes: &[&Node]) -> Vec<(ValueId, bool)> {
    let mut reads = Vec::new();
    for node in nodes {
        for (i, id) in node.inputs.iter().enumerate() {
            let Some(id) = id else { continue };
            let read = (*id, is_channel(node, i));
            if !nodes.iter().any(|n| n.outputs[0] == *id) && !reads.contains(&read) {
                reads.push(read);
            }
        }
    }
    reads
}

/// Whether an operand is one number a channel, at axis 1, instead of broadcasting at the end.
fn is_channel(node: &Node, operand: usize) -> bool {
    node.op.name == "Snake" && operand == 1
}

/// Adds the one step of a chain.
pub(super) fn chain(b: &mut Builder<'_>, members: &[usize]) -> Result<(), LowerError> {
    let graph = b.graph;
    let nodes: Vec<&Node> = members.iter().map(|&m| &graph.nodes()[m]).collect();
    let Some(last) = nodes.last() else { return Ok(()) };
    let out = b.desc(last.outputs[0]);
    let reads = reads(&nodes);
    let mut inputs: Vec<(DType, Vec<isize>)> = Vec::new();
    let mut vals: Vec<Val> = Vec::new();
    for &(id, channel) in &reads {
        let val = b.value(id)?;
        let shape = &b.desc(id).shape;
        let strides =
            if channel { channel_strides(out.shape.len()) } else { broadcast_strides(shape, &out.shape) };
        inputs.push((b.values[val].dtype, strides));
        vals.push(val);
    }
    let code = code(graph, &nodes, &reads)?;
    let program = Program::new(&out.shape, out.dtype, &inputs, &code);
    b.step(last, program, vals);
    Ok(())
}

fn channel_strides(rank: usize) -> Vec<isize> {
    (0..rank).map(|axis| isize::from(axis == 1)).collect()
}

/// The instructions of a chain; the result of a member of a narrower type is rounded to it.
fn code(
    graph: &Graph,
    nodes: &[&Node],
    reads: &[(ValueId, bool)],
) -> Result<Vec<(Op, Vec<usize>)>, LowerError> {
    let mut code: Vec<(Op, Vec<usize>)> = Vec::new();
    let mut made: Vec<(ValueId, usize)> = Vec::new();
    for (i, node) in nodes.iter().enumerate() {
        let op = operation(graph, node).ok_or(kinograph_backend::Refusal::Op)?;
        let mut args = Vec::new();
        for (operand, id) in node.inputs.iter().enumerate() {
            let Some(id) = id else { continue };
            let own = made.iter().find(|(m, _)| m == id).map(|(_, position)| *position);
            let read = || reads.iter().position(|r| *r == (*id, is_channel(node, operand)));
            args.extend(own.or_else(read));
        }
        code.push((op, args));
        let result = reads.len() + code.len() - 1;
        let round = match output_type(graph, node) {
            // The last result is rounded when it is stored.
            _ if i + 1 == nodes.len() => None,
            DType::F16 => Some(Op::ToF16),
            DType::BF16 => Some(Op::ToBF16),
            _ => None,
        };
        code.extend(round.map(|round| (round, vec![result])));
        made.push((node.outputs[0], reads.len() + code.len() - 1));
    }
    Ok(code)
}

/// Whether a node is elementwise on integers.
fn is_integer(node: &Node) -> bool {
    node.op.name == "Cast" || IntOp::of(node.op.name).is_some()
}

/// Adds the step of an elementwise node that is no chain's: on integers, or between them and floats.
pub(super) fn other(b: &mut Builder<'_>, node: &Node) -> Result<(), LowerError> {
    let out = b.desc(node.outputs[0]).clone();
    let vals = node.inputs.iter().flatten().map(|&id| b.value(id)).collect::<Result<Vec<_>, _>>()?;
    if node.op.name == "Cast" {
        let from = b.values[vals[0]].dtype;
        if from == out.dtype {
            b.alias(node.outputs[0], vals[0], 0);
        } else {
            b.step(node, Cast { from, to: out.dtype }, vals);
        }
        return Ok(());
    }
    let op = IntOp::of(node.op.name).ok_or(kinograph_backend::Refusal::Op)?;
    let operands = node.inputs.iter().flatten().zip(&vals);
    let operands: Vec<(DType, Vec<isize>)> = operands
        .map(|(&id, &val)| (b.values[val].dtype, broadcast_strides(&b.desc(id).shape, &out.shape)))
        .collect();
    b.step(node, Integers::new(op, &out.shape, out.dtype, &operands), vals);
    Ok(())
}
