//! Which storages share a buffer: those that are never needed at the same time.

use crate::layout::Root;
use crate::lower::{Origin, Plan};

/// Where a run finds a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A buffer of the run's own, shared over time.
    Slot(usize),
    /// An output's buffer.
    Output(usize),
    /// An input of the graph.
    Input(usize),
    /// A weight or constant, by position among the executable's.
    Held(usize),
    /// The status word.
    Status,
}

/// The buffers of a plan.
#[derive(Debug)]
pub(crate) struct Placement {
    /// Of each storage.
    pub(crate) places: Vec<Place>,
    /// The bytes of each slot.
    pub(crate) slots: Vec<u64>,
    /// The storages that the executable holds, in order.
    pub(crate) held: Vec<Root>,
}

impl Placement {
    /// The bytes of all slots.
    pub(crate) fn slot_bytes(&self) -> u64 {
        self.slots.iter().sum()
    }
}

/// The steps that first write and last touch each storage.
fn lifetimes(plan: &Plan) -> Vec<Option<(usize, usize)>> {
    let mut lives: Vec<Option<(usize, usize)>> = vec![None; plan.storages.len()];
    for (at, step) in plan.steps.iter().enumerate() {
        for &root in step.reads.iter().chain(&step.writes) {
            let life = lives[root].get_or_insert((at, at));
            life.1 = at;
        }
    }
    lives
}

/// Places the storages; where they do not `share`, each has a slot of its own.
pub(crate) fn place(plan: &Plan, share: bool) -> Placement {
    let lives = lifetimes(plan);
    let mut placement =
        Placement { places: vec![Place::Status; plan.storages.len()], slots: Vec::new(), held: Vec::new() };
    let mut starting: Vec<Vec<Root>> = vec![Vec::new(); plan.steps.len()];
    for (root, storage) in plan.storages.iter().enumerate() {
        placement.places[root] = match &storage.origin {
            Origin::Input(i) => Place::Input(*i),
            Origin::Status => Place::Status,
            Origin::Weight(_) | Origin::Constant(_) => {
                placement.held.push(root);
                Place::Held(placement.held.len() - 1)
            }
            Origin::Step => {
                if let Some(output) = plan.outputs.iter().position(|&o| o == root) {
                    Place::Output(output)
                } else {
                    if let Some((first, _)) = lives[root] {
                        starting[first].push(root);
                    }
                    Place::Slot(usize::MAX)
                }
            }
        };
    }
    assign(plan, &lives, &starting, share, &mut placement);
    placement
}

/// Goes through the steps: a storage that begins takes the smallest free slot that holds it, else the largest free one, which
/// grows, else a new one.
fn assign(
    plan: &Plan,
    lives: &[Option<(usize, usize)>],
    starting: &[Vec<Root>],
    share: bool,
    placement: &mut Placement,
) {
    let mut free: Vec<usize> = Vec::new();
    let mut ending: Vec<Vec<usize>> = vec![Vec::new(); plan.steps.len()];
    for at in 0..plan.steps.len() {
        for &root in &starting[at] {
            let bytes = plan.storages[root].bytes;
            let slots = &mut placement.slots;
            let fits = free.iter().copied().filter(|&s| slots[s] >= bytes).min_by_key(|&s| slots[s]);
            let slot = fits.or_else(|| free.iter().copied().max_by_key(|&s| slots[s])).unwrap_or_else(|| {
                slots.push(0);
                slots.len() - 1
            });
            slots[slot] = slots[slot].max(bytes);
            free.retain(|&s| s != slot);
            placement.places[root] = Place::Slot(slot);
            ending[lives[root].map_or(at, |(_, last)| last)].push(slot);
        }
        if share {
            free.append(&mut ending[at]);
        }
    }
}
