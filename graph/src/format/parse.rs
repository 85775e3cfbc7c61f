//! From TOML to [`GraphFile`].

use std::collections::{BTreeMap, HashSet};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::reader::{Reader, Table};
use super::{
    AttrExpr, Body, GraphFile, InputDecl, Line, Module, StateDecl, Statement, VERSION, WeightDecl, What,
};
use crate::{AttrKind, AttrSpec, DType, Expr, GraphError, GraphErrorKind, Limits, Number, OpDef, ops};

type Include<'a> = &'a dyn Fn(&str) -> Result<String, String>;

pub(super) fn parse(
    file: &str,
    text: &str,
    limits: &Limits,
    include: Include<'_>,
) -> Result<GraphFile, GraphError> {
    let reader = Reader::new(file, text, limits);
    let document = document(&reader, text)?;
    let mut top = reader.entries(document.get_ref(), "the file".into(), 1);
    check_version(&reader, &mut top)?;
    let name_value = top.require("name")?;
    let name = reader.string(name_value, "`name`")?;
    let mut modules = BTreeMap::new();
    let included = top.strings("include")?;
    if included.len() > limits.includes {
        return Err(reader.limit(1, "the number of included files".into(), limits.includes));
    }
    for included in included {
        include_modules(&reader, &included, include, &mut modules)?;
    }
    own_modules(&reader, &mut top, &mut modules)?;
    let graph = GraphFile {
        file: reader.file.clone(),
        name,
        doc: top.text("doc")?,
        params: top.expr_table("params")?,
        symbols: symbols(&reader, &mut top)?,
        inputs: inputs(&reader, &mut top)?,
        body: body(&reader, &mut top)?,
        outputs: outputs(&reader, &mut top)?,
        modules,
    };
    top.finish(
        "format, name, doc, include, params, symbols, inputs, weights, states, nodes, outputs, modules",
    )?;
    check_states(&reader, &graph.body, |name| graph.inputs.iter().any(|input| input.name == name))?;
    Ok(graph)
}

fn document<'t>(reader: &Reader, text: &'t str) -> Result<Spanned<DeTable<'t>>, GraphError> {
    if text.len() > reader.limits.file_bytes {
        return Err(reader.limit(0, "the size of the file in bytes".into(), reader.limits.file_bytes));
    }
    DeTable::parse(text).map_err(|e| reader.toml_error(&e))
}

fn check_version(reader: &Reader, top: &mut Table<'_, '_>) -> Result<(), GraphError> {
    let value = top.require("format")?;
    match reader.expr(value, "`format`")?.literal() {
        Some(Number::Int(VERSION)) => Ok(()),
        _ => Err(reader.format_error(
            reader.line_of(value),
            format!("this is not format {VERSION}, the only one that this version reads"),
        )),
    }
}

fn include_modules(
    parent: &Reader,
    name: &str,
    include: Include<'_>,
    modules: &mut BTreeMap<String, Module>,
) -> Result<(), GraphError> {
    let text = include(name).map_err(|e| parent.format_error(0, format!("include: {e}")))?;
    let reader = Reader::new(name, &text, &parent.limits);
    let document = document(&reader, &text)?;
    let mut top = reader.entries(document.get_ref(), "the included file".into(), 1);
    check_version(&reader, &mut top)?;
    top.text("doc")?;
    own_modules(&reader, &mut top, modules)?;
    top.finish("format, doc and modules: an included file holds only modules")
}

fn own_modules(
    reader: &Reader,
    top: &mut Table<'_, '_>,
    modules: &mut BTreeMap<String, Module>,
) -> Result<(), GraphError> {
    let Some(value) = top.take("modules") else { return Ok(()) };
    for (name, value) in reader.table(value, "`modules`")?.rest() {
        let module = module(reader, name, value)?;
        if modules.insert(name.to_owned(), module).is_some() {
            return Err(
                reader.format_error(reader.line_of(value), format!("the module `{name}` is defined twice"))
            );
        }
    }
    Ok(())
}

fn module(reader: &Reader, name: &str, value: &Spanned<DeValue<'_>>) -> Result<Module, GraphError> {
    let mut table = reader.table(value, format!("module `{name}`"))?;
    let line = Line(table.line);
    let module = Module {
        file: reader.file.clone(),
        doc: table.text("doc")?,
        params: table.strings("params")?,
        defaults: table.expr_table("defaults")?,
        inputs: table.strings("inputs")?,
        outputs: table.strings("outputs")?,
        body: body(reader, &mut table)?,
        line,
    };
    table.finish("doc, params, defaults, inputs, outputs, weights, states, nodes")?;
    check_states(reader, &module.body, |name| module.inputs.iter().any(|input| input == name))?;
    if let Some((unknown, _)) = module.defaults.iter().find(|(p, _)| !module.params.contains(p)) {
        return Err(reader.format_error(
            line.0,
            format!("module `{name}` has a default for `{unknown}`, which is not among its params"),
        ));
    }
    Ok(module)
}

