//! Where values live: lifetimes, memory shared in place, offsets in one arena.

use crate::lower::{Origin, Step, Val, Value};
use crate::memory::LINE;

/// Where a run finds a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Bytes of the arena.
    Arena(usize),
    /// The own buffer of an output, from a byte on.
    Output(usize, usize),
    /// An input of the graph, from a byte on.
    Input(usize, usize),
    /// A weight, from a byte on.
    Weight(usize, usize),
    /// A constant, from a byte on.
    Constant(usize, usize),
}

/// The memory of a list of steps.
#[derive(Debug)]
pub(crate) struct Plan {
    /// For each value its place.
    pub(crate) places: Vec<Place>,
    /// For each step which of its inputs its first output overwrites.
    pub(crate) in_place: Vec<Option<usize>>,
    /// The size of the arena.
    pub(crate) arena: usize,
    /// The sizes of the outputs' own buffers.
    pub(crate) outputs: Vec<usize>,
}

/// Memory that one or more values share, and when it is in use.
#[derive(Debug)]
struct Storage {
    bytes: usize,
    first: usize,
    last: usize,
    /// The buffer of its own, for an output of the graph.
    output: Option<usize>,
    offset: usize,
}

/// The value that an alias is part of in the end, and the byte that it starts at.
pub(crate) fn root(values: &[Value], val: Val) -> (Val, usize) {
    let (mut val, mut start) = (val, 0);
    while let Origin::Alias { of, offset } = values[val].origin {
        val = of;
        start += offset;
    }
    (val, start)
}

/// Plans the memory of steps that end in these outputs.
pub(crate) fn plan(values: &[Value], steps: &[Step], outputs: &[Val]) -> Plan {
    let mut planner = Planner::new(values, steps, outputs);
    planner.assign(steps);
    let arena = place_in_arena(&mut planner.storages);
    planner.finish(arena)
}

struct Planner<'a> {
    values: &'a [Value],
    last_use: Vec<usize>,
    /// For each value that a step makes, its storage.
    storage_of: Vec<Option<usize>>,
    storages: Vec<Storage>,
    in_place: Vec<Option<usize>>,
    outputs: Vec<usize>,
    output_of: Vec<Option<usize>>,
}

impl<'a> Planner<'a> {
    fn new(values: &'a [Value], steps: &[Step], outputs: &[Val]) -> Self {
        let mut last_use = vec![0; values.len()];
        for (at, step) in steps.iter().enumerate() {
            for &val in step.inputs.iter().chain(&step.outputs) {
                last_use[root(values, val).0] = at;
            }
        }
        let mut planner = Self {
            values,
            last_use,
            storage_of: vec![None; values.len()],
            storages: Vec::new(),
            in_place: Vec::new(),
            outputs: Vec::new(),
            output_of: vec![None; values.len()],
        };
        for &val in outputs {
            let (root, _) = root(values, val);
            // An output that is part of a larger value is copied out of it at the end.
            let whole = values[root].bytes == values[val].bytes;
            if values[root].origin == Origin::Step && whole && planner.output_of[root].is_none() {
                planner.output_of[root] = Some(planner.outputs.len());
                planner.outputs.push(values[root].bytes);
            }
            planner.last_use[root] = usize::MAX;
        }
        planner
    }

    /// Gives every value that a step makes its storage, in the order of steps.
    fn assign(&mut self, steps: &[Step]) {
        for (at, step) in steps.iter().enumerate() {
            let shared = self.overwritten(at, step);
            self.in_place.push(shared);
            for (i, &out) in step.outputs.iter().enumerate() {
                let storage = match (i, shared) {
                    (0, Some(input)) => self.storage_of[root(self.values, step.inputs[input]).0],
                    _ => None,
                };
                let storage = storage.unwrap_or_else(|| self.new_storage(out, at));
                let end = &mut self.storages[storage].last;
                *end = (*end).max(self.last_use[out]);
                self.storage_of[out] = Some(storage);
            }
        }
    }

    fn new_storage(&mut self, val: Val, first: usize) -> usize {
        let output = self.output_of[val];
        self.storages.push(Storage { bytes: self.values[val].bytes, first, last: first, output, offset: 0 });
        self.storages.len() - 1
    }

