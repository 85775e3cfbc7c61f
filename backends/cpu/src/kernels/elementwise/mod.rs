//! Chains of elementwise operations, run block by block so that what flows between them stays in
//! the first-level cache.

mod op;

pub(crate) use op::Op;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use kinograph_graph::DType;

use crate::halves::{widen_bf16, widen_f16};
use crate::layout::Walk;
use crate::memory::View;
use crate::run::{Fault, Io, Kernel, Run, with_scratch};
use crate::simd::Level;

/// The elements of one block: 4 KiB, so that half a dozen of them fit the first-level cache.
pub(crate) const BLOCK: usize = 1024;
/// The elements of one task.
const TASK: usize = 32 * BLOCK;

/// Where an operand of an instruction is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Arg {
    /// An input that is read where it lies: `f32` in the order of the output.
    Input(usize),
    /// A register.
    Register(usize),
}

/// One operation of a program.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Instruction {
    pub(crate) op: Op,
    pub(crate) args: Vec<Arg>,
    /// Not among the arguments.
    pub(crate) register: usize,
}

/// How an input is brought into a register before the instructions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Load {
    pub(crate) input: usize,
    pub(crate) register: usize,
}

/// A chain of elementwise operations over one output shape.
pub(crate) struct Program {
    /// For each input its strides over the output, as operand of the one walk of its own.
    walks: Vec<Walk>,
    loads: Vec<Load>,
    instructions: Vec<Instruction>,
    registers: usize,
    output: DType,
    /// Inputs of the output's type in the order of the output.
    overwritable: Vec<usize>,
}

impl Program {
    /// A program from its inputs (types, and strides over the output shape) and its instructions,
    /// whose arguments are positions: first the inputs, then the earlier instructions.
    pub(crate) fn new(
        shape: &[usize],
        output: DType,
        inputs: &[(DType, Vec<isize>)],
        code: &[(Op, Vec<usize>)],
    ) -> Self {
        let walks: Vec<Walk> =
            inputs.iter().map(|(_, strides)| Walk::new(shape, std::slice::from_ref(strides))).collect();
        let in_order = |i: usize| walks[i].dims.len() == 1 && walks[i].inner_stride(0) == 1;
        let direct: Vec<bool> = (0..inputs.len()).map(|i| inputs[i].0 == DType::F32 && in_order(i)).collect();
        let overwritable = (0..inputs.len()).filter(|&i| inputs[i].0 == output && in_order(i)).collect();
        let mut program =
            Self { walks, loads: Vec::new(), instructions: Vec::new(), registers: 0, output, overwritable };
        program.allocate(&direct, code);
        program
    }

    /// Assigns registers; one is free again after the last instruction that reads it.
    fn allocate(&mut self, direct: &[bool], code: &[(Op, Vec<usize>)]) {
        let inputs = direct.len();
        let mut last_use = vec![0; inputs + code.len()];
        for (at, (_, args)) in code.iter().enumerate() {
            args.iter().for_each(|&a| last_use[a] = at);
        }
        let mut free: Vec<usize> = Vec::new();
        let mut place: Vec<Arg> = Vec::new();
        for (input, &direct) in direct.iter().enumerate() {
            place.push(if direct {
                Arg::Input(input)
            } else {
                let register = self.fresh(&mut free);
                self.loads.push(Load { input, register });
                Arg::Register(register)
            });
        }
        for (at, (op, args)) in code.iter().enumerate() {
            let register = self.fresh(&mut free);
            self.instructions.push(Instruction {
                op: *op,
                args: args.iter().map(|&a| place[a]).collect(),
                register,
            });
            for (i, &arg) in args.iter().enumerate() {
                let again = args[..i].contains(&arg);
                if let (Arg::Register(r), true, false) = (place[arg], last_use[arg] == at, again) {
                    free.push(r);
                }
            }
            place.push(Arg::Register(register));
        }
    }

    fn fresh(&mut self, free: &mut Vec<usize>) -> usize {
        free.pop().unwrap_or_else(|| {
            self.registers += 1;
            self.registers - 1
        })
    }

