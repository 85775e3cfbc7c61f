//! Output for programs.

use std::io::{Write, stdout};

use serde::Serialize;

/// Prints one JSON document.
pub(crate) fn print(value: &impl Serialize) -> anyhow::Result<()> {
    // To memory first: a reader that goes away must show as the I/O error that it is, which main knows.
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    Ok(stdout().write_all(text.as_bytes())?)
}
