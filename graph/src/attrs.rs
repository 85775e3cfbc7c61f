//! Attributes of a node: what an op accepts, and the checked values.

use std::collections::BTreeMap;
use std::fmt;

use crate::OpError;

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attr {
    /// An integer.
    Int(i64),
    /// A real number.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A word, such as a padding mode.
    Str(String),
    /// A list of integers.
    Ints(Vec<i64>),
    /// A list of real numbers.
    Floats(Vec<f64>),
}

impl fmt::Display for Attr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Attr::Int(v) => write!(f, "{v}"),
            Attr::Float(v) => write!(f, "{v:?}"),
            Attr::Bool(v) => write!(f, "{v}"),
            Attr::Str(v) => write!(f, "{v:?}"),
            Attr::Ints(v) => write!(f, "{v:?}"),
            Attr::Floats(v) => write!(f, "{v:?}"),
        }
    }
}

/// What kind of value an attribute takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttrKind {
    /// An integer.
    Int,
    /// A real number; integers are accepted.
    Float,
    /// `true` or `false`.
    Bool,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of integers.
    Ints,
    /// A list of real numbers; integers are accepted.
    Floats,
}

impl AttrKind {
    /// Checks and converts a value: integers widen to floats, words must be among the choices.
    pub(crate) fn check(self, value: Attr) -> Result<Attr, String> {
        match (self, value) {
            (AttrKind::Int, v @ Attr::Int(_))
            | (AttrKind::Float, v @ Attr::Float(_))
            | (AttrKind::Bool, v @ Attr::Bool(_))
            | (AttrKind::Ints, v @ Attr::Ints(_))
            | (AttrKind::Floats, v @ Attr::Floats(_)) => Ok(v),
            (AttrKind::Float, Attr::Int(v)) => Ok(Attr::Float(v as f64)),
            (AttrKind::Floats, Attr::Ints(v)) => Ok(Attr::Floats(v.into_iter().map(|x| x as f64).collect())),
            (AttrKind::Choice(words), Attr::Str(v)) if words.contains(&v.as_str()) => Ok(Attr::Str(v)),
            (kind, v) => Err(format!("expected {kind}, found {v}")),
        }
    }
}

impl fmt::Display for AttrKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AttrKind::Int => f.write_str("an integer"),
            AttrKind::Float => f.write_str("a number"),
            AttrKind::Bool => f.write_str("true or false"),
            AttrKind::Ints => f.write_str("a list of integers"),
            AttrKind::Floats => f.write_str("a list of numbers"),
            AttrKind::Choice(words) => {
                let quoted: Vec<String> = words.iter().map(|w| format!("{w:?}")).collect();
                write!(f, "one of {}", quoted.join(", "))
            }
        }
    }
}

/// What an attribute is when the file does not give it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AttrDefault {
    /// The file must give it.
    Required,
    /// It stays absent, and the op documents what that means.
    Absent,
    /// An integer.
    Int(i64),
    /// A real number.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A word.
    Str(&'static str),
    /// A list of integers.
    Ints(&'static [i64]),
}

/// One attribute in an op's row of the table.
#[derive(Clone, Copy, Debug)]
pub struct AttrSpec {
    /// The key in a graph file.
    pub name: &'static str,
    /// What it takes.
    pub kind: AttrKind,
    /// What it is when absent.
    pub default: AttrDefault,
    /// One sentence for docs/ops.md.
    pub doc: &'static str,
}

/// The checked attributes of one node, defaults filled in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attrs {
    map: BTreeMap<&'static str, Attr>,
}

impl Attrs {
    /// Checks given attributes against the specification and fills in the defaults.
    ///
    /// # Errors
    /// [`OpError::Attribute`] for an unknown key, a wrong kind, or a missing required attribute.
    pub fn check(
        specs: &[AttrSpec],
        given: impl IntoIterator<Item = (String, Attr)>,
    ) -> Result<Self, OpError> {
        let mut map = BTreeMap::new();
        for (name, value) in given {
            let Some(spec) = specs.iter().find(|s| s.name == name) else {
                return Err(OpError::Attribute { name, reason: unknown_attribute(specs) });
            };
            let value = spec.kind.check(value).map_err(|reason| OpError::Attribute { name, reason })?;
            map.insert(spec.name, value);
        }
        for spec in specs {
            if map.contains_key(spec.name) {
                continue;
            }
            let value = match spec.default {
                AttrDefault::Required => {
                    let reason = format!("missing; it is required and takes {}", spec.kind);
                    return Err(OpError::Attribute { name: spec.name.into(), reason });
                }
                AttrDefault::Absent => continue,
                AttrDefault::Int(v) => Attr::Int(v),
                AttrDefault::Float(v) => Attr::Float(v),
                AttrDefault::Bool(v) => Attr::Bool(v),
                AttrDefault::Str(v) => Attr::Str(v.into()),
                AttrDefault::Ints(v) => Attr::Ints(v.to_vec()),
            };
            map.insert(spec.name, value);
        }
        Ok(Self { map })
    }

