//! Settings from `kinograph.toml`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use serde::Serialize;
use toml::{Spanned, Value};

use super::error::ConfigError;
use super::{Layer, Pairs, Setting, Source, parse};

/// The largest file that is read, in bytes.
pub(super) const MAX_BYTES: u64 = 1 << 20;

const NAME: &str = "kinograph.toml";
const KEYS: [&str; 10] = [
    "device",
    "place",
    "fallback",
    "device_options",
    "model",
    "plugins",
    "memory_limit",
    "threads",
    "numerics",
    "log",
];

/// A file that may hold settings.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) place: Place,
    pub(super) path: PathBuf,
}

/// A file that was looked for.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) candidate: Candidate,
    pub(super) exists: bool,
}

/// Why a file is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Place {
    /// `--config` names it.
    Flag,
    /// It is in the working directory.
    WorkingDirectory,
    /// It is the user's.
    User,
}

/// The files to look for, the strongest first.
pub(super) fn candidates(named: Option<&Path>) -> Vec<Candidate> {
    let first = match named {
        Some(path) => Candidate { place: Place::Flag, path: path.to_owned() },
        None => Candidate { place: Place::WorkingDirectory, path: NAME.into() },
    };
    // Without a home directory there is no user's file.
    let user = etcetera::choose_base_strategy()
        .ok()
        .map(|base| Candidate { place: Place::User, path: base.config_dir().join("kinograph").join(NAME) });
    [first].into_iter().chain(user).collect()
}

/// What a file says, or `None` when it is not there and need not be.
pub(super) fn read(candidate: &Candidate) -> Result<Option<Layer>, ConfigError> {
    let path = &candidate.path;
    let failed = |source| ConfigError::Read { path: shown(path), source };
    let file = match File::open(path) {
        Err(e) if candidate.place != Place::Flag && is_absent(&e) => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let mut text = String::new();
    // One byte over the limit tells a file that is too large from one that just fits.
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(ConfigError::TooLarge { path: shown(path) });
    }
    layer(candidate, &text).map(Some)
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn layer(candidate: &Candidate, text: &str) -> Result<Layer, ConfigError> {
    let Candidate { place, path } = candidate;
    let line_of = |offset: usize| text.bytes().take(offset).filter(|&b| b == b'\n').count() + 1;
    let document: BTreeMap<Spanned<String>, Value> = toml::from_str(text).map_err(|e| ConfigError::Line {
        path: shown(path),
        line: line_of(e.span().map_or(0, |span| span.start)),
        reason: e.message().to_owned(),
    })?;
    let mut entries: Vec<Entry<'_>> = document
        .iter()
        .map(|(key, value)| Entry {
            place: *place,
            path,
            line: line_of(key.span().start),
            key: key.get_ref(),
            value,
        })
        .collect();
    // Of several errors the first of the file is told.
    entries.sort_by_key(|entry| entry.line);
    let mut layer = Layer::default();
    entries.iter().try_for_each(|entry| entry.set(&mut layer))?;
    Ok(layer)
}

/// A key of a file with its value.
struct Entry<'a> {
    place: Place,
    path: &'a Path,
    line: usize,
    key: &'a str,
    value: &'a Value,
}

