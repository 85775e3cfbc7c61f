//! Reading TOML values with their places in the file.

use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::{Expr, GraphError, GraphErrorKind, Limits, Location, Number};

/// A file being read: turns spans into lines and builds errors.
pub(super) struct Reader {
    pub(super) file: Arc<str>,
    pub(super) limits: Limits,
    line_starts: Vec<usize>,
}

/// A table being read: each key is taken once, and what remains at the end is unknown.
pub(super) struct Table<'a, 'i> {
    reader: &'a Reader,
    entries: Vec<(&'a str, usize, &'a Spanned<DeValue<'i>>)>,
    what: String,
    pub(super) line: usize,
}

impl Reader {
    pub(super) fn new(file: &str, text: &str, limits: &Limits) -> Self {
        let line_starts = std::iter::once(0)
            .chain(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1));
        Self { file: file.into(), limits: limits.clone(), line_starts: line_starts.collect() }
    }

    pub(super) fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= offset)
    }

    pub(super) fn error(&self, line: usize, kind: impl Into<GraphErrorKind>) -> GraphError {
        let at = Location { file: self.file.to_string(), line, node: None };
        GraphError::new(at, kind)
    }

    pub(super) fn format_error(&self, line: usize, message: impl Into<String>) -> GraphError {
        self.error(line, GraphErrorKind::Format(message.into()))
    }

    pub(super) fn toml_error(&self, error: &toml::de::Error) -> GraphError {
        let line = error.span().map_or(0, |span| self.line(span.start));
        self.error(line, GraphErrorKind::Toml(error.message().to_owned()))
    }

    pub(super) fn line_of(&self, value: &Spanned<DeValue<'_>>) -> usize {
        self.line(value.span().start)
    }

    /// A table with its keys in the order of the file, as long as a list may be.
    pub(super) fn table<'a, 'i>(
        &'a self,
        value: &'a Spanned<DeValue<'i>>,
        what: impl Into<String>,
    ) -> Result<Table<'a, 'i>, GraphError> {
        self.long_table(value, what, self.limits.list)
    }

    /// A table of at most so many entries.
    pub(super) fn long_table<'a, 'i>(
        &'a self,
        value: &'a Spanned<DeValue<'i>>,
        what: impl Into<String>,
        most: usize,
    ) -> Result<Table<'a, 'i>, GraphError> {
        let what = what.into();
        let line = self.line_of(value);
        match value.get_ref() {
            DeValue::Table(table) if table.len() > most => {
                Err(self.limit(line, format!("the number of entries of {what}"), most))
            }
            DeValue::Table(table) => Ok(self.entries(table, what, line)),
            other => {
                Err(self.format_error(line, format!("{what} must be a table, found {}", other.type_str())))
            }
        }
    }

    pub(super) fn entries<'a, 'i>(
        &'a self,
        table: &'a DeTable<'i>,
        what: String,
        line: usize,
    ) -> Table<'a, 'i> {
        let mut entries: Vec<_> =
            table.iter().map(|(k, v)| (k.get_ref().as_ref(), k.span().start, v)).collect();
        entries.sort_by_key(|(_, start, _)| *start);
        Table { reader: self, entries, what, line }
    }

    pub(super) fn string(&self, value: &Spanned<DeValue<'_>>, what: &str) -> Result<String, GraphError> {
        let line = self.line_of(value);
        match value.get_ref() {
            DeValue::String(s) if s.len() <= self.limits.name_bytes => Ok(s.to_string()),
            DeValue::String(_) => {
                Err(self.limit(line, format!("the length of {what} in bytes"), self.limits.name_bytes))
            }
            other => {
                Err(self.format_error(line, format!("{what} must be a string, found {}", other.type_str())))
            }
        }
    }

    pub(super) fn limit(&self, line: usize, what: String, limit: usize) -> GraphError {
        self.error(line, GraphErrorKind::Limit { what, limit })
    }

    /// A number, or a string that holds an expression.
    pub(super) fn expr(&self, value: &Spanned<DeValue<'_>>, what: &str) -> Result<Expr, GraphError> {
        let line = self.line_of(value);
        match value.get_ref() {
            DeValue::Integer(i) => i64::from_str_radix(i.as_str(), i.radix())
                .map(Expr::int)
                .map_err(|_| self.format_error(line, format!("{what}: {i} does not fit into 64 bits"))),
            DeValue::Float(f) => f
                .as_str()
                .parse()
                .map(|v| Expr::number(Number::Float(v)))
                .map_err(|_| self.format_error(line, format!("{what}: {f} is not a number"))),
            DeValue::Boolean(b) => Ok(Expr::int(i64::from(*b))),
            DeValue::String(s) => Expr::parse(s).map_err(|e| self.error(line, e)),
            other => Err(self.format_error(
                line,
                format!("{what} must be a number or an expression in quotes, found {}", other.type_str()),
            )),
        }
    }

    /// A list, or a single value standing for a list of one.
    pub(super) fn list<'a, 'i>(
        &self,
        value: &'a Spanned<DeValue<'i>>,
        what: &str,
    ) -> Result<Vec<&'a Spanned<DeValue<'i>>>, GraphError> {
        match value.get_ref() {
            DeValue::Array(items) if items.len() > self.limits.list => {
                Err(self.limit(self.line_of(value), format!("the length of {what}"), self.limits.list))
            }
            DeValue::Array(items) => Ok(items.iter().collect()),
            _ => Ok(vec![value]),
        }
    }

    pub(super) fn exprs(&self, value: &Spanned<DeValue<'_>>, what: &str) -> Result<Vec<Expr>, GraphError> {
        self.list(value, what)?.into_iter().map(|v| self.expr(v, what)).collect()
    }

    pub(super) fn strings(
        &self,
        value: &Spanned<DeValue<'_>>,
        what: &str,
    ) -> Result<Vec<String>, GraphError> {
        self.list(value, what)?.into_iter().map(|v| self.string(v, what)).collect()
    }
}

