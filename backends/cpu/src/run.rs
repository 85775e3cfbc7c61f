//! What a kernel gets at run time: threads, cancellation, scratch memory.

use std::cell::Cell;

use bytemuck::Zeroable;
use kinograph_backend::Control;
use rayon::prelude::*;

use crate::memory::{LINE, Line, View};
use crate::simd::Level;

/// Why a kernel stopped.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// The run was cancelled.
    Cancelled,
    /// The data are outside what the op takes.
    Data(String),
}

/// The operands of one step.
pub(crate) struct Io<'a, 'b> {
    /// The inputs. The one that is overwritten in place is empty here.
    pub(crate) inputs: &'b [View<'a>],
    /// The bytes of the outputs.
    pub(crate) outputs: &'b mut [&'a mut [u8]],
    /// Which input lies in the memory of the first output.
    pub(crate) in_place: Option<usize>,
}

impl<'a> Io<'a, '_> {
    /// An input of `f32`.
    pub(crate) fn f32(&self, i: usize) -> &'a [f32] {
        self.inputs[i].f32()
    }

    /// The first output as elements of a type of its size.
    pub(crate) fn out<T: bytemuck::Pod>(&mut self) -> &mut [T] {
        // No bytes may stand anywhere.
        if self.outputs[0].is_empty() { &mut [] } else { bytemuck::cast_slice_mut(self.outputs[0]) }
    }
}

/// A compiled op: what one step of a run does.
pub(crate) trait Kernel: Send + Sync {
    /// Computes the outputs from the inputs.
    fn run(&self, run: &Run<'_>, io: Io<'_, '_>) -> Result<(), Fault>;

    /// The number of `f32` of scratch that one thread needs.
    fn scratch(&self) -> usize {
        0
    }

    /// The inputs that may share the memory of the first output, the best first.
    fn may_overwrite(&self) -> &[usize] {
        &[]
    }
}

/// One run of an executable.
pub(crate) struct Run<'a> {
    pub(crate) level: Level,
    pub(crate) threads: usize,
    pub(crate) control: &'a Control,
}

impl Run<'_> {
    /// Runs a task for each item, in parallel where there are threads, until the run is cancelled. In which
    /// order a sum is made must not depend on the number of threads: this is what makes runs repeatable.
    pub(crate) fn each<T: Send>(
        &self,
        items: Vec<T>,
        task: impl Fn(usize, T) + Sync + Send,
    ) -> Result<(), Fault> {
        let guarded = |(i, item): (usize, T)| {
            if !self.control.is_cancelled() {
                task(i, item);
            }
        };
        if self.threads == 1 || items.len() == 1 {
            items.into_iter().enumerate().for_each(guarded);
        } else {
            items.into_par_iter().enumerate().with_max_len(1).for_each(guarded);
        }
        self.finish()
    }

    /// Runs a task for each chunk of a slice, as [`each`](Self::each) does.
    pub(crate) fn chunks<T: Send>(
        &self,
        data: &mut [T],
        chunk: usize,
        task: impl Fn(usize, &mut [T]) + Sync + Send,
    ) -> Result<(), Fault> {
        let guarded = |(i, part): (usize, &mut [T])| {
            if !self.control.is_cancelled() {
                task(i, part);
            }
        };
        let chunk = chunk.max(1);
        if self.threads == 1 || data.len() <= chunk {
            data.chunks_mut(chunk).enumerate().for_each(guarded);
        } else {
            data.par_chunks_mut(chunk).enumerate().with_max_len(1).for_each(guarded);
        }
        self.finish()
    }

    fn finish(&self) -> Result<(), Fault> {
        if self.control.is_cancelled() { Err(Fault::Cancelled) } else { Ok(()) }
    }
}

thread_local! {
    /// The scratch memory of this thread, kept between tasks.
    static SCRATCH: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
}

/// Lends so many `f32` of this thread's scratch memory; what they hold is left over from before.
pub(crate) fn with_scratch<R>(floats: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut lines = SCRATCH.take();
    let needed = (floats * size_of::<f32>()).div_ceil(LINE);
    if lines.len() < needed {
        // Not resized: what is in it is worth nothing, and both would be there at a time.
        drop(lines);
        lines = vec![Line::zeroed(); needed];
    }
    let result = work(&mut bytemuck::cast_slice_mut(&mut lines)[..floats]);
    SCRATCH.set(lines);
    result
}
