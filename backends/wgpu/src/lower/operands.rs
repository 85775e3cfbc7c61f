//! The operands of an elementwise kernel, and where their elements lie.

use std::fmt::Write;

use kinograph_graph::DType;

use super::expression::{Kind, kind};
use crate::layout::{Root, View, dense_strides, merged};

/// Where the elements of what a kernel reads lie, and those of its result, by their position in the order of the result's shape.
pub(super) struct Operands {
    reads: Vec<View>,
    out_start: usize,
    sizes: Vec<usize>,
    /// Of each that is read, and of the result last.
    strides: Vec<Vec<isize>>,
    /// The storages that they are read from, each once.
    pub(super) roots: Vec<Root>,
    /// Of each view, which of the storages.
    slots: Vec<usize>,
    /// What stands before the names of sizes and strides, such as `params`.
    prefix: &'static str,
}

impl Operands {
    pub(super) fn new(reads: Vec<View>, out: &View, prefix: &'static str) -> Self {
        let own: Vec<Vec<isize>> = reads.iter().chain([out]).map(|v| v.strides.clone()).collect();
        let (sizes, strides) = merged(&out.shape, &own);
        // One storage may be read through several views.
        let mut roots: Vec<Root> = Vec::new();
        let slot = |view: &View| {
            roots.iter().position(|&r| r == view.root).unwrap_or_else(|| {
                roots.push(view.root);
                roots.len() - 1
            })
        };
        let slots = reads.iter().map(slot).collect();
        Self { out_start: out.start, reads, sizes, strides, roots, slots, prefix }
    }

    /// The parameters that [`Self::fields`] declares.
    pub(super) fn params(&self) -> Vec<u32> {
        let mut params: Vec<u32> = self.sizes.iter().map(|&s| s as u32).collect();
        let starts = self.reads.iter().map(|v| v.start).chain([self.out_start]);
        for (start, strides) in starts.zip(&self.strides) {
            params.push(start as u32);
            // A negative distance wraps around, and so does the sum that it is part of.
            params.extend(strides.iter().map(|&s| s as i32 as u32));
        }
        params
    }

    /// Members of the struct of parameters.
    pub(super) fn fields(&self, s: &mut String) {
        (0..self.sizes.len()).for_each(|axis| {
            let _ = writeln!(s, "  size{axis}: u32,");
        });
        for operand in 0..self.strides.len() {
            let _ = writeln!(s, "  start{operand}: u32,");
            (0..self.sizes.len()).for_each(|axis| {
                let _ = writeln!(s, "  stride{operand}_{axis}: u32,");
            });
        }
    }

    /// Declares the storages `in0`, `in1` and so on, from a binding on.
    pub(super) fn storages(&self, s: &mut String, first: usize) {
        for slot in 0..self.roots.len() {
            let own = || self.slots.iter().zip(&self.reads).filter(|(n, _)| **n == slot).map(|(_, v)| v);
            let t = if own().any(|v| v.dtype == DType::I64) {
                "vec2<u32>"
            } else if own().any(|v| v.half) {
                "f16"
            } else {
                "u32"
            };
            let binding = first + slot;
            let _ = writeln!(s, "@group(0) @binding({binding}) var<storage, read> in{slot}: array<{t}>;");
        }
    }

    /// Whether all that is read is kept as halves.
    pub(super) fn of_halves(&self) -> bool {
        self.reads.iter().all(|view| view.half)
    }

    /// Whether an operand's elements lie in the order in which they are counted.
    fn counted(&self, operand: usize) -> bool {
        self.strides[operand] == dense_strides(&self.sizes)
    }

    /// Reads the elements at position `i` as `x0`, `x1` and so on, or, to be moved alone, as they are kept.
    pub(super) fn loads(&self, s: &mut String, as_kept: bool) {
        if !(0..self.strides.len()).all(|n| self.counted(n)) {
            s.push_str("  var rest = i;\n");
            for axis in (0..self.sizes.len()).rev() {
                let size = format!("{}.size{axis}", self.prefix);
                let _ = writeln!(s, "  let c{axis} = rest % {size};\n  rest /= {size};");
            }
        }
        for (n, view) in self.reads.iter().enumerate() {
            let load = format!("in{}[{}]", self.slots[n], self.place(n));
            let load = match kind(view.dtype) {
                Kind::Float if view.half && as_kept => load,
                Kind::Float if view.half => format!("f32({load})"),
                Kind::Float => format!("bitcast<f32>({load})"),
                Kind::Int => format!("bitcast<i32>({load})"),
                Kind::Bool => format!("{load} != 0u"),
                Kind::Long => load,
            };
            let _ = writeln!(s, "  let x{n} = {load};");
        }
    }

    /// Where the result's element at position `i` lies.
    pub(super) fn result(&self) -> String {
        self.place(self.reads.len())
    }

    fn place(&self, operand: usize) -> String {
        let prefix = self.prefix;
        let mut place = format!("{prefix}.start{operand}");
        if self.counted(operand) {
            place.push_str(" + i");
            return place;
        }
        for (axis, &stride) in self.strides[operand].iter().enumerate() {
            match stride {
                0 => {}
                1 => place.push_str(&format!(" + c{axis}")),
                _ => place.push_str(&format!(" + c{axis} * {prefix}.stride{operand}_{axis}")),
            }
        }
        place
    }
}