impl<'a, 'i> Table<'a, 'i> {
    /// Takes a key if it is there.
    pub(super) fn take(&mut self, key: &str) -> Option<&'a Spanned<DeValue<'i>>> {
        let position = self.entries.iter().position(|(k, _, _)| *k == key)?;
        Some(self.entries.remove(position).2)
    }

    /// Takes a key that must be there.
    pub(super) fn require(&mut self, key: &str) -> Result<&'a Spanned<DeValue<'i>>, GraphError> {
        self.take(key).ok_or_else(|| {
            self.reader.format_error(self.line, format!("{} lacks the key `{key}`", self.what))
        })
    }

    pub(super) fn string(&mut self, key: &str) -> Result<Option<String>, GraphError> {
        self.take(key).map(|v| self.reader.string(v, &format!("`{key}`"))).transpose()
    }

    /// A text that may be long.
    pub(super) fn text(&mut self, key: &str) -> Result<String, GraphError> {
        match self.take(key) {
            None => Ok(String::new()),
            Some(v) => match v.get_ref() {
                DeValue::String(s) => Ok(s.to_string()),
                other => Err(self.reader.format_error(
                    self.reader.line_of(v),
                    format!("`{key}` must be a string, found {}", other.type_str()),
                )),
            },
        }
    }

    pub(super) fn strings(&mut self, key: &str) -> Result<Vec<String>, GraphError> {
        self.take(key).map_or(Ok(Vec::new()), |v| self.reader.strings(v, &format!("`{key}`")))
    }

    pub(super) fn expr(&mut self, key: &str) -> Result<Option<Expr>, GraphError> {
        self.take(key).map(|v| self.reader.expr(v, &format!("`{key}`"))).transpose()
    }

    /// A table of names and expressions, in the order of the file.
    pub(super) fn expr_table(&mut self, key: &str) -> Result<Vec<(String, Expr)>, GraphError> {
        let Some(value) = self.take(key) else { return Ok(Vec::new()) };
        let table = self.reader.table(value, format!("`{key}`"))?;
        let reader = self.reader;
        table.rest().map(|(name, v)| Ok((name.to_owned(), reader.expr(v, name)?))).collect()
    }

    /// The entries not yet taken.
    pub(super) fn rest(self) -> impl Iterator<Item = (&'a str, &'a Spanned<DeValue<'i>>)> {
        self.entries.into_iter().map(|(k, _, v)| (k, v))
    }

    /// Refuses what was not taken.
    pub(super) fn finish(self, known: &str) -> Result<(), GraphError> {
        match self.entries.first() {
            None => Ok(()),
            Some((key, start, _)) => Err(self.reader.format_error(
                self.reader.line(*start),
                format!("{} has the unknown key `{key}`; it takes {known}", self.what),
            )),
        }
    }
}
