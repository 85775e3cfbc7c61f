//! Filling in a manifest: `${...}` in its texts.

use super::values::Values;

/// Adds the entries of one table to another, into its tables.
pub(super) fn merge(into: &mut toml::Table, from: &toml::Table) {
    for (key, value) in from {
        match (into.get_mut(key), value) {
            (Some(toml::Value::Table(known)), toml::Value::Table(new)) => merge(known, new),
            _ => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

/// A value with everything filled in. A text that is nothing but one `${...}` becomes a number or a list.
pub(super) fn fill(value: &toml::Value, values: &Values) -> Result<toml::Value, String> {
    Ok(match value {
        toml::Value::String(text) => match text.strip_prefix("${").and_then(|t| t.strip_suffix('}')) {
            Some(inner) if !inner.contains("${") => values.value(inner)?.to_toml(),
            _ => toml::Value::String(fill_text(text, values)?),
        },
        toml::Value::Array(items) => {
            toml::Value::Array(items.iter().map(|item| fill(item, values)).collect::<Result<_, _>>()?)
        }
        toml::Value::Table(fields) => {
            let filled = fields.iter().map(|(key, value)| Ok((key.clone(), fill(value, values)?)));
            toml::Value::Table(filled.collect::<Result<_, String>>()?)
        }
        other => other.clone(),
    })
}

fn fill_text(text: &str, values: &Values) -> Result<String, String> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("${") {
        let (inner, after) =
            after.split_once('}').ok_or_else(|| format!("`{text}`: a `${{` without its `}}`"))?;
        out.push_str(before);
        match values.value(inner)?.to_toml() {
            toml::Value::String(word) => out.push_str(&word),
            toml::Value::Integer(v) => out.push_str(&v.to_string()),
            toml::Value::Float(v) => out.push_str(&v.to_string()),
            _ => return Err(format!("`{text}`: a list cannot be part of a text")),
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}
