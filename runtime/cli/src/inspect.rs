//! `kinograph inspect`: what a model consists of.

mod dot;
mod json;
mod text;

use std::io::{BufWriter, Write, stdout};

use kinograph::{Component, Model};

use crate::args::Inspect;
use crate::config::Config;
use crate::source;

pub(crate) fn run(options: &Inspect, config: &Config) -> anyhow::Result<()> {
    let model = source::model_to_inspect(config)?;
    let component = options.component.as_deref().map(|name| find(&model, name)).transpose()?;
    let mut out = BufWriter::new(stdout().lock());
    match component {
        _ if options.dot => dot(&model, component, options.weights, &mut out)?,
        None if options.json => json::overview(&model)?,
        Some(component) if options.json => json::detail(component)?,
        None => text::overview(&model, &mut out)?,
        Some(component) => text::detail(component, &mut out)?,
    }
    Ok(out.flush()?)
}

fn find<'a>(model: &'a Model, name: &str) -> anyhow::Result<&'a Component> {
    model.components().find(|c| c.name() == name).ok_or_else(|| {
        let known: Vec<&str> = model.components().map(Component::name).collect();
        anyhow::anyhow!("there is no component `{name}`; this model has {}", known.join(", "))
    })
}

/// The graph of that component, or those of all.
fn dot(
    model: &Model,
    component: Option<&Component>,
    weights: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let components: Vec<&Component> = component.map_or_else(|| model.components().collect(), |c| vec![c]);
    let graphs = components
        .iter()
        .map(|c| Ok((c.name(), c.inspect()?)))
        .collect::<Result<Vec<_>, kinograph::Error>>()?;
    Ok(dot::write(&model.manifest().name, &graphs, weights, out)?)
}
