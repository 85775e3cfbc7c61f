//! Binding: parameters and symbols become numbers, modules and `repeat` unfold, shapes are inferred.

mod numbers;
mod states;

use std::collections::{BTreeMap, HashMap};

use numbers::{Names, Numbers, module_numbers};
use states::States;

use crate::expr::ExprError;
use crate::format::{AttrExpr, Body, GraphFile, InputDecl, Module, Statement, WeightDecl, What};
use crate::{
    Attr, Attrs, Expr, Graph, GraphBuilder, GraphError, GraphErrorKind, Limits, Location, Number, OpDef,
    OpError, TensorDesc, ValueId,
};

/// What a graph file leaves open: parameters to override, sizes of the symbols, and limits.
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    params: BTreeMap<String, Number>,
    symbols: BTreeMap<String, usize>,
    limits: Limits,
}

impl Bindings {
    /// Nothing overridden: the file's parameters, and its symbols' sizes for inspection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a symbol's size.
    #[must_use]
    pub fn symbol(mut self, name: impl Into<String>, size: usize) -> Self {
        self.symbols.insert(name.into(), size);
        self
    }

    /// Overrides a parameter with an integer.
    #[must_use]
    pub fn param(self, name: impl Into<String>, value: i64) -> Self {
        self.number(name, Number::Int(value))
    }

    /// Overrides a parameter.
    #[must_use]
    pub fn number(mut self, name: impl Into<String>, value: Number) -> Self {
        self.params.insert(name.into(), value);
        self
    }

    /// Replaces the limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

impl GraphFile {
    /// Makes the static graph: every shape is known after it, or there is an error.
    ///
    /// # Errors
    /// A [`GraphError`] with file, line, node and what to do. Limits are checked before anything of
    /// that size is allocated.
    pub fn bind(&self, bindings: &Bindings) -> Result<Graph, GraphError> {
        let globals = self.numbers(bindings)?;
        let mut binder = Binder {
            file: self,
            globals: &globals,
            limits: bindings.limits.clone(),
            builder: GraphBuilder::with_limits(&*self.name, bindings.limits.clone()),
            steps: 0,
            states: States::default(),
        };
        let own = Numbers::new();
        let mut scope = Scope {
            numbers: Names { own: &own, globals: &globals },
            values: HashMap::new(),
            prefix: "",
            body: &self.body,
            file: &self.file,
            depth: 0,
        };
        for input in &self.inputs {
            let id = binder.input(&scope, input)?;
            scope.values.insert(input.name.clone(), id);
        }
        binder.body(&mut scope)?;
        let at = |line| Location { file: self.file.to_string(), line, node: None };
        let outputs = self
            .outputs
            .iter()
            .map(|(name, value)| Ok((name.clone(), binder.value(&scope, value, &at(0), usize::MAX)?)))
            .collect::<Result<Vec<_>, GraphError>>()?;
        let states = binder.states.finish();
        binder.builder.finish_with_states(outputs, states).map_err(|e| GraphError::new(at(0), e))
    }
}

/// What the lines of one body see.
struct Scope<'a> {
    numbers: Names<'a>,
    values: HashMap<String, ValueId>,
    prefix: &'a str,
    body: &'a Body,
    file: &'a str,
    depth: usize,
}

impl Scope<'_> {
    fn at(&self, line: usize) -> Location {
        Location { file: self.file.to_owned(), line, node: None }
    }
}

struct Binder<'a> {
    file: &'a GraphFile,
    globals: &'a Numbers,
    limits: Limits,
    builder: GraphBuilder,
    /// Statements unfolded so far, empty modules included: bounds the work, not only the result.
    steps: usize,
    states: States,
}

impl<'a> Binder<'a> {
    fn input(&mut self, scope: &Scope<'_>, input: &InputDecl) -> Result<ValueId, GraphError> {
        let at = scope.at(input.line.0);
        let desc = TensorDesc::new(input.dtype, self.shape(&input.shape, scope.numbers, &at)?);
        self.builder.input(&input.name, desc).map_err(|e| GraphError::new(at, e))
    }

