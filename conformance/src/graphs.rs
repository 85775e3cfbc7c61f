//! Cases of whole graphs: parts of models, with made-up weights.

use std::collections::BTreeMap;

use kinograph_graph::{
    Bindings, DType, Graph, GraphError, GraphFile, Limits, Number, OpError, Source, Tensor, TensorDesc,
    Value, models,
};
use serde::Deserialize;

use crate::case::{CaseError, Fill, Input, Operand, dtype};
use crate::problem::Problem;
use crate::random::Rng;

/// A graph at some sizes, with inputs and made-up weights drawn from its name.
#[derive(Clone, Debug)]
pub struct GraphCase {
    /// What tells it from others.
    pub name: String,
    /// True for the cases of a quick run.
    pub quick: bool,
    file: &'static str,
    text: Option<String>,
    params: BTreeMap<String, Param>,
    symbols: BTreeMap<String, usize>,
    inputs: BTreeMap<String, Input>,
    stored: Option<DType>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
enum Param {
    Int(i64),
    Float(f64),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    /// A file of the Movie Gen graphs.
    file: Option<String>,
    /// Or the graph itself, which may include those files.
    graph: Option<String>,
    #[serde(default)]
    params: BTreeMap<String, Param>,
    #[serde(default)]
    symbols: BTreeMap<String, usize>,
    #[serde(default)]
    inputs: BTreeMap<String, Input>,
    /// The type that weights are stored in.
    stored: Option<String>,
    /// A case for each size of a symbol.
    each: Option<Each>,
    /// Left out of a quick run.
    #[serde(default)]
    full: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Each {
    symbol: String,
    from: usize,
    to: usize,
    /// Those of a quick run.
    #[serde(default)]
    quick: Vec<usize>,
}

/// Reads a file of graph cases.
pub(crate) fn parse(file: &str, text: &str) -> Result<Vec<GraphCase>, CaseError> {
    let format = |reason: String| CaseError::Format { file: file.to_owned(), reason };
    let parsed: File = toml::from_str(text).map_err(|e| format(e.to_string()))?;
    let mut cases = Vec::new();
    for entry in parsed.case {
        let wrong =
            |reason: String| CaseError::Case { file: file.to_owned(), case: entry.name.clone(), reason };
        let one = entry.case().map_err(wrong)?;
        match &entry.each {
            None => cases.push(one),
            Some(each) => cases.extend((each.from..=each.to).map(|size| one.at(each, size))),
        }
    }
    Ok(cases)
}

impl Entry {
    fn case(&self) -> Result<GraphCase, String> {
        let file = match (&self.file, &self.graph) {
            (Some(name), None) => models::MOVIE_GEN
                .iter()
                .map(|(file, _)| *file)
                .find(|file| file == name)
                .ok_or_else(|| format!("there is no graph `{name}`"))?,
            (None, Some(_)) => "case.toml",
            _ => return Err("give either `file` or `graph`".into()),
        };
        Ok(GraphCase {
            name: self.name.clone(),
            quick: !self.full,
            file,
            text: self.graph.clone(),
            params: self.params.clone(),
            symbols: self.symbols.clone(),
            inputs: self.inputs.clone(),
            stored: self.stored.as_deref().map(dtype).transpose()?,
        })
    }
}

impl GraphCase {
    fn at(&self, each: &Each, size: usize) -> Self {
        let mut case = self.clone();
        case.name = format!("{} {}={size}", self.name, each.symbol);
        case.symbols.insert(each.symbol.clone(), size);
        case.quick = self.quick && (each.quick.is_empty() || each.quick.contains(&size));
        case
    }

    /// The same case with other sizes of its symbols.
    pub(crate) fn with(&self, sizes: &[(&str, usize)]) -> Self {
        let mut case = self.clone();
        case.symbols.extend(sizes.iter().map(|(name, size)| ((*name).to_owned(), *size)));
        case
    }

    /// The static graph.
    ///
    /// # Errors
    /// A graph file that does not parse or bind.
    pub fn graph(&self) -> Result<Graph, GraphError> {
        let find =
            |name: &str| models::MOVIE_GEN.iter().find(|(file, _)| *file == name).map(|(_, text)| *text);
        let include =
            |name: &str| find(name).map(str::to_owned).ok_or_else(|| format!("there is no file `{name}`"));
        let text = self.text.as_deref().or_else(|| find(self.file)).unwrap_or_default();
        let file = GraphFile::parse_with(self.file, text, &Limits::default(), &include)?;
        let bindings = self.symbols.iter().fold(Bindings::new(), |b, (name, size)| b.symbol(name, *size));
        let bindings = self.params.iter().fold(bindings, |b, (name, value)| {
            b.number(
                name,
                match value {
                    Param::Int(v) => Number::Int(*v),
                    Param::Float(v) => Number::Float(*v),
                },
            )
        });
        file.bind(&bindings)
    }

    /// The graph with its data.
    ///
    /// # Errors
    /// As [`graph`](Self::graph), with the case's name.
    pub fn problem(&self) -> Result<Problem, OpError> {
        self.problem_from(0)
    }

    /// The same with other random numbers.
    pub(crate) fn problem_from(&self, seed: u64) -> Result<Problem, OpError> {
        let graph = self.graph().map_err(|e| OpError::invalid(e.to_string()))?;
        let (mut feed, mut stored) = (BTreeMap::new(), BTreeMap::new());
        for &id in graph.inputs().iter().chain(graph.weights()) {
            let value = graph.value(id);
            feed.insert(value.name.clone(), self.tensor(value, seed));
            stored.extend(
                self.stored.filter(|_| value.source == Source::Weight).map(|t| (value.name.clone(), t)),
            );
        }
        Problem::new(graph, feed, &stored)
    }

    /// What an input or a weight holds. It depends on its own name and the case's file alone, so that cases of several sizes
    /// have the same weights.
    fn tensor(&self, value: &Value, seed: u64) -> Tensor {
        let mut rng = Rng::new(hash(&value.name).wrapping_add(seed));
        if value.source == Source::Weight {
            return weight(&value.name, &value.desc, self.stored, &mut rng);
        }
        let fill = self.inputs.get(&value.name).cloned().unwrap_or_default().fill(value.desc.dtype);
        Operand { desc: value.desc.clone(), fill, stored: None }.tensor(&mut rng)
    }
}

/// 64 bits of a name's digest.
pub(crate) fn hash(name: &str) -> u64 {
    let digest = blake3::hash(name.as_bytes());
    digest.as_bytes()[..8].iter().fold(0, |n, b| n << 8 | u64::from(*b))
}

/// A weight that keeps the size of what goes through it: matrices and kernels of variance 1 / fan-in, gains near 1, small
/// biases.
pub(crate) fn weight(name: &str, desc: &TensorDesc, stored: Option<DType>, rng: &mut Rng) -> Tensor {
    let fan_in: usize = desc.shape.iter().skip(1).product();
    let bias = name.ends_with("bias") || name.contains("rel_bias");
    let embedding = name.contains("embed") || name.contains("pos.") || name.ends_with("table");
    let (shift, by) = match desc.rank() {
        _ if bias => (0.0, 0.1),
        _ if embedding => (0.0, 0.5),
        0 | 1 => (1.0, 0.1),
        _ => (0.0, 1.0 / (fan_in.max(1) as f64).sqrt()),
    };
    let operand = Operand { desc: desc.clone(), fill: Fill::Normal(by), stored: None };
    let tensor = operand.tensor(rng);
    let round = |v: f64| desc.dtype.quantize(stored.map_or(v, |t| t.quantize(v)));
    tensor.map(|v| round(v + shift))
}
