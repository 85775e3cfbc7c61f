//! Reading models from directories that were not made for this runtime, such as those of Hugging Face diffusers.
//!
//! A *family* is TOML: how a directory is recognised, which key of which JSON file gives which number, what the graphs can
//! do, where the weights are, and what a `model.toml` would say of all that. With the family's graphs a directory then is a
//! [`Package`](crate::Package) like any other. docs/family-format.md describes the file; [`Family::built_in`] gives those that
//! come with the crate.

mod configs;
mod error;
mod index;
mod template;
mod values;

use std::collections::BTreeMap;

use serde::Deserialize;

pub use error::FamilyError;

use crate::package::{Manifest, PackageError};
use crate::weights::Text;
use configs::{ConfigSpec, Configs};
use values::{Entry, Value, Values};

/// The version of the format of families that this crate reads.
const FORMAT: u32 = 1;

/// The file of a family that says everything but its graphs.
const FILE: &str = "family.toml";

/// How directories of one kind are read.
#[derive(Clone, Debug)]
pub struct Family {
    files: BTreeMap<String, String>,
    spec: Spec,
}

/// What `family.toml` says.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    format: u32,
    name: String,
    #[serde(default, rename = "doc")]
    _doc: String,
    configs: BTreeMap<String, ConfigSpec>,
    recognise: Recognise,
    #[serde(default)]
    accept: Accept,
    #[serde(default)]
    unset: Unset,
    #[serde(default)]
    values: BTreeMap<String, Entry>,
    #[serde(default, rename = "check")]
    checks: Vec<Check>,
    #[serde(default, rename = "case")]
    cases: Vec<Case>,
    manifest: toml::Table,
}

/// For a key the values that the graphs can do.
type Accept = BTreeMap<String, Vec<toml::Value>>;
/// For a key that must be missing, why.
type Unset = BTreeMap<String, String>;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recognise {
    key: String,
    value: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Check {
    holds: String,
    otherwise: String,
}

/// What holds where a key has a value.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    key: String,
    value: String,
    #[serde(default)]
    accept: Accept,
    #[serde(default)]
    unset: Unset,
    #[serde(default)]
    values: BTreeMap<String, Entry>,
    #[serde(default)]
    manifest: toml::Table,
}

/// The files of a directory, as far as a family looks at them.
pub(crate) trait Directory {
    /// Whether there is such a file.
    fn exists(&self, name: &str) -> bool;
    /// The bytes of a file of at most so many.
    fn read(&self, name: &str, limit: u64) -> Result<Text, PackageError>;
}

impl Family {
    /// A family from its files: `family.toml` and the graphs that it names.
    ///
    /// # Errors
    /// [`FamilyError::Definition`].
    pub fn new(files: BTreeMap<String, String>) -> Result<Self, FamilyError> {
        let fail = |reason: String| FamilyError::Definition { family: FILE.to_owned(), reason };
        let text = files.get(FILE).ok_or_else(|| fail(format!("a family needs a {FILE}")))?;
        let spec: Spec = toml::from_str(text).map_err(|e| fail(e.to_string().trim_end().to_owned()))?;
        match spec.format {
            FORMAT => Ok(Self { files, spec }),
            other => Err(fail(format!("format {other}: this version reads only format {FORMAT}"))),
        }
    }