    fn shape(&self, dims: &[Expr], numbers: Names<'_>, at: &Location) -> Result<Vec<usize>, GraphError> {
        let dim = |e: &Expr| match numbers.eval(e)? {
            Number::Int(n) if n >= 0 => Ok(n as usize),
            other => Err(ExprError::Arithmetic {
                text: e.text().to_owned(),
                reason: format!("gives {other}, but a dimension is an integer of 0 or more"),
            }),
        };
        dims.iter().map(dim).collect::<Result<_, _>>().map_err(|e| GraphError::new(at.clone(), e))
    }

    fn body(&mut self, scope: &mut Scope<'_>) -> Result<(), GraphError> {
        let body = scope.body;
        for (position, statement) in body.nodes.iter().enumerate() {
            self.statement(scope, position, statement)?;
        }
        body.states.iter().try_for_each(|(name, state)| self.leave_state(scope, name, state))
    }

    fn statement(&mut self, scope: &mut Scope<'_>, position: usize, s: &Statement) -> Result<(), GraphError> {
        let at = scope.at(s.line.0);
        if let Some(when) = &s.when
            && scope.numbers.eval(when).map_err(|e| GraphError::new(at.clone(), e))?.as_f64() == 0.0
        {
            return self.step(&at);
        }
        match &s.what {
            What::Op { op, name, attrs } => self.op(scope, position, s, op, name.as_deref(), attrs),
            What::Use { repeat: None, .. } => self.use_module(scope, position, s, scope.numbers),
            What::Use { repeat: Some(count), index, .. } => {
                let count = self.repeat_count(count, scope, &at)?;
                let mut own = scope.numbers.own.clone();
                for i in 0..count {
                    own.insert(index.clone(), Number::Int(i));
                    self.use_module(scope, position, s, Names { own: &own, globals: self.globals })?;
                }
                Ok(())
            }
        }
    }

    /// The count of a `repeat`, refused at once when it alone is over the limit.
    fn repeat_count(&self, count: &Expr, scope: &Scope<'_>, at: &Location) -> Result<i64, GraphError> {
        match scope.numbers.eval(count).map_err(|e| GraphError::new(at.clone(), e))? {
            Number::Int(n) if n >= 0 && n as u64 <= self.limits.nodes as u64 => Ok(n),
            Number::Int(n) if n >= 0 => Err(self.over(at, format!("repeat = {n}"), self.limits.nodes)),
            other => {
                let message = format!("repeat must be an integer of 0 or more, but is {other}");
                Err(GraphError::new(at.clone(), GraphErrorKind::Format(message)))
            }
        }
    }

    fn over(&self, at: &Location, what: String, limit: usize) -> GraphError {
        GraphError::new(at.clone(), GraphErrorKind::Limit { what, limit })
    }

    fn step(&mut self, at: &Location) -> Result<(), GraphError> {
        self.steps += 1;
        if self.steps > self.limits.nodes {
            return Err(self.over(at, "the number of nodes after expansion".into(), self.limits.nodes));
        }
        Ok(())
    }

    fn op(
        &mut self,
        scope: &mut Scope<'_>,
        position: usize,
        s: &Statement,
        op: &'static OpDef,
        name: Option<&str>,
        attrs: &[(String, AttrExpr)],
    ) -> Result<(), GraphError> {
        let at = scope.at(s.line.0);
        self.step(&at)?;
        let outputs = self.names(&s.outputs, scope.numbers, &at)?;
        let own = match name {
            Some(name) => self.interpolate(name, scope.numbers, &at)?,
            None => outputs.first().cloned().unwrap_or_else(|| op.name.to_lowercase()),
        };
        let name = format!("{}{own}", scope.prefix);
        self.check_name(&name, &at)?;
        let name = self.builder.free_name(name);
        let at = Location { node: Some((name.clone(), op.name.to_owned())), ..at };
        let inputs = s
            .inputs
            .iter()
            .map(|n| if n.is_empty() { Ok(None) } else { self.value(scope, n, &at, position).map(Some) })
            .collect::<Result<Vec<_>, _>>()?;
        let fail = |e: OpError| GraphError::new(at.clone(), e);
        let attrs = self.attrs(op, attrs, scope.numbers, &at)?;
        let full: Vec<String> = outputs.iter().map(|o| format!("{}{o}", scope.prefix)).collect();
        let ids = self.builder.checked_node(op, &inputs, attrs, &name, &full, s.line.0).map_err(fail)?;
        if ids.len() != outputs.len() {
            return Err(fail(OpError::invalid(format!(
                "it has {} outputs, but `out` names {}",
                ids.len(),
                outputs.len()
            ))));
        }
        scope.values.extend(outputs.into_iter().zip(ids));
        Ok(())
    }

