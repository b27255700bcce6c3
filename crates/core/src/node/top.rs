//! The keys that cost most: a sketch of bounded size (Metwally, Agrawal, El Abbadi: Efficient Computation of Frequent
//! and Top-k Elements in Data Streams, ICDT 2005). Updated on grants and wakes only.

use alloc::collections::{BTreeMap, BinaryHeap};
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::name::Name;
use super::slab::{Id, Slab};
use super::stats::Tally;
use crate::request::Cost;

/// Keys that are told apart at once.
const KEYS: usize = 1000;

/// Keys that are looked at when one has to go.
const LOOKS: usize = 16;

/// Keys with longer names, in bytes, are left out: a thousand of any length would be no bounded size.
const NAME_LIMIT: usize = 1024;

#[derive(Clone, Default, Debug)]
pub struct Top {
    keys: Slab<Costs>,
    by_name: BTreeMap<(u32, Name), Id>,
    /// The lightest goes when another key comes. Weights only grow, and stand here as they were when last looked at.
    by_weight: BinaryHeap<Reverse<(u64, Id)>>,
}

/// What one key has cost since the statistics began, or since it came into the sketch.
#[derive(Clone, Debug)]
pub struct Costs {
    pub db: u32,
    pub name: Name,
    pub wait_ms: Tally,
    pub build_ms: Tally,
    pub grants: Tally,
    pub saved: Tally,
    weight: u64,
}

/// What is added at once.
#[derive(Clone, Copy, Default, Debug)]
pub struct Added {
    pub wait_ms: u64,
    pub build_ms: u64,
    pub grants: u64,
    pub saved: u64,
}

impl Top {
    pub fn add(&mut self, db: u32, name: &[u8], added: Added) {
        if name.len() > NAME_LIMIT {
            return;
        }
        let name = Name::new(name);
        let id = match self.by_name.get(&(db, name.clone())) {
            Some(id) => *id,
            None => self.enter(db, name),
        };
        let Some(costs) = self.keys.get_mut(id) else { return };
        let added = [added.wait_ms, added.build_ms, added.grants, added.saved];
        costs.weight = added.into_iter().fold(costs.weight, u64::saturating_add);
        for (tally, more) in costs.tallies().into_iter().zip(added) {
            tally.add(more);
        }
    }

    fn enter(&mut self, db: u32, name: Name) -> Id {
        let mut weight = 0;
        if self.keys.len() >= KEYS {
            // The newcomer inherits the weight of whom it replaces: what it may have had already.
            if let Some(costs) = self.lightest().and_then(|id| self.keys.remove(id)) {
                weight = costs.weight;
                self.by_name.remove(&(costs.db, costs.name));
            }
        }
        let none = Tally::default();
        let costs = Costs { db, name: name.clone(), wait_ms: none, build_ms: none, grants: none, saved: none, weight };
        let id = self.keys.insert(costs);
        self.by_name.insert((db, name), id);
        self.by_weight.push(Reverse((weight, id)));
        id
    }

    /// Takes the lightest out of the queue: of all, or of the first few if many have grown since they were looked at.
    fn lightest(&mut self) -> Option<Id> {
        let mut lightest: Option<(u64, Id)> = None;
        for _ in 0..LOOKS {
            let Some(Reverse((_, id))) = self.by_weight.pop() else { break };
            let looked_at = (self.keys.get(id)?.weight, id);
            let (lighter, heavier) = match lightest {
                Some(other) => (other.min(looked_at), Some(other.max(looked_at))),
                None => (looked_at, None),
            };
            self.by_weight.extend(heavier.map(Reverse));
            lightest = Some(lighter);
            if self.by_weight.peek().is_none_or(|Reverse(next)| lighter <= *next) {
                break;
            }
        }
        lightest.map(|(_, id)| id)
    }

    pub fn look(&mut self) {
        for id in self.by_name.values() {
            if let Some(costs) = self.keys.get_mut(*id) {
                costs.tallies().into_iter().for_each(Tally::look);
            }
        }
    }

    /// Keys that have cost nothing since the last look are forgotten.
    pub fn begin_anew(&mut self) {
        let mut before = core::mem::take(self);
        for ((db, name), id) in before.by_name {
            let Some(costs) = before.keys.get_mut(id) else { continue };
            costs.tallies().into_iter().for_each(Tally::begin_anew);
            let [wait_ms, build_ms, grants, saved] = costs.tallies().map(|tally| tally.sum());
            if [wait_ms, build_ms, grants, saved].iter().any(|count| *count > 0) {
                self.add(db, &name, Added { wait_ms, build_ms, grants, saved });
            }
        }
    }

    /// The dearest, first first.
    pub fn dearest(&self, by: Cost, count: usize) -> Vec<&Costs> {
        let mut all: Vec<&Costs> = self.by_name.values().filter_map(|id| self.keys.get(*id)).collect();
        all.sort_by_key(|costs| Reverse(costs.of(by)));
        all.retain(|costs| costs.of(by) > 0);
        all.truncate(count);
        all
    }
}

impl Costs {
    const fn of(&self, cost: Cost) -> u64 {
        let tally = match cost {
            Cost::Wait => self.wait_ms,
            Cost::Build => self.build_ms,
            Cost::Grants => self.grants,
            Cost::Saved => self.saved,
        };
        tally.sum()
    }

    const fn tallies(&mut self) -> [&mut Tally; 4] {
        [&mut self.wait_ms, &mut self.build_ms, &mut self.grants, &mut self.saved]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dearest_stay_however_many_keys_come() {
        let mut top = Top::default();
        for round in 0..50_000_u64 {
            top.add(0, &round.to_le_bytes(), Added { grants: 1, ..Added::default() });
            if round % 10 == 0 {
                top.add(0, b"hot", Added { wait_ms: 100, grants: 1, ..Added::default() });
            }
        }
        let dearest = top.dearest(Cost::Wait, 10);
        assert_eq!((&*dearest[0].name, dearest[0].wait_ms.sum(), dearest.len()), (&b"hot"[..], 500_000, 1));
        assert_eq!(top.keys.len(), KEYS);
    }

    #[test]
    fn what_came_after_the_last_look_outlives_a_reset() {
        let mut top = Top::default();
        let grant = Added { grants: 1, ..Added::default() };
        top.add(0, b"before", grant);
        top.add(0, b"both", grant);
        top.look();
        top.add(0, b"both", Added { wait_ms: 7, ..grant });
        top.add(0, b"after", grant);
        top.begin_anew();
        let dearest = top
            .dearest(Cost::Grants, 10)
            .into_iter()
            .map(|costs| (&*costs.name, costs.grants.sum(), costs.wait_ms.sum()));
        assert_eq!(dearest.collect::<Vec<_>>(), [(&b"after"[..], 1, 0), (&b"both"[..], 1, 7)]);
        top.look();
        top.begin_anew();
        assert!(top.dearest(Cost::Grants, 10).is_empty());
    }
}