    /// The first input that the step may overwrite: it dies here, lies in the arena alone, and has
    /// the size of the output, which has no buffer of its own.
    fn overwritten(&self, at: usize, step: &Step) -> Option<usize> {
        let &out = step.outputs.first()?;
        if self.output_of[out].is_some() || self.values[out].bytes == 0 {
            return None;
        }
        step.kernel.may_overwrite().iter().copied().find(|&i| {
            let (own, offset) = root(self.values, step.inputs[i]);
            let alone =
                step.inputs.iter().enumerate().all(|(j, &other)| j == i || root(self.values, other).0 != own);
            let dies =
                self.last_use[own] == at && self.storage_of[own].is_some_and(|s| self.storages[s].last == at);
            let fits = offset == 0 && self.values[own].bytes == self.values[out].bytes;
            alone && dies && fits && self.storage_of[own].is_some_and(|s| self.storages[s].output.is_none())
        })
    }

    fn finish(self, arena: usize) -> Plan {
        let place = |val: Val| {
            let (root, offset) = root(self.values, val);
            match self.values[root].origin {
                Origin::Input(i) => Place::Input(i, offset),
                Origin::Weight(i) => Place::Weight(i, offset),
                Origin::Constant(i) => Place::Constant(i, offset),
                _ => match self.storage_of[root].map(|s| &self.storages[s]) {
                    Some(Storage { output: Some(i), .. }) => Place::Output(*i, offset),
                    Some(storage) => Place::Arena(storage.offset + offset),
                    // No step makes it and so none reads it.
                    None => Place::Arena(0),
                },
            }
        };
        let places = (0..self.values.len()).map(place).collect();
        Plan { places, in_place: self.in_place, arena, outputs: self.outputs }
    }
}

/// Gives each storage an offset, largest first, each in the tightest gap that is free for its whole
/// life. Returns the size of the arena.
fn place_in_arena(storages: &mut [Storage]) -> usize {
    let mut order: Vec<usize> =
        (0..storages.len()).filter(|&i| storages[i].output.is_none() && storages[i].bytes > 0).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(storages[i].bytes), storages[i].first));
    // Those already placed, by offset.
    let mut placed: Vec<usize> = Vec::new();
    let mut arena = 0;
    for &i in &order {
        let bytes = storages[i].bytes.next_multiple_of(LINE);
        let offset = tightest_gap(storages, &placed, i, bytes);
        storages[i].offset = offset;
        arena = arena.max(offset + bytes);
        let at = placed.partition_point(|&p| storages[p].offset <= offset);
        placed.insert(at, i);
    }
    arena
}

fn tightest_gap(storages: &[Storage], placed: &[usize], new: usize, bytes: usize) -> usize {
    let (first, last) = (storages[new].first, storages[new].last);
    let mut best: Option<(usize, usize)> = None;
    let mut end = 0;
    for other in placed.iter().map(|&p| &storages[p]).filter(|o| o.first <= last && first <= o.last) {
        let gap = other.offset.saturating_sub(end);
        if gap >= bytes && best.is_none_or(|(size, _)| gap < size) {
            best = Some((gap, end));
        }
        end = end.max((other.offset + other.bytes).next_multiple_of(LINE));
    }
    best.map_or(end, |(_, offset)| offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage(bytes: usize, first: usize, last: usize) -> Storage {
        Storage { bytes, first, last, output: None, offset: 0 }
    }

    #[test]
    fn values_alive_together_never_overlap() {
        // Sizes and lives from a small generator.
        let mut state = 1u64;
        let mut next = |limit: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % limit
        };
        let mut storages: Vec<Storage> =
            (0..300).map(|i| storage(next(5000) as usize, i, i + next(20) as usize)).collect();
        let arena = place_in_arena(&mut storages);
        for (i, a) in storages.iter().enumerate() {
            assert!(a.offset.is_multiple_of(LINE) && a.offset + a.bytes <= arena);
            for b in &storages[..i] {
                let together = a.first <= b.last && b.first <= a.last;
                let apart = a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset;
                assert!(!together || apart || a.bytes == 0 || b.bytes == 0);
            }
        }
    }

    #[test]
    fn memory_is_used_again() {
        let mut storages = vec![storage(640, 0, 1), storage(640, 1, 2), storage(640, 2, 3)];
        assert_eq!(place_in_arena(&mut storages), 1280);
    }
}
