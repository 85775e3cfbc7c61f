//! Graphs in the language of Graphviz: ops are nodes, values are edges.

use std::fmt::Write as _;
use std::io::{self, Write};

use kinograph::graph::{Graph, Source, Value, ValueId};

const INPUT: &str = r##"shape=invhouse, style=filled, fillcolor="#cfe8cf""##;
const OUTPUT: &str = r##"shape=house, style=filled, fillcolor="#cfdcf2""##;
const WEIGHT: &str = r##"shape=note, style=filled, fillcolor="#f3e7c9", fontsize=9"##;

/// Writes one digraph with a cluster for each named graph.
///
/// In a backbone, values such as the text reach into every block, and such long edges cost Graphviz minutes. That is why
/// shapes stand at the heads of edges (labels in the middle have ranks of their own) and `nslimit` ends the search for
/// the neatest columns early: seconds, and a picture hardly different.
pub(super) fn write(
    title: &str,
    graphs: &[(&str, Graph)],
    weights: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    writeln!(out, "digraph {{")?;
    writeln!(out, "  graph [label={}, labelloc=t, nslimit=1, fontname=\"sans-serif\"];", quoted(&[title]))?;
    writeln!(out, "  node [shape=box, fontname=\"sans-serif\", fontsize=11];")?;
    writeln!(out, "  edge [fontname=\"sans-serif\", fontsize=9];")?;
    for (index, (name, graph)) in graphs.iter().enumerate() {
        writeln!(out, "  subgraph cluster_{index} {{")?;
        writeln!(out, "    label={};", quoted(&[name]))?;
        Cluster { index, graph, weights }.write(out)?;
        writeln!(out, "  }}")?;
    }
    writeln!(out, "}}")
}

/// One graph. Its nodes' ids hold its number, because ids are global in the language.
struct Cluster<'a> {
    index: usize,
    graph: &'a Graph,
    weights: bool,
}

impl Cluster<'_> {
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        self.graph.inputs().iter().try_for_each(|&id| self.source(id, INPUT, out))?;
        if self.weights {
            self.graph.weights().iter().try_for_each(|&id| self.source(id, WEIGHT, out))?;
        }
        self.nodes(out)?;
        self.outputs(out)
    }

    /// A value that no node makes.
    fn source(&self, id: ValueId, style: &str, out: &mut impl Write) -> io::Result<()> {
        let value = self.graph.value(id);
        let label = quoted(&[&value.name, &value.desc.to_string()]);
        writeln!(out, "    {} [label={label}, {style}];", self.value_id(id))
    }

    fn nodes(&self, out: &mut impl Write) -> io::Result<()> {
        for (i, node) in self.graph.nodes().iter().enumerate() {
            let id = self.node_id(i);
            writeln!(out, "    {id} [label={}];", quoted(&[node.op.name, &node.name]))?;
            node.inputs.iter().flatten().try_for_each(|&input| self.edge(input, &id, out))?;
        }
        Ok(())
    }

    fn outputs(&self, out: &mut impl Write) -> io::Result<()> {
        for (i, output) in self.graph.outputs().iter().enumerate() {
            let id = format!("c{}_o{i}", self.index);
            let desc = self.graph.value(output.value).desc.to_string();
            writeln!(out, "    {id} [label={}, {OUTPUT}];", quoted(&[&output.name, &desc]))?;
            self.edge(output.value, &id, out)?;
        }
        Ok(())
    }

    /// An edge from where the value is made, unless that is a weight that is not shown.
    fn edge(&self, value: ValueId, to: &str, out: &mut impl Write) -> io::Result<()> {
        let Value { desc, source, .. } = self.graph.value(value);
        let (from, style) = match source {
            Source::Node(node) => (self.node_id(node.index()), ""),
            Source::Input => (self.value_id(value), ""),
            Source::Weight if self.weights => (self.value_id(value), ", style=dashed"),
            Source::Weight => return Ok(()),
        };
        writeln!(out, "    {from} -> {to} [headlabel={}{style}];", quoted(&[&desc.to_string()]))
    }

    fn node_id(&self, index: usize) -> String {
        format!("c{}_n{index}", self.index)
    }

    fn value_id(&self, id: ValueId) -> String {
        format!("c{}_v{}", self.index, id.index())
    }
}

/// A label of these lines. Graphviz reads escapes of its own (`\N` is a node's name) and HTML entities in a string, so
/// that backslashes and ampersands need escaping as the quotes do.
fn quoted(lines: &[&str]) -> String {
    let mut text = String::from('"');
    for (i, line) in lines.iter().enumerate() {
        if i > 0 {
            text.push_str("\\n");
        }
        for c in line.chars() {
            match c {
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                '&' => text.push_str("&amp;"),
                // Writing to a string does not fail.
                c if c.is_control() => drop(write!(text, "\\\\u{{{:x}}}", u32::from(c))),
                c => text.push(c),
            }
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use kinograph::graph::{DType, GraphBuilder, OpError, TensorDesc, ops};

    #[test]
    fn names_are_escaped_and_weights_are_shown_when_asked() -> Result<(), OpError> {
        let mut b = GraphBuilder::new("g");
        let x = b.input("in \"x\" \\N", TensorDesc::new(DType::F32, [2]))?;
        let w = b.weight("w&lt;\0\n", TensorDesc::new(DType::F32, [2]))?;
        let add = ops::find("Add").ok_or_else(|| OpError::invalid("no Add"))?;
        let y = b.node(add, &[Some(x), Some(w)], [], "}; \"")?[0];
        let graph = b.finish([("y", y), ("same", w)])?;
        let write = |weights| {
            let mut out = Vec::new();
            super::write("t", &[("c", graph.clone())], weights, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let text = write(true);
        for line in [
            r#"c0_v0 [label="in \"x\" \\N\nf32[2]", shape=invhouse"#,
            r#"c0_v1 [label="w&amp;lt;\\u{0}\\u{a}\nf32[2]", shape=note"#,
            r#"c0_n0 [label="Add\n}; \""];"#,
            r#"c0_v1 -> c0_n0 [headlabel="f32[2]", style=dashed];"#,
            r#"c0_n0 -> c0_o0 [headlabel="f32[2]"];"#,
            r#"c0_v1 -> c0_o1 [headlabel="f32[2]", style=dashed];"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!write(false).contains("c0_v1"));
        Ok(())
    }
}