    /// The families that come with the crate.
    ///
    /// # Errors
    /// None that a test of this crate would not show.
    pub fn built_in() -> Result<Vec<Self>, FamilyError> {
        let owned = |&(name, text): &(&str, &str)| (name.to_owned(), text.to_owned());
        let families = kinograph_graph::models::FAMILIES.iter();
        families.map(|files| Self::new(files.iter().map(owned).collect())).collect()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// The text of one of its graphs.
    pub(crate) fn graph(&self, name: &str) -> Option<&str> {
        self.files.get(name).map(String::as_str)
    }

    /// The file that tells whether a directory is one of this family.
    pub(crate) fn index_file(&self) -> Result<&str, FamilyError> {
        let config = self.spec.recognise.key.split('.').next().unwrap_or_default();
        let spec = self.spec.configs.get(config);
        spec.map(ConfigSpec::file)
            .ok_or_else(|| self.wrong(format!("recognise.key names no config `{config}`")))
    }

    /// What the key says by which a directory is recognised: nothing when its file is not there.
    fn seen(&self, directory: &dyn Directory) -> Result<Option<String>, PackageError> {
        if !directory.exists(self.index_file()?) {
            return Ok(None);
        }
        let name = self.spec.recognise.key.split('.').next().unwrap_or_default();
        let only = self.spec.configs.iter().filter(|(known, _)| *known == name);
        let configs = Configs::read(only, directory)?;
        Ok(Some(configs.find(&self.spec.recognise.key).map_or("nothing".to_owned(), configs::words)))
    }

    /// What a `model.toml` would say of this directory.
    pub(crate) fn manifest(&self, directory: &dyn Directory) -> Result<Manifest, PackageError> {
        let filled = self.filled(directory)?;
        Ok(Manifest::from_value(filled).map_err(|reason| FamilyError::Manifest { reason })?)
    }

    /// The same as bytes, in which every configuration counts that decides what the model computes.
    #[cfg(feature = "replay")]
    pub(crate) fn manifest_bytes(&self, directory: &dyn Directory) -> Result<Vec<u8>, PackageError> {
        let filled = self.filled(directory)?;
        Ok(serde_json::to_vec(&filled).map_err(|e| FamilyError::Manifest { reason: e.to_string() })?)
    }

    /// The manifest with what the directory says filled in.
    fn filled(&self, directory: &dyn Directory) -> Result<toml::Value, PackageError> {
        let configs = Configs::read(self.spec.configs.iter(), directory)?;
        let case = self.case(&configs)?;
        let (case_accept, case_unset) = case.map_or((None, None), |c| (Some(&c.accept), Some(&c.unset)));
        for accept in [Some(&self.spec.accept), case_accept].into_iter().flatten() {
            accept.iter().try_for_each(|(key, values)| configs.accept(key, values))?;
        }
        for unset in [Some(&self.spec.unset), case_unset].into_iter().flatten() {
            unset.iter().try_for_each(|(key, reason)| configs.unset(key, reason))?;
        }
        let entries = self.spec.values.iter().chain(case.into_iter().flat_map(|c| &c.values));
        let values = Values::resolve(entries, &configs, directory, &|reason| self.wrong(reason))?;
        for check in &self.spec.checks {
            match values.number(&check.holds).map_err(|reason| self.wrong(reason))?.as_f64() {
                0.0 => return Err(FamilyError::Check { reason: check.otherwise.clone() }.into()),
                _ => continue,
            }
        }
        let mut manifest = self.spec.manifest.clone();
        case.into_iter().for_each(|c| template::merge(&mut manifest, &c.manifest));
        let filled = template::fill(&toml::Value::Table(manifest), &values);
        Ok(filled.map_err(|reason| self.wrong(reason))?)
    }

    /// The case that a directory is, of those that the family tells apart.
    fn case(&self, configs: &Configs) -> Result<Option<&Case>, FamilyError> {
        let Some(first) = self.spec.cases.first() else { return Ok(None) };
        let is = |case: &&Case| configs.find(&case.key).and_then(|v| v.as_str()) == Some(&*case.value);
        if let Some(case) = self.spec.cases.iter().find(is) {
            return Ok(Some(case));
        }
        let known = self.spec.cases.iter().map(|c| format!("\"{}\"", c.value)).collect::<Vec<_>>();
        Err(configs.refused(&first.key, format!("this family knows {}", known.join(" and "))))
    }

    fn wrong(&self, reason: String) -> FamilyError {
        FamilyError::Definition { family: self.spec.name.clone(), reason }
    }
}

/// The family of a directory and what its manifest would be; nothing when no family's file is there.
///
/// # Errors
/// A file that a family looks for is there and names something that none of them knows, or does not fit.
pub(crate) fn recognise<'f>(
    families: &'f [Family],
    directory: &dyn Directory,
) -> Result<Option<(&'f Family, Manifest)>, PackageError> {
    let mut unknown: Option<(String, String)> = None;
    for family in families {
        match family.seen(directory)? {
            Some(seen) if seen == family.spec.recognise.value => {
                return Ok(Some((family, family.manifest(directory)?)));
            }
            Some(seen) => {
                unknown.get_or_insert((family.index_file()?.to_owned(), seen));
            }
            None => {}
        }
    }
    let Some((file, found)) = unknown else { return Ok(None) };
    let known = families.iter().map(|f| format!("\"{}\"", f.spec.recognise.value)).collect::<Vec<_>>();
    Err(FamilyError::Unknown { file, found, known: known.join(", ") }.into())
}

impl Value {
    /// As it stands in a manifest.
    fn to_toml(&self) -> toml::Value {
        use kinograph_graph::Number;
        let number = |n: &Number| match *n {
            Number::Int(v) => toml::Value::Integer(v),
            Number::Float(v) => toml::Value::Float(v),
        };
        match self {
            Value::Number(n) => number(n),
            Value::Numbers(list) => toml::Value::Array(list.iter().map(number).collect()),
            Value::Word(word) => toml::Value::String(word.clone()),
            Value::Words(list) => toml::Value::Array(list.iter().cloned().map(toml::Value::String).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_families_are_sound() {
        let families = Family::built_in().unwrap();
        assert_eq!(families.iter().map(Family::name).collect::<Vec<_>>(), ["wan"]);
        for family in &families {
            family.index_file().unwrap();
            let graphs = family.files.iter().filter(|(name, _)| *name != FILE && !name.contains("modules"));
            for (name, text) in graphs {
                let include =
                    |name: &str| family.graph(name).map(str::to_owned).ok_or_else(|| "no such file".into());
                let limits = kinograph_graph::Limits::default();
                let file = kinograph_graph::GraphFile::parse_with(name, text, &limits, &include).unwrap();
                file.bind(&kinograph_graph::Bindings::new()).unwrap();
            }
        }
    }
}
