//! docs/ops.md, written from the op table.

use std::fmt::Write;

use super::OPS;
use crate::{AttrDefault, AttrSpec, InputSpec, OpDef};

const HEAD: &str = "\
# Ops

Every op that a graph file may use. This page is written from the op table in `graph/src/ops`; after a change there,
`KINOGRAPH_BLESS=1 cargo test -p kinograph-graph --test ops` writes it anew.

Names, inputs and attributes are those of ONNX where the meaning is the same; ops of our own start with `video.`.
Operands have one element type unless a row says otherwise, and `Cast` converts. Floats follow IEEE 754: NaN and
infinities propagate unless a row says otherwise. *Exact* ops give on every device the reference's result, rounded to
the type; the others may differ by a bound that the table derives from the op and its data, for devices that keep
sums and statistics in f32 at least.
";

/// The op table as a page of Markdown.
pub fn markdown() -> String {
    let mut page = String::from(HEAD);
    let links: Vec<String> = OPS.iter().map(|op| format!("[{}](#{})", op.name, anchor(op.name))).collect();
    let _ = write!(page, "\n{}\n", links.join(" · "));
    for op in OPS {
        section(&mut page, op);
    }
    page
}

/// The anchor that Markdown renderers give a heading.
fn anchor(name: &str) -> String {
    name.to_ascii_lowercase().replace('.', "")
}

fn section(page: &mut String, op: &OpDef) {
    // Writing to a String never fails.
    let _ = write!(page, "\n## {}\n\n{}\n\n", op.name, op.doc);
    let inputs: Vec<String> = op.inputs.iter().map(input).collect();
    let inputs = if inputs.is_empty() { "none".into() } else { inputs.join(", ") };
    let variadic = if op.variadic_outputs { " (one or more)" } else { "" };
    let _ = writeln!(page, "- inputs: {inputs}");
    let _ = writeln!(page, "- outputs: `{}`{variadic}", op.outputs.join("`, `"));
    let exact = if matches!(op.bound, crate::Bound::Exact) { "exact" } else { "within a derived bound" };
    let _ = writeln!(page, "- result: {exact}");
    if !op.attrs.is_empty() {
        page.push_str("\n| attribute | takes | default | |\n|---|---|---|---|\n");
        op.attrs.iter().for_each(|attr| attribute(page, attr));
    }
}

fn input(spec: &InputSpec) -> String {
    let kind = match (spec.variadic, spec.required) {
        (true, _) => ", one or more",
        (_, false) => ", optional",
        _ => "",
    };
    format!("`{}` ({}{kind})", spec.name, spec.types.name())
}

fn attribute(page: &mut String, attr: &AttrSpec) {
    let default = match attr.default {
        AttrDefault::Required => "required".into(),
        AttrDefault::Absent => "absent".into(),
        AttrDefault::Int(v) => format!("`{v}`"),
        AttrDefault::Float(v) => format!("`{v:?}`"),
        AttrDefault::Bool(v) => format!("`{v}`"),
        AttrDefault::Str(v) => format!("`\"{v}\"`"),
        AttrDefault::Ints(v) => format!("`{v:?}`"),
    };
    let _ = writeln!(page, "| `{}` | {} | {default} | {} |", attr.name, attr.kind, attr.doc);
}