fn symbols(reader: &Reader, top: &mut Table<'_, '_>) -> Result<Vec<(String, usize)>, GraphError> {
    let Some(value) = top.take("symbols") else { return Ok(Vec::new()) };
    let size = |name: &str, v: &Spanned<DeValue<'_>>| match reader.expr(v, name)?.literal() {
        Some(Number::Int(n)) if n >= 0 => Ok(n as usize),
        _ => Err(reader.format_error(
            reader.line_of(v),
            format!("the symbol `{name}` needs a size of 0 or more, which inspection assumes"),
        )),
    };
    reader.table(value, "`symbols`")?.rest().map(|(name, v)| Ok((name.to_owned(), size(name, v)?))).collect()
}

fn inputs(reader: &Reader, top: &mut Table<'_, '_>) -> Result<Vec<InputDecl>, GraphError> {
    let Some(value) = top.take("inputs") else { return Ok(Vec::new()) };
    let declare = |(name, value): (&str, &Spanned<DeValue<'_>>)| {
        let (dtype, shape) = typed_shape(reader, name, value)?;
        Ok(InputDecl { name: name.to_owned(), dtype, shape, line: Line(reader.line_of(value)) })
    };
    reader.table(value, "`inputs`")?.rest().map(declare).collect()
}

/// `["B", "dim"]` for f32, or `{ shape = ["B", "dim"], dtype = "i64" }`.
fn typed_shape(
    reader: &Reader,
    name: &str,
    value: &Spanned<DeValue<'_>>,
) -> Result<(DType, Vec<Expr>), GraphError> {
    if matches!(value.get_ref(), DeValue::Array(_)) {
        return Ok((DType::F32, shape(reader, name, value)?));
    }
    let mut table = reader.table(value, format!("`{name}`"))?;
    let typed = typed_entries(reader, name, &mut table)?;
    table.finish("shape and dtype")?;
    Ok(typed)
}

/// `{ shape = ["B", "dim"], next = "tail" }`, perhaps with a `dtype`.
fn state(reader: &Reader, name: &str, value: &Spanned<DeValue<'_>>) -> Result<StateDecl, GraphError> {
    let mut table = reader.table(value, format!("the state `{name}`"))?;
    let (dtype, shape) = typed_entries(reader, name, &mut table)?;
    let next = table.require("next")?;
    let next = reader.string(next, "`next`")?;
    table.finish("shape, dtype and next")?;
    Ok(StateDecl { dtype, shape, next, line: Line(reader.line_of(value)) })
}

/// Refuses a state that no line can change: a slip in `next` would leave it zeros for ever.
fn check_states(reader: &Reader, body: &Body, is_input: impl Fn(&str) -> bool) -> Result<(), GraphError> {
    if body.states.is_empty() {
        return Ok(());
    }
    let made: HashSet<&str> = body.nodes.iter().flat_map(|s| &s.outputs).map(String::as_str).collect();
    // What `{expr}` in a name becomes is known only when the graph is bound.
    let is_open = made.iter().any(|name| name.contains('{'));
    let is_lost = |next: &str| !is_open && !made.contains(next) && !is_input(next);
    match body.states.iter().find(|(_, state)| is_lost(&state.next)) {
        Some((name, StateDecl { next, line, .. })) => Err(reader.format_error(
            line.0,
            format!("the state `{name}` becomes `{next}`, which is no input and no line of `nodes` makes"),
        )),
        None => Ok(()),
    }
}

fn typed_entries(
    reader: &Reader,
    name: &str,
    table: &mut Table<'_, '_>,
) -> Result<(DType, Vec<Expr>), GraphError> {
    let dims = table.require("shape")?;
    let dims = shape(reader, name, dims)?;
    let dtype = match table.string("dtype")? {
        None => DType::F32,
        Some(word) => DType::from_name(&word).ok_or_else(|| {
            let names: Vec<&str> = DType::ALL.iter().map(|t| t.name()).collect();
            reader.format_error(
                table.line,
                format!("there is no type `{word}`; there are {}", names.join(", ")),
            )
        })?,
    };
    Ok((dtype, dims))
}

fn shape(reader: &Reader, name: &str, value: &Spanned<DeValue<'_>>) -> Result<Vec<Expr>, GraphError> {
    let dims = reader.exprs(value, &format!("a dimension of `{name}`"))?;
    if dims.len() > reader.limits.rank {
        let what = format!("the rank of `{name}`, {},", dims.len());
        return Err(reader.limit(reader.line_of(value), what, reader.limits.rank));
    }
    Ok(dims)
}