    /// Each attribute with its value, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Attr)> {
        self.map.iter().map(|(k, v)| (*k, v))
    }

    /// The value of an attribute, if present.
    pub fn get(&self, name: &str) -> Option<&Attr> {
        self.map.get(name)
    }

    /// An integer attribute.
    ///
    /// # Errors
    /// When it is absent or of another kind, which for a checked node is a defect of the op's row.
    pub fn int(&self, name: &str) -> Result<i64, OpError> {
        self.opt_int(name)?.ok_or_else(|| absent(name))
    }

    /// An integer attribute that may be absent.
    ///
    /// # Errors
    /// When it is of another kind.
    pub fn opt_int(&self, name: &str) -> Result<Option<i64>, OpError> {
        match self.map.get(name) {
            None => Ok(None),
            Some(Attr::Int(v)) => Ok(Some(*v)),
            Some(_) => Err(wrong_kind(name)),
        }
    }

    /// A number.
    ///
    /// # Errors
    /// When it is absent or of another kind.
    pub fn float(&self, name: &str) -> Result<f64, OpError> {
        self.opt_float(name)?.ok_or_else(|| absent(name))
    }

    /// A number that may be absent.
    ///
    /// # Errors
    /// When it is of another kind.
    pub fn opt_float(&self, name: &str) -> Result<Option<f64>, OpError> {
        match self.map.get(name) {
            None => Ok(None),
            Some(Attr::Float(v)) => Ok(Some(*v)),
            Some(_) => Err(wrong_kind(name)),
        }
    }

    /// A truth value.
    ///
    /// # Errors
    /// When it is absent or of another kind.
    pub fn bool(&self, name: &str) -> Result<bool, OpError> {
        match self.map.get(name) {
            Some(Attr::Bool(v)) => Ok(*v),
            Some(_) => Err(wrong_kind(name)),
            None => Err(absent(name)),
        }
    }

    /// A word.
    ///
    /// # Errors
    /// When it is absent or of another kind.
    pub fn str(&self, name: &str) -> Result<&str, OpError> {
        match self.map.get(name) {
            Some(Attr::Str(v)) => Ok(v),
            Some(_) => Err(wrong_kind(name)),
            None => Err(absent(name)),
        }
    }

    /// A list of integers.
    ///
    /// # Errors
    /// When it is absent or of another kind.
    pub fn ints(&self, name: &str) -> Result<&[i64], OpError> {
        self.opt_ints(name)?.ok_or_else(|| absent(name))
    }

    /// A list of integers that may be absent.
    ///
    /// # Errors
    /// When it is of another kind.
    pub fn opt_ints(&self, name: &str) -> Result<Option<&[i64]>, OpError> {
        match self.map.get(name) {
            None => Ok(None),
            Some(Attr::Ints(v)) => Ok(Some(v)),
            Some(_) => Err(wrong_kind(name)),
        }
    }

    /// A list of numbers that may be absent.
    ///
    /// # Errors
    /// When it is of another kind.
    pub fn opt_floats(&self, name: &str) -> Result<Option<&[f64]>, OpError> {
        match self.map.get(name) {
            None => Ok(None),
            Some(Attr::Floats(v)) => Ok(Some(v)),
            Some(_) => Err(wrong_kind(name)),
        }
    }
}

fn unknown_attribute(specs: &[AttrSpec]) -> String {
    if specs.is_empty() {
        return "unknown; this op takes no attributes".into();
    }
    let names: Vec<&str> = specs.iter().map(|s| s.name).collect();
    format!("unknown; this op takes {}", names.join(", "))
}

fn absent(name: &str) -> OpError {
    OpError::Attribute { name: name.into(), reason: "missing".into() }
}

fn wrong_kind(name: &str) -> OpError {
    OpError::Attribute { name: name.into(), reason: "of the wrong kind".into() }
}
