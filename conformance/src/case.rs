//! Cases as data.

use std::fmt;

use kinograph_graph::{Args, Attr, Attrs, DType, OpDef, OpError, Tensor, TensorDesc, ops};
use serde::Deserialize;

use crate::random::Rng;

/// One case: an op, its operands and attributes.
#[derive(Clone, Debug)]
pub struct Case {
    /// The op.
    pub op: &'static OpDef,
    /// What tells it from the op's other cases, its type among them.
    pub name: String,
    /// The operands in order; `None` where an optional one is left out.
    pub operands: Vec<Option<Operand>>,
    /// The checked attributes.
    pub attrs: Attrs,
    /// The attributes as they were given, for building graphs.
    pub given: Vec<(String, Attr)>,
    /// What the numbers are drawn with.
    pub seed: u64,
}

/// One operand of a case.
#[derive(Clone, Debug, PartialEq)]
pub struct Operand {
    /// Its type and shape.
    pub desc: TensorDesc,
    /// What its elements are.
    pub fill: Fill,
    /// For a weight, the type that the file stores it in.
    pub stored: Option<DType>,
}

/// How the elements of an operand are made.
#[derive(Clone, Debug, PartialEq)]
pub enum Fill {
    /// Drawn from the normal distribution times a factor.
    Normal(f64),
    /// Drawn evenly from a range; integers take whole numbers of it, the upper end included.
    Uniform(f64, f64),
    /// Numbers of every kind: NaN, infinities, both zeros, subnormals, huge, tiny and ordinary ones.
    Special,
    /// Truth values, true with this probability.
    Chance(f64),
    /// Written out, repeated as needed.
    Values(Vec<f64>),
}

