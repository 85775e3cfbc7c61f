//! States while a graph is bound: each becomes an input where it is read and an output where it changes.

use super::{Binder, Scope};
use crate::format::StateDecl;
use crate::{GraphError, OpError, TensorDesc, ValueId};

/// A state, the input that carries it, and what it becomes.
type Entry = (String, Option<ValueId>, Option<ValueId>);

/// The states met so far, in the order in which they were read or left.
#[derive(Default)]
pub(super) struct States(Vec<Entry>);

impl States {
    fn entry(&mut self, name: &str) -> &mut Entry {
        let known = self.0.iter().position(|(known, ..)| known == name);
        let at = known.unwrap_or_else(|| {
            self.0.push((name.to_owned(), None, None));
            self.0.len() - 1
        });
        &mut self.0[at]
    }

    pub(super) fn finish(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.0)
    }
}

impl Binder<'_> {
    fn state(
        &self,
        scope: &Scope<'_>,
        name: &str,
        state: &StateDecl,
    ) -> Result<(String, TensorDesc), GraphError> {
        let at = scope.at(state.line.0);
        let desc = TensorDesc::new(state.dtype, self.shape(&state.shape, scope.numbers, &at)?);
        let name = format!("{}{name}", scope.prefix);
        self.check_name(&name, &at)?;
        Ok((name, desc))
    }

    /// The value of a state as the run before left it.
    pub(super) fn read_state(
        &mut self,
        scope: &Scope<'_>,
        name: &str,
        state: &StateDecl,
    ) -> Result<ValueId, GraphError> {
        let (name, desc) = self.state(scope, name, state)?;
        if let Some(id) = self.states.entry(&name).1 {
            return Ok(id);
        }
        let made = self.builder.input(&name, desc);
        let id = made.map_err(|e| GraphError::new(scope.at(state.line.0), e))?;
        self.states.entry(&name).1 = Some(id);
        Ok(id)
    }

    /// At the end of a body: what a state becomes, if a statement of the body made it.
    pub(super) fn leave_state(
        &mut self,
        scope: &Scope<'_>,
        name: &str,
        state: &StateDecl,
    ) -> Result<(), GraphError> {
        let Some(&next) = scope.values.get(&state.next) else { return Ok(()) };
        let fail = |message| GraphError::new(scope.at(state.line.0), OpError::Invalid(message));
        let (name, desc) = self.state(scope, name, state)?;
        let found = self.builder.desc(next);
        if *found != desc {
            return Err(fail(format!("the state `{name}` is {desc}, but `{}` is {found}", state.next)));
        }
        let entry = self.states.entry(&name);
        if entry.2.is_some() {
            return Err(fail(format!("the state `{name}` is left twice: give each use a prefix of its own")));
        }
        entry.2 = Some(next);
        Ok(())
    }
}
