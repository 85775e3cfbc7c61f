//! All cases by their ids: of ops, of graphs, of pipelines.

use crate::case::{Case, CaseError};
use crate::graphs::{self, GraphCase};
use crate::pipelines::{self, PipelineCase};
use crate::random::random_case;
use crate::suite::Suite;

/// A case of any kind.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its id, such as `op/Conv/causal f32`, `graph/adaLN`, `pipeline/tiles/4:2 of 9`.
    pub id: String,
    /// True for the cases of a quick run.
    pub quick: bool,
    /// What it is.
    pub kind: Kind,
}

/// What a case is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Kind {
    /// One op.
    Op(Box<Case>),
    /// A graph of several nodes.
    Graph(Box<GraphCase>),
    /// More than one graph, or what runs on the host.
    Pipeline(Box<PipelineCase>),
}

const GRAPHS: &[(&str, &str)] = &[
    ("modules.toml", include_str!("../cases/graphs/modules.toml")),
    ("autoencoder.toml", include_str!("../cases/graphs/autoencoder.toml")),
];

const PIPELINES: &str = include_str!("../cases/pipelines/pipelines.toml");

/// Every case that this crate carries.
#[derive(Clone, Debug)]
pub struct Catalogue {
    items: Vec<Item>,
}

/// Which cases of the catalogue.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only those of a quick run.
    pub quick: bool,
    /// Only those whose id contains one of these; all when empty. A `*` stands for anything.
    pub filters: Vec<String>,
    /// None of those whose id contains one of these.
    pub without: Vec<String>,
}

impl Catalogue {
    /// The cases in the crate's files.
    ///
    /// # Errors
    /// When a file is wrong, which a test of this crate rules out.
    pub fn builtin() -> Result<Self, CaseError> {
        let suite = Suite::builtin()?;
        let mut items: Vec<Item> = suite.cases().iter().map(|case| op(case.clone())).collect();
        for (name, text) in GRAPHS {
            items.extend(graphs::parse(name, text)?.into_iter().map(|case| Item {
                id: format!("graph/{}", case.name),
                quick: case.quick,
                kind: Kind::Graph(Box::new(case)),
            }));
        }
        items.extend(pipelines::parse("pipelines.toml", PIPELINES)?.into_iter().map(|case| Item {
            id: format!("pipeline/{}", case.name),
            quick: case.quick,
            kind: Kind::Pipeline(Box::new(case)),
        }));
        Ok(Self { items })
    }

    /// All of them, in order.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Those of a selection.
    pub fn select(&self, selection: &Selection) -> Vec<Item> {
        self.items.iter().filter(|item| selection.takes(item)).cloned().collect()
    }
}

/// Random cases of ops: from as many seeds, less those whose draw fits no op.
pub fn random_items(first: u64, count: u64) -> Vec<Item> {
    (first..first.saturating_add(count)).filter_map(random_case).map(op).collect()
}

fn op(case: Case) -> Item {
    Item { id: format!("op/{}/{}", case.op.name, case.name), quick: true, kind: Kind::Op(Box::new(case)) }
}

impl Selection {
    /// Whether a case is one of them.
    pub fn takes(&self, item: &Item) -> bool {
        let named = |filter: &String| matches(filter, &item.id);
        (!self.quick || item.quick)
            && (self.filters.is_empty() || self.filters.iter().any(named))
            && !self.without.iter().any(named)
    }
}

/// Whether a text contains the parts between the stars, in order.
fn matches(filter: &str, id: &str) -> bool {
    let mut rest = id;
    filter.split('*').all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

impl Item {
    /// The op of a case of one op.
    pub fn op(&self) -> Option<&'static str> {
        match &self.kind {
            Kind::Op(case) => Some(case.op.name),
            _ => None,
        }
    }

    /// What it belongs to: an op, `graph`, or the first part of a pipeline's name.
    pub fn group(&self) -> &str {
        match &self.kind {
            Kind::Op(case) => case.op.name,
            Kind::Graph(_) => "graph",
            Kind::Pipeline(case) => case.name.split('/').next().unwrap_or("pipeline"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique() {
        let catalogue = Catalogue::builtin().unwrap();
        let mut ids: Vec<&str> = catalogue.items().iter().map(|item| item.id.as_str()).collect();
        ids.sort_unstable();
        let twice: Vec<_> = ids.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        assert!(twice.is_empty(), "{twice:?}");
    }

    #[test]
    fn filters_pick() {
        assert!(matches("Conv", "op/Conv/causal f32"));
        assert!(matches("op/Conv/*f16", "op/Conv/causal f16"));
        assert!(!matches("op/Conv/*f16", "op/Conv/causal f32"));
        let catalogue = Catalogue::builtin().unwrap();
        let some =
            Selection { filters: vec!["attention".into()], without: vec!["graph".into()], quick: true };
        let some = catalogue.select(&some);
        assert!(!some.is_empty() && some.iter().all(|item| item.id.starts_with("pipeline/attention/")));
    }

    #[test]
    fn every_frame_count_from_1_to_40_is_there() {
        let catalogue = Catalogue::builtin().unwrap();
        let has = |id: String| catalogue.items().iter().any(|item| item.id == id);
        for frames in 1..=40 {
            let plural = if frames == 1 { "frame" } else { "frames" };
            assert!(has(format!("graph/encoder T={frames}")), "{frames}");
            assert!(has(format!("pipeline/encode/{frames} {plural}")), "{frames}");
            assert!(has(format!("pipeline/decode/{frames} {plural}")), "{frames}");
        }
    }
}
