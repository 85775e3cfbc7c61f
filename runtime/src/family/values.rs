//! The values of a family: keys of JSON files with defaults and ranges, expressions over them, files.

use std::collections::BTreeMap;

use kinograph_graph::{Expr, ExprError, Number};
use serde::Deserialize;
use serde_json::Value as Json;

use super::configs::Configs;
use super::{Directory, FamilyError, index};
use crate::package::PackageError;

/// A value of the family.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Number(Number),
    Numbers(Vec<Number>),
    Word(String),
    Words(Vec<String>),
}

/// Where a value comes from.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Entry {
    /// An expression over other values.
    Expression(String),
    Key(Box<Key>),
    /// The first of these files that is there.
    File(FileEntry),
    /// The weight files of a component.
    Weights(WeightsEntry),
}

/// A key of a JSON file. Its default says what kind of value it has, a text being an expression unless there are `words`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Key {
    key: String,
    default: toml::Value,
    /// The range of a number, or of each number of a list.
    min: Option<Bound>,
    max: Option<Bound>,
    /// The choice that a word is.
    words: Option<Vec<String>>,
    /// A list of just so many numbers.
    list: Option<Count>,
    /// A list of at most so many numbers.
    most: Option<usize>,
    /// The list from its end.
    #[serde(default)]
    reversed: bool,
    /// One over each number.
    #[serde(default)]
    reciprocal: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