    /// Computes a stretch of the output, of its type, from a flat position on.
    pub(crate) fn stretch(
        &self,
        level: Level,
        inputs: &[View<'_>],
        in_place: Option<usize>,
        start: usize,
        out: &mut [u8],
    ) {
        with_scratch(self.scratch(), |scratch| {
            // The last register takes the copy of an input that is overwritten.
            let mut registers: Vec<&mut [f32]> = scratch.chunks_exact_mut(BLOCK).collect();
            let size = self.output.size();
            for (i, block) in out.chunks_mut(BLOCK * size).enumerate() {
                let at = start + i * BLOCK;
                self.block(level, inputs, in_place, at, block, &mut registers);
            }
        });
    }

    fn block(
        &self,
        level: Level,
        inputs: &[View<'_>],
        in_place: Option<usize>,
        at: usize,
        out: &mut [u8],
        registers: &mut [&mut [f32]],
    ) {
        let len = out.len() / self.output.size();
        if let Some(input) = in_place {
            let own = View { dtype: self.output, bytes: out };
            let register = self.load_of(input).unwrap_or(self.registers);
            widen(own, 0, &mut registers[register][..len]);
        }
        for load in self.loads.iter().filter(|l| Some(l.input) != in_place) {
            fetch(inputs[load.input], &self.walks[load.input], at, &mut registers[load.register][..len]);
        }
        let (last, body) = match self.instructions.split_last() {
            Some((last, body)) => (last, body),
            None => return,
        };
        let locate = Locate { inputs, in_place, spare: self.registers, at, len };
        for instruction in body {
            let target = std::mem::take(&mut registers[instruction.register]);
            locate.apply(level, instruction, registers, &mut target[..len]);
            registers[instruction.register] = target;
        }
        if self.output == DType::F32 {
            return locate.apply(level, last, registers, bytemuck::cast_slice_mut(out));
        }
        let target = std::mem::take(&mut registers[last.register]);
        locate.apply(level, last, registers, &mut target[..len]);
        narrow(&target[..len], self.output, out);
        registers[last.register] = target;
    }

    fn load_of(&self, input: usize) -> Option<usize> {
        self.loads.iter().find(|l| l.input == input).map(|l| l.register)
    }
}

/// Finds the operands of instructions for one block.
struct Locate<'a> {
    inputs: &'a [View<'a>],
    in_place: Option<usize>,
    spare: usize,
    at: usize,
    len: usize,
}

impl Locate<'_> {
    fn apply(&self, level: Level, instruction: &Instruction, registers: &[&mut [f32]], out: &mut [f32]) {
        let operand = |i: usize| -> &[f32] {
            match instruction.args.get(i) {
                None => &[],
                Some(Arg::Register(r)) => &registers[*r][..self.len],
                Some(Arg::Input(input)) if Some(*input) == self.in_place => {
                    &registers[self.spare][..self.len]
                }
                Some(Arg::Input(input)) => &self.inputs[*input].f32()[self.at..self.at + self.len],
            }
        };
        instruction.op.apply(level, out, operand(0), operand(1), operand(2));
    }
}

impl Kernel for Program {
    fn run(&self, run: &Run<'_>, io: Io<'_, '_>) -> Result<(), Fault> {
        let Io { inputs, outputs, in_place } = io;
        let chunk = TASK * self.output.size();
        run.chunks(&mut *outputs[0], chunk, |i, part| {
            self.stretch(run.level, inputs, in_place, i * TASK, part);
        })
    }

    fn scratch(&self) -> usize {
        (self.registers + 1) * BLOCK
    }

    fn may_overwrite(&self) -> &[usize] {
        &self.overwritable
    }
}

/// Reads the elements of an input that belong to a block of the output.
fn fetch(view: View<'_>, walk: &Walk, at: usize, out: &mut [f32]) {
    let stride = walk.inner_stride(0);
    walk.stretches(0, at, out.len(), |done, offset, len| {
        let out = &mut out[done..done + len];
        let from = offset as usize;
        match stride {
            0 => {
                widen(view, from, &mut out[..1]);
                let first = out[0];
                out.fill(first);
            }
            1 => widen(view, from, out),
            _ => out.iter_mut().enumerate().for_each(|(i, o)| {
                widen(view, (offset + i as isize * stride) as usize, std::slice::from_mut(o))
            }),
        }
    });
}

/// Elements of a float or bool view, as `f32`.
pub(crate) fn widen(view: View<'_>, from: usize, out: &mut [f32]) {
    let to = from + out.len();
    match view.dtype {
        DType::F32 => out.copy_from_slice(&view.f32()[from..to]),
        DType::F16 => widen_f16(&view.of::<f16>()[from..to], out),
        DType::BF16 => widen_bf16(&view.of::<bf16>()[from..to], out),
        _ => out.iter_mut().zip(&view.bytes[from..to]).for_each(|(o, &v)| *o = f32::from(v)),
    }
}

/// Writes `f32` as another float type or as bool.
pub(crate) fn narrow(values: &[f32], to: DType, out: &mut [u8]) {
    match to {
        DType::F32 => bytemuck::cast_slice_mut(out).copy_from_slice(values),
        DType::F16 => bytemuck::cast_slice_mut::<_, f16>(out).convert_from_f32_slice(values),
        DType::BF16 => bytemuck::cast_slice_mut::<_, bf16>(out).convert_from_f32_slice(values),
        _ => out.iter_mut().zip(values).for_each(|(o, &v)| *o = u8::from(v != 0.0)),
    }
}
