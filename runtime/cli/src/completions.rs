use std::io::{Write, stdout};

use clap::CommandFactory;

use crate::args::{Arguments, Completions};

pub(crate) fn run(options: &Completions) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Arguments::command(), "kinograph", &mut script);
    Ok(stdout().write_all(&script)?)
}
