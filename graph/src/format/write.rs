//! From [`GraphFile`] to the canonical text: fixed order of keys, one node a line.

use std::fmt::Write as _;

use super::{AttrExpr, Body, GraphFile, StateDecl, Statement, VERSION, What};
use crate::{DType, Expr};

pub(super) fn write(file: &GraphFile) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_file(&mut out, file);
    out
}

fn write_file(out: &mut String, file: &GraphFile) -> std::fmt::Result {
    writeln!(out, "format = {VERSION}\nname = {}", quote(&file.name))?;
    if !file.doc.is_empty() {
        writeln!(out, "doc = {}", quote(&file.doc))?;
    }
    // Keys of the top table must come before the first [table], so everything there is inline.
    writeln!(out, "params = {}", inline(file.params.iter().map(|(k, e)| (k, expr(e)))))?;
    writeln!(out, "symbols = {}", inline(file.symbols.iter().map(|(k, n)| (k, n.to_string()))))?;
    writeln!(
        out,
        "inputs = {}",
        inline(file.inputs.iter().map(|i| (&i.name, typed_shape(i.dtype, &i.shape))))
    )?;
    write_body(out, &file.body)?;
    writeln!(out, "outputs = {}", inline(file.outputs.iter().map(|(k, v)| (k, quote(v)))))?;
    for (name, module) in &file.modules {
        writeln!(out, "\n[modules.{}]", quote(name))?;
        if !module.doc.is_empty() {
            writeln!(out, "doc = {}", quote(&module.doc))?;
        }
        writeln!(out, "params = {}", quoted_list(&module.params))?;
        if !module.defaults.is_empty() {
            writeln!(out, "defaults = {}", inline(module.defaults.iter().map(|(k, e)| (k, expr(e)))))?;
        }
        writeln!(out, "inputs = {}", quoted_list(&module.inputs))?;
        writeln!(out, "outputs = {}", quoted_list(&module.outputs))?;
        write_body(out, &module.body)?;
    }
    Ok(())
}

fn write_body(out: &mut String, body: &Body) -> std::fmt::Result {
    let weights = body.weights.iter().map(|(name, w)| (name, typed_shape(w.dtype, &w.shape)));
    writeln!(out, "weights = {}", inline(weights))?;
    if !body.states.is_empty() {
        writeln!(out, "states = {}", inline(body.states.iter().map(|(name, s)| (name, state(s)))))?;
    }
    writeln!(out, "nodes = [")?;
    for statement in &body.nodes {
        writeln!(out, "  {},", statement_text(statement))?;
    }
    writeln!(out, "]")
}

fn statement_text(statement: &Statement) -> String {
    let mut entries: Vec<(&str, String)> = Vec::new();
    match &statement.what {
        What::Op { op, .. } => entries.push(("op", quote(op.name))),
        What::Use { module, .. } => entries.push(("use", quote(module))),
    }
    entries.push(("in", quoted_list(&statement.inputs)));
    entries.push(("out", quoted_list(&statement.outputs)));
    match &statement.what {
        What::Op { name, attrs, .. } => {
            entries.extend(name.iter().map(|n| ("name", quote(n))));
            entries.extend(attrs.iter().map(|(k, v)| (k.as_str(), attr(v))));
        }
        What::Use { prefix, with, repeat, index, .. } => {
            entries.extend((!prefix.is_empty()).then(|| ("prefix", quote(prefix))));
            entries
                .extend((!with.is_empty()).then(|| ("with", inline(with.iter().map(|(k, e)| (k, expr(e)))))));
            entries.extend(repeat.iter().map(|e| ("repeat", expr(e))));
            entries.extend((index != "i").then(|| ("index", quote(index))));
        }
    }
    entries.extend(statement.when.iter().map(|e| ("when", expr(e))));
    inline(entries)
}

fn attr(value: &AttrExpr) -> String {
    match value {
        AttrExpr::Number(e) => expr(e),
        AttrExpr::Bool(b) => b.to_string(),
        AttrExpr::Word(w) => quote(w),
        AttrExpr::List(items) => list(items.iter().map(expr)),
    }
}

fn typed_shape(dtype: DType, shape: &[Expr]) -> String {
    let dims = list(shape.iter().map(expr));
    if dtype == DType::F32 { dims } else { format!("{{ shape = {dims}, dtype = {} }}", quote(dtype.name())) }
}

fn state(state: &StateDecl) -> String {
    let dims = list(state.shape.iter().map(expr));
    let dtype = match state.dtype {
        DType::F32 => String::new(),
        dtype => format!(", dtype = {}", quote(dtype.name())),
    };
    format!("{{ shape = {dims}{dtype}, next = {} }}", quote(&state.next))
}

/// A literal stands as itself; anything else in quotes.
fn expr(e: &Expr) -> String {
    match e.literal() {
        Some(number) => match number.to_string().as_str() {
            "inf" => "inf".into(),
            "NaN" => "nan".into(),
            text => text.into(),
        },
        None => quote(e.text()),
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

fn quoted_list(items: &[String]) -> String {
    list(items.iter().map(|s| quote(s)))
}

fn inline<K: AsRef<str>>(entries: impl IntoIterator<Item = (K, String)>) -> String {
    let entries: Vec<String> =
        entries.into_iter().map(|(k, v)| format!("{} = {v}", key(k.as_ref()))).collect();
    if entries.is_empty() { "{}".into() } else { format!("{{ {} }}", entries.join(", ")) }
}

fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if bare { name.into() } else { quote(name) }
}

/// A TOML basic string on one line, which serves as a key too.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