/// What is wrong with a case file.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CaseError {
    /// It is no case file.
    #[error("{file}: {reason}")]
    Format {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A case does not fit its op.
    #[error("{file}: case `{case}`: {reason}")]
    Case {
        /// The file.
        file: String,
        /// The case.
        case: String,
        /// What is wrong.
        reason: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    op: String,
    /// The types that cases are repeated with, unless they say otherwise.
    types: Option<Vec<String>>,
    case: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    types: Option<Vec<String>>,
    #[serde(default)]
    inputs: Vec<Input>,
    #[serde(default)]
    attrs: toml::Table,
    #[serde(default)]
    seed: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Input {
    /// Left out.
    absent: bool,
    shape: Vec<usize>,
    /// A type of its own instead of the case's.
    dtype: Option<String>,
    stored: Option<String>,
    normal: Option<f64>,
    uniform: Option<[f64; 2]>,
    special: bool,
    chance: Option<f64>,
    values: Option<Vec<f64>>,
}

/// Reads a case file.
pub(crate) fn parse(file: &str, text: &str) -> Result<Vec<Case>, CaseError> {
    let format = |reason: String| CaseError::Format { file: file.to_owned(), reason };
    let parsed: File = toml::from_str(text).map_err(|e| format(e.to_string()))?;
    let op = ops::find(&parsed.op).ok_or_else(|| format(format!("there is no op `{}`", parsed.op)))?;
    let default = parsed.types.unwrap_or_else(|| vec!["f32".to_owned()]);
    let mut cases = Vec::new();
    for (i, entry) in parsed.case.iter().enumerate() {
        for dtype in entry.types.as_ref().unwrap_or(&default) {
            let case = entry.case(op, dtype, i as u64).map_err(|reason| CaseError::Case {
                file: file.to_owned(),
                case: entry.name.clone(),
                reason,
            })?;
            cases.push(case);
        }
    }
    Ok(cases)
}

pub(crate) fn dtype(name: &str) -> Result<DType, String> {
    DType::from_name(name).ok_or_else(|| format!("`{name}` is no element type"))
}

impl Entry {
    fn case(&self, op: &'static OpDef, own: &str, number: u64) -> Result<Case, String> {
        let operands = self
            .inputs
            .iter()
            .map(|input| if input.absent { Ok(None) } else { input.operand(own).map(Some) })
            .collect::<Result<Vec<_>, String>>()?;
        let given: Vec<(String, Attr)> = self
            .attrs
            .iter()
            .map(|(name, value)| Ok((name.clone(), attribute(value)?)))
            .collect::<Result<_, String>>()?;
        let seed = self.seed.wrapping_add(number.wrapping_mul(0x9e37_79b9));
        Case::new(op, format!("{} {own}", self.name), operands, given, seed).map_err(|e| e.to_string())
    }
}

impl Input {
    fn operand(&self, own: &str) -> Result<Operand, String> {
        let dtype = dtype(self.dtype.as_deref().unwrap_or(own))?;
        let stored = self.stored.as_deref().map(self::dtype).transpose()?;
        Ok(Operand { desc: TensorDesc::new(dtype, self.shape.clone()), fill: self.fill(dtype), stored })
    }

    /// What elements of that type are.
    pub(crate) fn fill(&self, dtype: DType) -> Fill {
        match self {
            Input { values: Some(values), .. } => Fill::Values(values.clone()),
            Input { special: true, .. } => Fill::Special,
            Input { uniform: Some([low, high]), .. } => Fill::Uniform(*low, *high),
            Input { chance: Some(p), .. } => Fill::Chance(*p),
            Input { normal: Some(by), .. } => Fill::Normal(*by),
            _ if dtype == DType::Bool => Fill::Chance(0.5),
            _ if dtype.is_int() => Fill::Uniform(if dtype == DType::U8 { 0.0 } else { -100.0 }, 100.0),
            _ => Fill::Normal(1.0),
        }
    }
}

fn attribute(value: &toml::Value) -> Result<Attr, String> {
    Ok(match value {
        toml::Value::Integer(v) => Attr::Int(*v),
        toml::Value::Float(v) => Attr::Float(*v),
        toml::Value::Boolean(v) => Attr::Bool(*v),
        toml::Value::String(v) => Attr::Str(v.clone()),
        toml::Value::Array(list) if list.iter().all(toml::Value::is_integer) => {
            Attr::Ints(list.iter().filter_map(toml::Value::as_integer).collect())
        }
        toml::Value::Array(list) => {
            let number = |v: &toml::Value| v.as_float().or(v.as_integer().map(|i| i as f64));
            let numbers: Option<Vec<f64>> = list.iter().map(number).collect();
            Attr::Floats(numbers.ok_or_else(|| format!("{value} is no list of numbers"))?)
        }
        _ => return Err(format!("{value} is no attribute")),
    })
}

impl Case {
    /// A case whose attributes are checked against the op.
    ///
    /// # Errors
    /// When the op does not take the attributes or the operands.
    pub fn new(
        op: &'static OpDef,
        name: String,
        operands: Vec<Option<Operand>>,
        given: Vec<(String, Attr)>,
        seed: u64,
    ) -> Result<Self, OpError> {
        let attrs = Attrs::check(op.attrs, given.clone())?;
        let descs: Vec<Option<&TensorDesc>> = operands.iter().map(|o| o.as_ref().map(|o| &o.desc)).collect();
        (op.infer)(&Args { op, inputs: &descs, attrs: &attrs })?;
        Ok(Self { op, name, operands, attrs, given, seed })
    }

    /// The operands' elements, as their types (and those that they are stored in) hold them.
    pub fn tensors(&self) -> Vec<Option<Tensor>> {
        let mut rng = Rng::new(self.seed);
        self.operands.iter().map(|operand| operand.as_ref().map(|o| o.tensor(&mut rng))).collect()
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.op.name, self.name)
    }
}

/// One of each kind of number, and a few more of those that kernels get wrong.
const SPECIAL: [f64; 24] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    2.5,
    -2.5,
    1e-3,
    -1e-3,
    1e-20,
    -1e-20,
    1e-40,
    -1e-40,
    88.0,
    -88.0,
    104.0,
    -104.0,
    3e4,
    -3e4,
    3e38,
];

impl Operand {
    /// The elements, rounded to the type that a weight is stored in, and to the operand's own.
    pub(crate) fn tensor(&self, rng: &mut Rng) -> Tensor {
        let mut at = 0;
        Tensor::from_fn(self.desc.clone(), |_| {
            let raw = self.element(rng, at);
            at += 1;
            self.desc.dtype.quantize(self.stored.map_or(raw, |stored| stored.quantize(raw)))
        })
    }

    fn element(&self, rng: &mut Rng, at: usize) -> f64 {
        match &self.fill {
            Fill::Normal(by) => rng.normal() * by,
            Fill::Uniform(low, high) if self.desc.dtype.is_float() => low + (high - low) * rng.unit(),
            Fill::Uniform(low, high) => (low + (high - low + 1.0) * rng.unit()).floor().min(*high),
            Fill::Special => SPECIAL[if at < SPECIAL.len() { at } else { rng.below(SPECIAL.len()) }],
            Fill::Chance(p) => f64::from(u8::from(rng.unit() < *p)),
            Fill::Values(values) => values.get(at % values.len().max(1)).copied().unwrap_or(0.0),
        }
    }
}