fn body(reader: &Reader, table: &mut Table<'_, '_>) -> Result<Body, GraphError> {
    let weights = match table.take("weights") {
        None => BTreeMap::new(),
        Some(value) => {
            let declare = |(name, value): (&str, &Spanned<DeValue<'_>>)| {
                let (dtype, shape) = typed_shape(reader, name, value)?;
                Ok((name.to_owned(), WeightDecl { dtype, shape, line: Line(reader.line_of(value)) }))
            };
            let table = reader.long_table(value, "`weights`", reader.limits.weights)?;
            table.rest().map(declare).collect::<Result<_, GraphError>>()?
        }
    };
    let states = match table.take("states") {
        None => BTreeMap::new(),
        Some(value) => {
            let table = reader.table(value, "`states`")?;
            let declare = |(name, value): (&str, &Spanned<DeValue<'_>>)| {
                Ok((name.to_owned(), state(reader, name, value)?))
            };
            table.rest().map(declare).collect::<Result<_, GraphError>>()?
        }
    };
    let nodes = match table.take("nodes") {
        None => Vec::new(),
        Some(value) => match value.get_ref() {
            DeValue::Array(items) if items.len() <= reader.limits.nodes => {
                items.iter().map(|v| statement(reader, v)).collect::<Result<_, _>>()?
            }
            DeValue::Array(_) => {
                return Err(reader.limit(
                    reader.line_of(value),
                    "the number of nodes".into(),
                    reader.limits.nodes,
                ));
            }
            _ => return Err(reader.format_error(reader.line_of(value), "`nodes` must be a list of tables")),
        },
    };
    Ok(Body { weights, states, nodes })
}

fn statement(reader: &Reader, value: &Spanned<DeValue<'_>>) -> Result<Statement, GraphError> {
    let mut table = reader.table(value, "a node")?;
    let line = Line(table.line);
    let inputs = table.strings("in")?;
    let outputs = table.strings("out")?;
    let when = table.expr("when")?;
    let what = match (table.string("op")?, table.string("use")?) {
        (Some(op), None) => op_statement(reader, table, &op)?,
        (None, Some(module)) => use_statement(table, module)?,
        _ => return Err(reader.format_error(line.0, "a node needs either `op` or `use`")),
    };
    Ok(Statement { what, inputs, outputs, when, line })
}

fn op_statement(reader: &Reader, mut table: Table<'_, '_>, name: &str) -> Result<What, GraphError> {
    let line = table.line;
    let op = ops::find(name).ok_or_else(|| {
        let hint = ops::suggest(name).map_or(String::new(), |s| format!(", did you mean `{s}`?"));
        reader.error(line, GraphErrorKind::UnknownOp { name: name.chars().take(64).collect(), hint })
    })?;
    let node_name = table.string("name")?;
    let attrs =
        table.rest().map(|(key, value)| attribute(reader, op, key, value)).collect::<Result<_, _>>()?;
    Ok(What::Op { op, name: node_name, attrs })
}

fn attribute(
    reader: &Reader,
    op: &'static OpDef,
    key: &str,
    value: &Spanned<DeValue<'_>>,
) -> Result<(String, AttrExpr), GraphError> {
    let line = reader.line_of(value);
    let Some(AttrSpec { kind, .. }) = op.attrs.iter().find(|a| a.name == key) else {
        let known: Vec<&str> = op.attrs.iter().map(|a| a.name).collect();
        let known = if known.is_empty() { "none".into() } else { known.join(", ") };
        return Err(reader.format_error(
            line,
            format!("{} has no attribute `{key}`; besides in, out, name and when it takes: {known}", op.name),
        ));
    };
    let what = format!("{}.{key}", op.name);
    let attr = match (kind, value.get_ref()) {
        (AttrKind::Choice(_), _) => AttrExpr::Word(reader.string(value, &what)?),
        (AttrKind::Bool, DeValue::Boolean(b)) => AttrExpr::Bool(*b),
        (AttrKind::Bool, _) => return Err(reader.format_error(line, format!("{what} must be true or false"))),
        (AttrKind::Int | AttrKind::Float, _) => AttrExpr::Number(reader.expr(value, &what)?),
        (AttrKind::Ints | AttrKind::Floats, _) => AttrExpr::List(reader.exprs(value, &what)?),
    };
    Ok((key.to_owned(), attr))
}

fn use_statement(mut table: Table<'_, '_>, module: String) -> Result<What, GraphError> {
    let what = What::Use {
        module,
        prefix: table.string("prefix")?.unwrap_or_default(),
        with: table.expr_table("with")?,
        repeat: table.expr("repeat")?,
        index: table.string("index")?.unwrap_or_else(|| "i".into()),
    };
    table.finish("use, in, out, prefix, with, repeat, index, when")?;
    Ok(what)
}

fn outputs(reader: &Reader, top: &mut Table<'_, '_>) -> Result<Vec<(String, String)>, GraphError> {
    let value = top.require("outputs")?;
    let entry = |(name, v): (&str, &Spanned<DeValue<'_>>)| Ok((name.to_owned(), reader.string(v, name)?));
    reader.table(value, "`outputs`")?.rest().map(entry).collect()
}