    fn attrs(
        &self,
        op: &'static OpDef,
        attrs: &[(String, AttrExpr)],
        numbers: Names<'_>,
        at: &Location,
    ) -> Result<Attrs, GraphError> {
        let value = |attr: &AttrExpr| -> Result<Attr, ExprError> {
            Ok(match attr {
                AttrExpr::Bool(b) => Attr::Bool(*b),
                AttrExpr::Word(w) => Attr::Str(w.clone()),
                AttrExpr::Number(e) => match numbers.eval(e)? {
                    Number::Int(v) => Attr::Int(v),
                    Number::Float(v) => Attr::Float(v),
                },
                AttrExpr::List(items) => {
                    let items = items.iter().map(|e| numbers.eval(e)).collect::<Result<Vec<_>, _>>()?;
                    attr_list(&items)
                }
            })
        };
        let given = attrs
            .iter()
            .map(|(k, v)| Ok((k.clone(), value(v)?)))
            .collect::<Result<Vec<_>, ExprError>>()
            .map_err(|e| GraphError::new(at.clone(), e))?;
        Attrs::check(op.attrs, given).map_err(|e| GraphError::new(at.clone(), e))
    }

    fn use_module(
        &mut self,
        scope: &mut Scope<'_>,
        position: usize,
        s: &Statement,
        numbers: Names<'_>,
    ) -> Result<(), GraphError> {
        let What::Use { module: name, prefix, with, .. } = &s.what else { return Ok(()) };
        let at = scope.at(s.line.0);
        self.step(&at)?;
        if scope.depth >= self.limits.depth {
            return Err(self.over(&at, format!("the depth of modules at `{name}`"), self.limits.depth));
        }
        let file = self.file;
        let module = file
            .modules
            .get(name)
            .ok_or_else(|| GraphError::new(at.clone(), GraphErrorKind::UnknownModule(name.clone())))?;
        let inputs = self.module_inputs(scope, position, s, module, numbers, &at)?;
        let own = module_numbers(name, module, with, numbers, &at)?;
        let inner = Names { own: &own, globals: self.globals };
        let prefix = format!("{}{}", scope.prefix, self.interpolate(prefix, numbers, &at)?);
        self.check_name(&prefix, &at)?;
        let values = self.module_body(module, inputs, inner, &prefix, scope.depth + 1, &at)?;
        let outputs = self.names(&s.outputs, numbers, &at)?;
        if outputs.len() != values.len() {
            let message =
                format!("module `{name}` gives {} values, but `out` names {}", values.len(), outputs.len());
            return Err(GraphError::new(at, GraphErrorKind::Format(message)));
        }
        scope.values.extend(outputs.into_iter().zip(values));
        Ok(())
    }

    fn module_inputs(
        &mut self,
        scope: &Scope<'_>,
        position: usize,
        s: &Statement,
        module: &Module,
        numbers: Names<'_>,
        at: &Location,
    ) -> Result<HashMap<String, ValueId>, GraphError> {
        if s.inputs.len() != module.inputs.len() {
            let message = format!(
                "the module takes {} inputs ({}), but `in` gives {}",
                module.inputs.len(),
                module.inputs.join(", "),
                s.inputs.len()
            );
            return Err(GraphError::new(at.clone(), GraphErrorKind::Format(message)));
        }
        let mut values = HashMap::new();
        for (inner, outer) in module.inputs.iter().zip(&s.inputs) {
            if !outer.is_empty() {
                let outer = self.interpolate(outer, numbers, at)?;
                values.insert(inner.clone(), self.value(scope, &outer, at, position)?);
            }
        }
        Ok(values)
    }

