//! The numbers that expressions see while a graph is bound.

use std::collections::{BTreeMap, HashMap};

use super::Bindings;
use crate::expr::ExprError;
use crate::format::{GraphFile, Module};
use crate::{Expr, GraphError, GraphErrorKind, Location, Number};

pub(super) type Numbers = BTreeMap<String, Number>;

/// The numbers that expressions see: a module's own parameters and counters before the graph's parameters and symbols.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) own: &'a Numbers,
    pub(super) globals: &'a Numbers,
}

impl Names<'_> {
    pub(super) fn eval(&self, expr: &Expr) -> Result<Number, ExprError> {
        expr.eval(&|name| {
            self.own.get(name).or_else(|| self.globals.get(name)).copied().ok_or_else(|| {
                ExprError::UnknownName {
                    name: name.to_owned(),
                    known: self
                        .own
                        .keys()
                        .chain(self.globals.keys())
                        .take(24)
                        .cloned()
                        .collect::<Vec<_>>()
                        .join(", "),
                }
            })
        })
    }
}

impl GraphFile {
    /// Parameters and symbols as numbers; parameters may refer to each other.
    pub(super) fn numbers(&self, bindings: &Bindings) -> Result<Numbers, GraphError> {
        let fail = |message: String| {
            let at = Location { file: self.file.to_string(), line: 0, node: None };
            GraphError::new(at, GraphErrorKind::Binding(message))
        };
        let params: HashMap<&str, &Expr> = self.params.iter().map(|(k, e)| (k.as_str(), e)).collect();
        if let Some(name) = bindings.params.keys().find(|k| !params.contains_key(k.as_str())) {
            return Err(fail(format!("there is no parameter `{name}`; there are: {}", names(&self.params))));
        }
        if let Some(name) = bindings.symbols.keys().find(|k| !self.symbols.iter().any(|(s, _)| s == *k)) {
            return Err(fail(format!("there is no symbol `{name}`; there are: {}", names(&self.symbols))));
        }
        let mut numbers = bindings.params.clone();
        for (name, default) in &self.symbols {
            if params.contains_key(name.as_str()) {
                return Err(fail(format!("`{name}` is both a parameter and a symbol; rename one")));
            }
            let size = bindings.symbols.get(name).copied().unwrap_or(*default);
            let size = i64::try_from(size).map_err(|_| fail(format!("the size of `{name}` does not fit")))?;
            numbers.insert(name.clone(), Number::Int(size));
        }
        for name in in_order(&self.params, &numbers).map_err(fail)? {
            let names = Names { own: &numbers, globals: &Numbers::new() };
            let value = names.eval(params[name]).map_err(|e| fail(format!("the parameter `{name}`: {e}")))?;
            numbers.insert(name.to_owned(), value);
        }
        Ok(numbers)
    }
}

/// The parameters that are not given, each after those whose names it uses.
fn in_order<'a>(params: &'a [(String, Expr)], given: &Numbers) -> Result<Vec<&'a str>, String> {
    let open: HashMap<&str, Vec<&str>> = params
        .iter()
        .filter(|(name, _)| !given.contains_key(name))
        .map(|(name, expr)| (name.as_str(), expr.names()))
        .collect();
    let mut waits: HashMap<&str, usize> = HashMap::new();
    let mut wanted_by: HashMap<&str, Vec<&str>> = HashMap::new();
    for (&name, uses) in &open {
        let uses: Vec<&str> = uses.iter().filter(|u| open.contains_key(*u)).copied().collect();
        waits.insert(name, uses.len());
        uses.iter().for_each(|u| wanted_by.entry(u).or_default().push(name));
    }
    let mut order: Vec<&str> =
        params.iter().map(|(k, _)| k.as_str()).filter(|k| waits.get(k) == Some(&0)).collect();
    let mut next = 0;
    while let Some(&settled) = order.get(next) {
        next += 1;
        for &name in wanted_by.get(settled).into_iter().flatten() {
            if let Some(count) = waits.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    order.push(name);
                }
            }
        }
    }
    match params.iter().find(|(k, _)| waits.get(k.as_str()).is_some_and(|&count| count > 0)) {
        Some((name, _)) => Err(format!("the parameter `{name}` depends on itself")),
        None => Ok(order),
    }
}

/// The parameters of a module: given by the line that uses it, or its defaults.
pub(super) fn module_numbers(
    name: &str,
    module: &Module,
    with: &[(String, Expr)],
    outer: Names<'_>,
    at: &Location,
) -> Result<Numbers, GraphError> {
    let fail = |message: String| GraphError::new(at.clone(), GraphErrorKind::Format(message));
    if let Some((unknown, _)) = with.iter().find(|(k, _)| !module.params.contains(k)) {
        let known = module.params.join(", ");
        return Err(fail(format!("module `{name}` has no parameter `{unknown}`; it has: {known}")));
    }
    let mut own = Numbers::new();
    for param in &module.params {
        let given = with.iter().find(|(k, _)| k == param);
        let value = match (given, module.defaults.iter().find(|(k, _)| k == param)) {
            (Some((_, expr)), _) => outer.eval(expr),
            (None, Some((_, expr))) => Names { own: &own, globals: outer.globals }.eval(expr),
            (None, None) => return Err(fail(format!("module `{name}` needs `{param}`; give it in `with`"))),
        };
        own.insert(param.clone(), value.map_err(|e| GraphError::new(at.clone(), e))?);
    }
    Ok(own)
}

fn names<T>(entries: &[(String, T)]) -> String {
    if entries.is_empty() {
        return "none".into();
    }
    entries.iter().map(|(k, _)| k.as_str()).collect::<Vec<_>>().join(", ")
}