enum Bound {
    Int(i64),
    Float(f64),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Count {
    Fixed(usize),
    Expression(String),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileEntry {
    files: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WeightsEntry {
    folder: String,
    stem: String,
}

/// The values by name.
#[derive(Debug, Default)]
pub(super) struct Values(BTreeMap<String, Value>);

/// What does not work out: for now, or for good.
enum Problem {
    /// A value that is not known yet.
    Unknown(ExprError),
    Fatal(PackageError),
}

impl Values {
    /// Works out all values, each when those that it needs are known.
    pub(super) fn resolve<'a>(
        entries: impl Iterator<Item = (&'a String, &'a Entry)>,
        configs: &Configs,
        directory: &dyn Directory,
        wrong: &dyn Fn(String) -> FamilyError,
    ) -> Result<Self, PackageError> {
        let (mut values, mut open) = (Self::default(), entries.collect::<Vec<_>>());
        while !open.is_empty() {
            let before = open.len();
            let mut later = Vec::new();
            let mut reason = String::new();
            for (name, entry) in open {
                match values.work_out(entry, configs, directory, wrong) {
                    Ok(value) => values.insert(name, value, entry),
                    Err(Problem::Fatal(error)) => return Err(error),
                    Err(Problem::Unknown(error)) => {
                        reason = format!("the value `{name}`: {error}");
                        later.push((name, entry));
                    }
                }
            }
            if later.len() == before {
                return Err(wrong(reason).into());
            }
            open = later;
        }
        Ok(values)
    }

    /// Adds a value; of a list of at most so many numbers also each by its position, 0 beyond the end, and their count.
    fn insert(&mut self, name: &str, value: Value, entry: &Entry) {
        if let (Value::Numbers(list), Entry::Key(key)) = (&value, entry) {
            let places = key.most.unwrap_or(if key.list.is_some() { list.len().min(8) } else { 0 });
            for i in 0..places {
                let number = list.get(i).copied().unwrap_or(Number::Int(0));
                self.0.insert(format!("{name}{i}"), Value::Number(number));
            }
            self.0.insert(format!("{name}_count"), Value::Number(Number::Int(list.len() as i64)));
        }
        self.0.insert(name.to_owned(), value);
    }

    /// A value by its name, or an expression over numbers.
    pub(super) fn value(&self, text: &str) -> Result<Value, String> {
        match self.0.get(text) {
            Some(value) => Ok(value.clone()),
            None => self.number(text).map(Value::Number),
        }
    }

    /// An expression over numbers.
    pub(super) fn number(&self, text: &str) -> Result<Number, String> {
        self.evaluate(text).map_err(|e| e.to_string())
    }

    fn evaluate(&self, text: &str) -> Result<Number, ExprError> {
        let unknown =
            |name: &str| ExprError::UnknownName { name: name.to_owned(), known: "other values".into() };
        Expr::parse(text)?.eval(&|name| match self.0.get(name) {
            Some(Value::Number(number)) => Ok(*number),
            _ => Err(unknown(name)),
        })
    }

    fn work_out(
        &self,
        entry: &Entry,
        configs: &Configs,
        directory: &dyn Directory,
        wrong: &dyn Fn(String) -> FamilyError,
    ) -> Result<Value, Problem> {
        match entry {
            Entry::Expression(text) => self.expression(text, wrong).map(Value::Number),
            Entry::Key(key) => self.of_key(key, configs, wrong),
            Entry::File(FileEntry { files }) => {
                let found = files.iter().find(|file| directory.exists(file)).or(files.first());
                let missing = || FamilyError::Missing { tried: files.join(", ") };
                found.cloned().map(Value::Word).ok_or_else(|| Problem::Fatal(missing().into()))
            }
            Entry::Weights(WeightsEntry { folder, stem }) => {
                index::weights(folder, stem, directory).map(Value::Words).map_err(Problem::Fatal)
            }
        }
    }

    fn expression(&self, text: &str, wrong: &dyn Fn(String) -> FamilyError) -> Result<Number, Problem> {
        self.evaluate(text).map_err(|error| match error {
            ExprError::UnknownName { .. } => Problem::Unknown(error),
            // Numbers that are each in range, such as a product that overflows.
            other => Problem::Fatal(wrong(other.to_string()).into()),
        })
    }

    fn of_key(
        &self,
        key: &Key,
        configs: &Configs,
        wrong: &dyn Fn(String) -> FamilyError,
    ) -> Result<Value, Problem> {
        let refuse = |reason: String| Problem::Fatal(configs.refused(&key.key, reason).into());
        let found = configs.find(&key.key);
        if let Some(words) = &key.words {
            let word = found.map_or_else(|| key.default.as_str(), Json::as_str).unwrap_or_default();
            return match words.iter().find(|known| *known == word) {
                Some(word) => Ok(Value::Word(word.clone())),
                None => Err(refuse(format!("it must be one of {}", words.join(", ")))),
            };
        }
        if key.list.is_some() || key.most.is_some() {
            return self.list(key, found, &refuse, wrong).map(Value::Numbers);
        }
        let number = match (found, &key.default) {
            (Some(found), default) => key.number(found, default).map_err(refuse)?,
            (None, toml::Value::String(text)) => self.expression(text, wrong)?,
            (None, default) => of_toml(default).ok_or_else(|| {
                Problem::Fatal(wrong(format!("the default of `{}` is no number", key.key)).into())
            })?,
        };
        key.in_range(number).map(Value::Number).map_err(refuse)
    }

    fn list(
        &self,
        key: &Key,
        found: Option<&Json>,
        refuse: &dyn Fn(String) -> Problem,
        wrong: &dyn Fn(String) -> FamilyError,
    ) -> Result<Vec<Number>, Problem> {
        let defaults = key.default.as_array().map_or(&[][..], Vec::as_slice);
        let most = match (&key.list, key.most) {
            (Some(Count::Fixed(count)), _) => *count,
            (Some(Count::Expression(text)), _) => self.expression(text, wrong)?.as_f64() as usize,
            (None, most) => most.unwrap_or(0),
        };
        let kind = defaults.first().unwrap_or(&toml::Value::Integer(0));
        let mut numbers = match found {
            None => defaults.iter().filter_map(of_toml).collect::<Vec<_>>(),
            Some(Json::Array(items)) if items.len() <= most => {
                items.iter().map(|item| key.number(item, kind)).collect::<Result<_, _>>().map_err(refuse)?
            }
            Some(_) => return Err(refuse(format!("it must be a list of {} numbers", key.size(most)))),
        };
        if numbers.len() > most || (key.list.is_some() && numbers.len() != most) {
            return Err(refuse(format!("it must be a list of {} numbers", key.size(most))));
        }
        for number in &mut numbers {
            *number = key.in_range(*number).map_err(refuse)?;
            if key.reciprocal {
                *number = Number::Float(1.0 / number.as_f64());
            }
        }
        if key.reversed {
            numbers.reverse();
        }
        Ok(numbers)
    }
}

impl Key {
    fn size(&self, most: usize) -> String {
        if self.list.is_some() { most.to_string() } else { format!("at most {most}") }
    }

    /// A JSON value as a number of the kind that the default is.
    fn number(&self, found: &Json, kind: &toml::Value) -> Result<Number, String> {
        match (kind, found) {
            (toml::Value::Boolean(_), Json::Bool(v)) => Ok(Number::Int(i64::from(*v))),
            (toml::Value::Boolean(_), _) => Err("it must be true or false".into()),
            (toml::Value::Float(_), Json::Number(v)) => {
                v.as_f64().filter(|v| v.is_finite()).map(Number::Float).ok_or("it must be a number".into())
            }
            (toml::Value::Float(_), _) => Err("it must be a number".into()),
            (_, Json::Number(v)) => v.as_i64().map(Number::Int).ok_or("it must be an integer".into()),
            _ => Err("it must be an integer".into()),
        }
    }

    fn in_range(&self, number: Number) -> Result<Number, String> {
        let bound = |bound: Bound| match bound {
            Bound::Int(v) => Number::Int(v),
            Bound::Float(v) => Number::Float(v),
        };
        let (min, max) = (self.min.map(bound), self.max.map(bound));
        let fits = min.is_none_or(|min| number.as_f64() >= min.as_f64())
            && max.is_none_or(|max| number.as_f64() <= max.as_f64());
        match (fits, min, max) {
            (true, ..) => Ok(number),
            (false, Some(min), Some(max)) => Err(format!("it must be from {min} to {max}")),
            _ => Err("it is out of range".into()),
        }
    }
}

fn of_toml(value: &toml::Value) -> Option<Number> {
    match value {
        toml::Value::Boolean(v) => Some(Number::Int(i64::from(*v))),
        toml::Value::Integer(v) => Some(Number::Int(*v)),
        toml::Value::Float(v) => Some(Number::Float(*v)),
        _ => None,
    }
}