impl Entry<'_> {
    fn set(&self, layer: &mut Layer) -> Result<(), ConfigError> {
        match self.key {
            "device" => layer.device = Some(self.parsed(self.string()?, parse::device)?),
            "place" => layer.place = Some(self.pairs()?),
            "fallback" => layer.fallback = Some(self.parsed(self.string()?, parse::device)?),
            "device_options" => {
                self.may_name_code()?;
                layer.device_options = Some(self.pairs()?);
            }
            "model" => layer.model = Some(self.parsed(self.string()?, |text| self.model(text))?),
            "plugins" => layer.plugins = Some(self.plugins()?),
            "memory_limit" => layer.memory_limit = Some(self.parsed(&self.string_or_integer()?, str::parse)?),
            "threads" => layer.threads = Some(self.parsed(&self.integer()?.to_string(), parse::threads)?),
            "numerics" => layer.numerics = Some(self.parsed(self.string()?, str::parse)?),
            "log" => layer.log = Some(self.parsed(self.string()?, parse::log)?),
            _ => return Err(self.unknown()),
        }
        Ok(())
    }

    /// For keys whose values may name libraries. A file that merely lies where the program is started must not make it run
    /// foreign code.
    fn may_name_code(&self) -> Result<(), ConfigError> {
        if self.place != Place::WorkingDirectory {
            return Ok(());
        }
        Err(self.error(format!(
            "`{}` runs native code, which a file found in the working directory may not ask for; put it in the user's \
             file, or name this file with --config",
            self.key
        )))
    }

    fn plugins(&self) -> Result<Setting<Vec<PathBuf>>, ConfigError> {
        self.may_name_code()?;
        let list = self.value.as_array().ok_or_else(|| self.wrong_type("a list of strings"))?;
        let directory = |value: &Value| match value.as_str() {
            Some(text) if !text.is_empty() => Ok(self.beside(text)),
            _ => Err(self.error(format!("`plugins` must be a list of directories, found {value} in it"))),
        };
        let value = list.iter().map(directory).collect::<Result<_, _>>()?;
        Ok(Setting { value, source: self.source() })
    }

    fn source(&self) -> Source {
        Source::File { path: shown(self.path), line: self.line }
    }

    /// A path as it is meant: relative to the folder of the file, wherever the program is started.
    fn beside(&self, text: &str) -> PathBuf {
        self.path.parent().map_or_else(|| text.into(), |folder| folder.join(text))
    }

    fn model(&self, text: &str) -> Result<PathBuf, String> {
        if text.is_empty() {
            return Err(
                "must name a model package; leave the key out for the model inside the program".into()
            );
        }
        Ok(self.beside(text))
    }

    fn parsed<T, E: ToString>(
        &self,
        text: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Setting<T>, ConfigError> {
        match parse(text) {
            Ok(value) => Ok(Setting { value, source: self.source() }),
            Err(reason) => {
                Err(self.error(format!("`{}` = {}: {}", self.key, self.value, reason.to_string())))
            }
        }
    }

    fn string(&self) -> Result<&str, ConfigError> {
        self.value.as_str().ok_or_else(|| self.wrong_type("a string"))
    }

    /// A table of strings, whose values may hold whatever they like.
    fn pairs(&self) -> Result<Setting<Pairs>, ConfigError> {
        let table = self.value.as_table().ok_or_else(|| self.wrong_type("a table of strings"))?;
        let mut map = BTreeMap::new();
        for (name, value) in table {
            let text = match value.as_str() {
                Some(text) if !name.is_empty() && !text.is_empty() => text,
                _ => {
                    let key = self.key;
                    return Err(self.error(format!("`{key}.{name}` must be a string that is not empty")));
                }
            };
            map.insert(name.clone(), text.to_owned());
        }
        Ok(Setting { value: Pairs(map), source: self.source() })
    }

    fn integer(&self) -> Result<i64, ConfigError> {
        self.value.as_integer().ok_or_else(|| self.wrong_type("an integer"))
    }

    fn string_or_integer(&self) -> Result<String, ConfigError> {
        match self.value {
            Value::String(text) => Ok(text.clone()),
            Value::Integer(number) => Ok(number.to_string()),
            _ => Err(self.wrong_type("a string or an integer")),
        }
    }

    fn wrong_type(&self, expected: &str) -> ConfigError {
        self.error(format!("`{}` must be {expected}, found {}", self.key, self.value.type_str()))
    }

    fn unknown(&self) -> ConfigError {
        let hint = match kinograph::graph::nearest(self.key, KEYS) {
            Some(key) => format!("did you mean `{key}`?"),
            None => format!("the keys are {}", KEYS.join(", ")),
        };
        self.error(format!("unknown key `{}`; {hint}", self.key))
    }

    fn error(&self, reason: String) -> ConfigError {
        ConfigError::Line { path: shown(self.path), line: self.line, reason }
    }
}
