use kinograph_graph::{DType, Graph};

use crate::CompileError;

/// Tells the type that a weight is stored in, by its name; nothing for one that is missing.
pub type StoredTypes<'a> = &'a dyn Fn(&str) -> Option<DType>;

/// What a compiled graph holds and needs, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Activations, outputs and scratch of one run, at the peak; inputs are the caller's.
    pub run: u64,
    /// How much less of that a run takes whose inputs are given away, as they become free.
    pub reused: u64,
    /// Weights read in place from the caller's memory or mapped file.
    pub weights_in_place: u64,
    /// Weights that the device keeps as its own copy.
    pub weights_copied: u64,
}

impl MemoryPlan {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.run.saturating_add(self.weights_in_place).saturating_add(self.weights_copied)
    }

    /// What a device needs that keeps every value from the node that makes it to the last that reads it, in memory of
    /// its own, and reads weights as they are stored: an upper bound for one that fuses or works in place.
    ///
    /// # Errors
    /// [`CompileError::MissingWeight`].
    pub fn estimate(graph: &Graph, stored: StoredTypes<'_>) -> Result<Self, CompileError> {
        let mut weights = 0u64;
        for value in graph.weights().iter().map(|&id| graph.value(id)) {
            let dtype = stored(&value.name).ok_or_else(|| CompileError::MissingWeight(value.name.clone()))?;
            weights = weights.saturating_add(value.desc.with_dtype(dtype).bytes() as u64);
        }
        Ok(Self { run: peak(graph), reused: 0, weights_in_place: weights, weights_copied: 0 })
    }
}

/// The most bytes of values made by nodes that are alive at once.
fn peak(graph: &Graph) -> u64 {
    let mut last = vec![0; graph.values().len()];
    for (at, node) in graph.nodes().iter().enumerate() {
        let touched = node.inputs.iter().flatten().chain(&node.outputs);
        touched.for_each(|id| last[id.index()] = at);
    }
    graph.outputs().iter().for_each(|output| last[output.value.index()] = usize::MAX);
    let mut dying: Vec<u64> = vec![0; graph.nodes().len()];
    let (mut alive, mut peak) = (0u64, 0);
    for (at, node) in graph.nodes().iter().enumerate() {
        for &id in &node.outputs {
            let bytes = graph.value(id).desc.bytes() as u64;
            alive = alive.saturating_add(bytes);
            if let Some(end) = dying.get_mut(last[id.index()]) {
                *end = end.saturating_add(bytes);
            }
        }
        peak = peak.max(alive);
        alive -= dying[at];
    }
    peak
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinograph_graph::{GraphBuilder, TensorDesc, ops};

    #[test]
    fn values_count_while_they_are_needed() {
        // a = x + x, b = a * w, c = b + b: two of them are alive at any time.
        let mut builder = GraphBuilder::new("g");
        let desc = TensorDesc::new(DType::F32, [8]);
        let x = builder.input("x", desc.clone()).unwrap();
        let w = builder.weight("w", desc).unwrap();
        let op = |name| ops::find(name).unwrap();
        let a = builder.node(op("Add"), &[Some(x), Some(x)], [], "a").unwrap()[0];
        let b = builder.node(op("Mul"), &[Some(a), Some(w)], [], "b").unwrap()[0];
        let c = builder.node(op("Add"), &[Some(b), Some(b)], [], "c").unwrap()[0];
        let graph = builder.finish([("c", c)]).unwrap();
        let plan = MemoryPlan::estimate(&graph, &|_| Some(DType::F16)).unwrap();
        assert_eq!(plan, MemoryPlan { run: 2 * 32, reused: 0, weights_in_place: 16, weights_copied: 0 });
        let missing = MemoryPlan::estimate(&graph, &|_| None);
        assert_eq!(missing, Err(CompileError::MissingWeight("w".into())));
    }
}
