//! Elementwise operations on integers, and casts between integers and everything else.

use half::{bf16, f16};
use kinograph_graph::DType;

use crate::kernels::elementwise::widen;
use crate::layout::Walk;
use crate::memory::View;
use crate::run::{Fault, Io, Kernel, Run};

/// An operation on integers, computed as `i64` and wrapped to the type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum IntOp {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Min,
    Max,
    Equal,
    Less,
    Greater,
    Where,
    Neg,
    Abs,
}

impl IntOp {
    /// The operation of that name in the op table, if integers have it.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "Add" => IntOp::Add,
            "Sub" => IntOp::Sub,
            "Mul" => IntOp::Mul,
            "Div" => IntOp::Div,
            "Pow" => IntOp::Pow,
            "Min" => IntOp::Min,
            "Max" => IntOp::Max,
            "Equal" => IntOp::Equal,
            "Less" => IntOp::Less,
            "Greater" => IntOp::Greater,
            "Where" => IntOp::Where,
            "Neg" => IntOp::Neg,
            "Abs" => IntOp::Abs,
            _ => return None,
        })
    }

    fn apply(self, a: i64, b: i64, c: i64) -> i64 {
        match self {
            IntOp::Add => a.wrapping_add(b),
            IntOp::Sub => a.wrapping_sub(b),
            IntOp::Mul => a.wrapping_mul(b),
            IntOp::Div if b == 0 => 0,
            IntOp::Div => a.wrapping_div(b),
            IntOp::Pow => power(a, b),
            IntOp::Min => a.min(b),
            IntOp::Max => a.max(b),
            IntOp::Equal => i64::from(a == b),
            IntOp::Less => i64::from(a < b),
            IntOp::Greater => i64::from(a > b),
            IntOp::Where => {
                if a != 0 {
                    b
                } else {
                    c
                }
            }
            IntOp::Neg => a.wrapping_neg(),
            IntOp::Abs => a.wrapping_abs(),
        }
    }
}

/// By squaring; with a negative exponent, the exact value truncated towards zero, 0 giving 0.
fn power(mut base: i64, mut exponent: i64) -> i64 {
    if exponent < 0 {
        return match base {
            1 => 1,
            -1 => 1 - 2 * (exponent & 1),
            _ => 0,
        };
    }
    let mut product = 1i64;
    while exponent > 0 {
        if exponent & 1 == 1 {
            product = product.wrapping_mul(base);
        }
        base = base.wrapping_mul(base);
        exponent >>= 1;
    }
    product
}

/// The elements of one task.
const TASK: usize = 1 << 15;
const BLOCK: usize = 256;

/// An operation on integers with broadcasting.
pub(crate) struct Integers {
    op: IntOp,
    output: DType,
    operands: Vec<(DType, Walk)>,
}

impl Integers {
    /// An operation from its operands' types and strides over the output shape.
    pub(crate) fn new(op: IntOp, shape: &[usize], output: DType, operands: &[(DType, Vec<isize>)]) -> Self {
        let operands = operands
            .iter()
            .map(|(dtype, strides)| (*dtype, Walk::new(shape, std::slice::from_ref(strides))))
            .collect();
        Self { op, output, operands }
    }

    fn block(&self, inputs: &[View<'_>], at: usize, out: &mut [u8]) {
        let len = out.len() / self.output.size();
        let mut operands = [[0i64; BLOCK]; 3];
        for ((block, view), (_, walk)) in operands.iter_mut().zip(inputs).zip(&self.operands) {
            let stride = walk.inner_stride(0);
            walk.stretches(0, at, len, |done, offset, run| {
                for (i, slot) in block[done..done + run].iter_mut().enumerate() {
                    *slot = read(*view, (offset + i as isize * stride) as usize);
                }
            });
        }
        let [a, b, c] = &operands;
        for i in 0..len {
            write(self.output, out, i, self.op.apply(a[i], b[i], c[i]));
        }
    }
}

impl Kernel for Integers {
    fn run(&self, run: &Run<'_>, io: Io<'_, '_>) -> Result<(), Fault> {
        let size = self.output.size();
        let inputs = io.inputs;
        run.chunks(&mut *io.outputs[0], TASK * size, |task, part| {
            for (i, block) in part.chunks_mut(BLOCK * size).enumerate() {
                self.block(inputs, task * TASK + i * BLOCK, block);
            }
        })
    }
}

/// An element of an integer or bool view.
pub(crate) fn read(view: View<'_>, i: usize) -> i64 {
    match view.dtype {
        DType::I8 => i64::from(view.of::<i8>()[i]),
        DType::I32 => i64::from(view.of::<i32>()[i]),
        DType::I64 => view.of::<i64>()[i],
        _ => i64::from(view.bytes[i]),
    }
}

/// Writes an element of an integer type or bool, wrapping.
pub(crate) fn write(dtype: DType, out: &mut [u8], i: usize, value: i64) {
    let size = dtype.size();
    out[i * size..(i + 1) * size].copy_from_slice(&value.to_ne_bytes()[low_bytes(size)]);
}

/// The place of the low bytes of an `i64` in memory.
fn low_bytes(size: usize) -> std::ops::Range<usize> {
    if cfg!(target_endian = "big") { 8 - size..8 } else { 0..size }
}

/// A conversion that an integer type is part of, or bool.
pub(crate) struct Cast {
    pub(crate) from: DType,
    pub(crate) to: DType,
}

impl Cast {
    pub(crate) fn convert(&self, view: View<'_>, i: usize, out: &mut [u8], o: usize) {
        match (self.from.is_float(), self.to) {
            (true, to) => {
                let mut value = [0.0f32];
                widen(view, i, &mut value);
                write(to, out, o, from_float(to, value[0]));
            }
            (false, DType::F32) => put(out, o, read(view, i) as f32),
            (false, DType::F16) => put(out, o, f16::from_f64(read(view, i) as f64)),
            (false, DType::BF16) => put(out, o, bf16::from_f64(read(view, i) as f64)),
            (false, DType::Bool) => write(DType::Bool, out, o, i64::from(read(view, i) != 0)),
            (false, to) => {
                let (least, largest) = to.int_range().unwrap_or((i64::MIN, i64::MAX));
                write(to, out, o, read(view, i).clamp(least, largest));
            }
        }
    }
}

fn put<T: bytemuck::Pod>(out: &mut [u8], i: usize, value: T) {
    let size = size_of::<T>();
    out[i * size..(i + 1) * size].copy_from_slice(bytemuck::bytes_of(&value));
}

/// Truncates towards zero and saturates; NaN becomes 0, and bool is "not zero".
fn from_float(to: DType, value: f32) -> i64 {
    match to {
        DType::I8 => i64::from(value as i8),
        DType::U8 => i64::from(value as u8),
        DType::I32 => i64::from(value as i32),
        DType::Bool => i64::from(value != 0.0),
        _ => value as i64,
    }
}

impl Kernel for Cast {
    fn run(&self, run: &Run<'_>, io: Io<'_, '_>) -> Result<(), Fault> {
        let size = self.to.size();
        let view = io.inputs[0];
        run.chunks(&mut *io.outputs[0], TASK * size, |task, part| {
            for o in 0..part.len() / size {
                self.convert(view, task * TASK + o, part, o);
            }
        })
    }
}
