//! Errors of many sums at once: each may be within its bound, and all together still show a kernel that rounds to one side, or
//! that keeps fewer bits than it should.
//!
//! A sum of K terms rounds about K times. Rounding to nearest errs to either side alike, by a third of the square of the unit
//! in the mean, so that the errors of T sums, in units of the scale that the bound has, have a mean near 0 and squares of K / 3 or
//! less. The limits are those of the reference model of TOSA (Arm): the sum of the errors within 2 sqrt(K T), that of the squares
//! within 0.4 K T.

use kinograph_graph::{DType, Graph, Node};

use crate::verdict::Verdict;

/// Ops that are sums of products and nothing else.
const SUMS: [&str; 6] = ["Conv", "ConvTranspose", "Linear", "MatMul", "ReduceMean", "ReduceSum"];

/// Fewer outputs or terms than these tell nothing.
const LEAST_OUTPUTS: usize = 256;
const LEAST_TERMS: usize = 16;

/// The sums that the one node of a graph makes.
struct Sums {
    /// The terms of each, in the mean.
    terms: usize,
    /// The units of the scale that the bound of each has at least.
    bound: f64,
}

/// What is wrong with the errors of a graph of one node as a whole, if anything is.
pub(crate) fn judge(graph: &Graph, verdict: &Verdict) -> Option<String> {
    let Sums { terms, bound } = Sums::of(graph)?;
    if verdict.elements < LEAST_OUTPUTS || terms < LEAST_TERMS {
        return None;
    }
    let (outputs, terms) = (verdict.elements as f64, terms as f64);
    let (sum, squares) = (verdict.sum * bound, verdict.squares * bound * bound);
    let (most_sum, most_squares) = (2.0 * (terms * outputs).sqrt(), 0.4 * terms * outputs);
    if squares > most_squares {
        let share = squares / most_squares;
        return Some(format!(
            "the squares of the errors are {share:.2} of what rounding of sums of {terms} terms gives"
        ));
    }
    if sum.abs() > most_sum {
        let side = if sum > 0.0 { "up" } else { "down" };
        let share = sum.abs() / most_sum;
        return Some(format!(
            "the errors lean {side}: their sum is {share:.2} of what rounding to nearest may give"
        ));
    }
    None
}

impl Sums {
    /// Those of a graph of one node in f32, if it is one of sums.
    fn of(graph: &Graph) -> Option<Self> {
        let [node] = graph.nodes() else { return None };
        let is_f32 = |id: &kinograph_graph::ValueId| graph.value(*id).desc.dtype == DType::F32;
        if !SUMS.contains(&node.op.name) || !node.inputs.iter().flatten().all(is_f32) {
            return None;
        }
        let elements: usize = node.outputs.iter().map(|&id| graph.value(id).desc.elements()).sum();
        let each = graph.node_flops(node) / (elements.max(1) as u64);
        // Products count twice.
        let terms = if node.op.name.starts_with("Reduce") { each } else { each / 2 } as usize;
        let bound = match node.op.name {
            "ConvTranspose" => meeting(graph, node)? as f64 + 2.0,
            "MatMul" => terms as f64 + 1.0,
            // What theirs have beyond the terms is in units of the result, which may be 0.
            "ReduceMean" | "ReduceSum" => terms as f64,
            _ => terms as f64 + 2.0,
        };
        Some(Self { terms, bound })
    }
}

/// The terms of a transposed convolution that may meet in one element. Strides and edges leave most elements fewer.
fn meeting(graph: &Graph, node: &Node) -> Option<usize> {
    let [channels, _, taps @ ..] = &graph.value(node.input(1)?).desc.shape[..] else { return None };
    let group = usize::try_from(node.attrs.int("group").ok()?).ok()?;
    Some(channels / group.max(1) * taps.iter().product::<usize>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinograph_graph::{Attr, GraphBuilder, TensorDesc, ops};

    fn sums(op: &str, shapes: [&[usize]; 2], attrs: Vec<(String, Attr)>) -> (usize, f64) {
        let mut builder = GraphBuilder::new("sums");
        let ids = [("a", shapes[0]), ("b", shapes[1])]
            .map(|(name, shape)| Some(builder.input(name, TensorDesc::new(DType::F32, shape)).unwrap()));
        let made = builder.node(ops::find(op).unwrap(), &ids, attrs, "node").unwrap();
        let Sums { terms, bound } = Sums::of(&builder.finish([("out", made[0])]).unwrap()).unwrap();
        (terms, bound)
    }

    #[test]
    fn terms_and_bounds_are_those_of_the_ops() {
        assert_eq!(sums("Linear", [&[9, 40], &[30, 40]], Vec::new()), (40, 42.0));
        assert_eq!(sums("MatMul", [&[9, 40], &[40, 30]], Vec::new()), (40, 41.0));
        // 4 channels and 16 taps; a stride of 2 leaves an element a quarter of the taps, and fewer at the edges.
        let strides = vec![("strides".to_owned(), Attr::Ints(vec![2, 2]))];
        assert_eq!(sums("ConvTranspose", [&[1, 4, 8, 8], &[4, 3, 4, 4]], strides), (12, 66.0));
    }
}