    fn module_body(
        &mut self,
        module: &Module,
        values: HashMap<String, ValueId>,
        numbers: Names<'_>,
        prefix: &str,
        depth: usize,
        at: &Location,
    ) -> Result<Vec<ValueId>, GraphError> {
        let mut scope = Scope { numbers, values, prefix, body: &module.body, file: &module.file, depth };
        self.body(&mut scope)?;
        let at = Location { line: module.line.0, file: module.file.to_string(), ..at.clone() };
        module.outputs.iter().map(|o| self.value(&scope, o, &at, usize::MAX)).collect()
    }

    /// A value by name: a local one, or else a weight of this body, declared on first use.
    fn value(
        &mut self,
        scope: &Scope<'_>,
        name: &str,
        at: &Location,
        position: usize,
    ) -> Result<ValueId, GraphError> {
        let name = &*self.interpolate(name, scope.numbers, at)?;
        if let Some(&id) = scope.values.get(name) {
            return Ok(id);
        }
        if let Some(weight) = scope.body.weights.get(name) {
            return self.weight(scope, name, weight);
        }
        if let Some(state) = scope.body.states.get(name) {
            return self.read_state(scope, name, state);
        }
        let hint = unknown_value_hint(scope, name, position);
        Err(GraphError::new(at.clone(), GraphErrorKind::UnknownValue { name: name.to_owned(), hint }))
    }

    fn weight(&mut self, scope: &Scope<'_>, name: &str, weight: &WeightDecl) -> Result<ValueId, GraphError> {
        let at = scope.at(weight.line.0);
        let desc = TensorDesc::new(weight.dtype, self.shape(&weight.shape, scope.numbers, &at)?);
        let name = format!("{}{name}", scope.prefix);
        self.check_name(&name, &at)?;
        self.builder.weight(&name, desc).map_err(|e| GraphError::new(at, e))
    }

    fn names(&self, names: &[String], numbers: Names<'_>, at: &Location) -> Result<Vec<String>, GraphError> {
        names.iter().map(|n| self.interpolate(n, numbers, at)).collect()
    }

    fn check_name(&self, name: &str, at: &Location) -> Result<(), GraphError> {
        if name.len() > self.limits.name_bytes {
            return Err(self.over(
                at,
                "the length of an expanded name in bytes".into(),
                self.limits.name_bytes,
            ));
        }
        Ok(())
    }

    /// Replaces each `{expr}` by its value.
    fn interpolate(&self, text: &str, numbers: Names<'_>, at: &Location) -> Result<String, GraphError> {
        if !text.contains('{') {
            return Ok(text.to_owned());
        }
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (inner, after) = after.split_once('}').ok_or_else(|| {
                GraphError::new(
                    at.clone(),
                    GraphErrorKind::Format(format!("`{text}`: a `{{` without its `}}`")),
                )
            })?;
            let value = Expr::parse(inner)
                .and_then(|e| numbers.eval(&e))
                .map_err(|e| GraphError::new(at.clone(), e))?;
            out.push_str(before);
            out.push_str(&value.to_string());
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }
}

fn attr_list(items: &[Number]) -> Attr {
    let ints: Option<Vec<i64>> = items
        .iter()
        .map(|n| match n {
            Number::Int(v) => Some(*v),
            Number::Float(_) => None,
        })
        .collect();
    ints.map_or_else(
        || {
            Attr::Floats(
                items
                    .iter()
                    .map(|n| match n {
                        Number::Int(v) => *v as f64,
                        Number::Float(v) => *v,
                    })
                    .collect(),
            )
        },
        Attr::Ints,
    )
}

fn unknown_value_hint(scope: &Scope<'_>, name: &str, position: usize) -> String {
    let later = scope.body.nodes.iter().skip(position).find(|s| s.outputs.iter().any(|o| o == name));
    if let Some(later) = later {
        let line = later.line.0;
        return format!("line {line} defines it, which is not above: move the line, or break the cycle");
    }
    let mut known: Vec<&str> = scope
        .values
        .keys()
        .map(String::as_str)
        .chain(scope.body.weights.keys().map(String::as_str))
        .chain(scope.body.states.keys().map(String::as_str))
        .collect();
    known.sort_unstable();
    let shown = known.iter().take(12).copied().collect::<Vec<_>>().join(", ");
    let more = known.len().saturating_sub(12);
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("known here: {shown}{tail}")
}
