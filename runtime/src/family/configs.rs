//! The JSON files of a directory, and looking up keys in them.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{Directory, FamilyError};
use crate::package::PackageError;

/// The largest configuration, in bytes.
const MAX_BYTES: u64 = 1 << 20;
/// The largest file of which a family reads some keys only, in bytes.
const MAX_BYTES_IN_PART: u64 = 64 << 20;
/// How much of a value an error quotes.
const MAX_SHOWN: usize = 80;

/// A JSON file that a family reads.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum ConfigSpec {
    Whole(String),
    Part(Part),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    file: String,
    /// Whether the directory may lack it.
    #[serde(default)]
    optional: bool,
    /// The only keys that are kept; without any, all.
    #[serde(default)]
    keys: Vec<String>,
}

impl ConfigSpec {
    pub(super) fn file(&self) -> &str {
        match self {
            Self::Whole(file) => file,
            Self::Part(part) => &part.file,
        }
    }

    fn keys(&self) -> &[String] {
        match self {
            Self::Whole(_) => &[],
            Self::Part(part) => &part.keys,
        }
    }

    fn is_optional(&self) -> bool {
        matches!(self, Self::Part(part) if part.optional)
    }
}

/// The files, parsed, by the names that keys begin with.
pub(super) struct Configs(BTreeMap<String, (String, Value)>);

impl Configs {
    pub(super) fn read<'a>(
        specs: impl Iterator<Item = (&'a String, &'a ConfigSpec)>,
        directory: &dyn Directory,
    ) -> Result<Self, PackageError> {
        let mut configs = BTreeMap::new();
        for (name, spec) in specs {
            let file = spec.file();
            let value = if spec.is_optional() && !directory.exists(file) {
                Value::Null
            } else if spec.keys().is_empty() {
                parse(file, &directory.read(file, MAX_BYTES)?, &[])?
            } else {
                parse(file, &directory.read(file, MAX_BYTES_IN_PART)?, spec.keys())?
            };
            configs.insert(name.clone(), (file.to_owned(), value));
        }
        Ok(Self(configs))
    }

    /// The value of a key such as `vae.dim_mult.0`; nothing where it is missing or null.
    pub(super) fn find(&self, key: &str) -> Option<&Value> {
        let (config, rest) = key.split_once('.')?;
        let mut value = &self.0.get(config)?.1;
        for part in rest.split('.') {
            value = match value {
                Value::Object(fields) => fields.get(part)?,
                Value::Array(items) => items.get(part.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        (!value.is_null()).then_some(value)
    }

    /// The error for a key whose value does not do.
    pub(super) fn refused(&self, key: &str, reason: impl Into<String>) -> FamilyError {
        let (config, rest) = key.split_once('.').unwrap_or((key, ""));
        FamilyError::Value {
            file: self.0.get(config).map_or(config, |(file, _)| file).to_owned(),
            key: rest.to_owned(),
            found: self.find(key).map_or("missing".to_owned(), words),
            reason: reason.into(),
        }
    }

    /// Checks that a key is one of those values, or missing.
    pub(super) fn accept(&self, key: &str, values: &[toml::Value]) -> Result<(), FamilyError> {
        let Some(found) = self.find(key) else { return Ok(()) };
        if values.iter().any(|value| same(value, found)) {
            return Ok(());
        }
        let known = values.iter().map(shown).collect::<Vec<_>>().join(" or ");
        Err(self.refused(key, format!("only {known} is supported")))
    }

    /// Checks that a key is missing or null.
    pub(super) fn unset(&self, key: &str, reason: &str) -> Result<(), FamilyError> {
        if self.find(key).is_some() { Err(self.refused(key, reason)) } else { Ok(()) }
    }
}

/// A value for people, not longer than a line.
pub(super) fn words(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{} ...", &text[..end]),
        None => text.trim_matches('"').to_owned(),
    }
}

/// A value of a family as JSON writes it.
fn shown(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => format!("\"{text}\""),
        toml::Value::Integer(v) => v.to_string(),
        toml::Value::Float(v) => v.to_string(),
        toml::Value::Boolean(v) => v.to_string(),
        toml::Value::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        toml::Value::Table(_) | toml::Value::Datetime(_) => "another value".to_owned(),
    }
}

fn same(toml: &toml::Value, json: &Value) -> bool {
    match (toml, json) {
        (toml::Value::String(a), Value::String(b)) => a == b,
        (toml::Value::Boolean(a), Value::Bool(b)) => a == b,
        (toml::Value::Integer(a), Value::Number(b)) => b.as_i64() == Some(*a),
        (toml::Value::Float(a), Value::Number(b)) => b.as_f64() == Some(*a),
        (toml::Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        _ => false,
    }
}

fn parse(file: &str, bytes: &[u8], keys: &[String]) -> Result<Value, FamilyError> {
    let fail = |reason: String| FamilyError::Json { file: file.to_owned(), reason };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let fields = Fields(keys).deserialize(&mut deserializer).map_err(|e| fail(e.to_string()))?;
    deserializer.end().map_err(|e| fail(e.to_string()))?;
    Ok(fields)
}

/// An object of which only some keys are kept, or all of them when none is named.
struct Fields<'a>(&'a [String]);

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = serde_json::Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if self.0.is_empty() || self.0.contains(&key) {
                fields.insert(key, map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_keys_are_kept() {
        let keys = ["a".to_owned()];
        let value = parse("f", br#"{"b": [1, {"c": 2}], "a": {"x": 1}}"#, &keys).unwrap();
        assert_eq!(value, serde_json::json!({"a": {"x": 1}}));
        assert!(parse("f", b"{} x", &[]).is_err());
        assert!(parse("f", b"[]", &[]).is_err());
    }

    #[test]
    fn depth_is_an_error_and_no_overflow() {
        let deep = format!("{{\"a\": {}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        let error = parse("config.json", deep.as_bytes(), &[]).unwrap_err();
        assert!(error.to_string().starts_with("config.json: recursion limit exceeded"), "{error}");
        // What is skipped is not nested in memory.
        let skipped = parse("config.json", deep.as_bytes(), &["b".to_owned()]).unwrap();
        assert_eq!(skipped, serde_json::json!({}));
    }
}
