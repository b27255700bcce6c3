//! The keys that cost most: a sketch of bounded size (Metwally, Agrawal, El Abbadi: Efficient Computation of Frequent
//! and Top-k Elements in Data Streams, ICDT 2005). Updated on grants and wakes only.

use alloc::collections::{BTreeMap, BinaryHeap};
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::name::Name;
use super::slab::{Id, Slab};
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
    pub wait_ms: u64,
    pub build_ms: u64,
    pub grants: u64,
    pub saved: u64,
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
        let weight = added.wait_ms.saturating_add(added.build_ms).saturating_add(added.grants + added.saved);
        let id = match self.by_name.get(&(db, name.clone())) {
            Some(id) => *id,
            None => self.enter(db, name),
        };
        let Some(costs) = self.keys.get_mut(id) else { return };
        costs.weight = costs.weight.saturating_add(weight);
        costs.wait_ms = costs.wait_ms.saturating_add(added.wait_ms);
        costs.build_ms = costs.build_ms.saturating_add(added.build_ms);
        costs.grants += added.grants;
        costs.saved += added.saved;
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
        let costs = Costs { db, name: name.clone(), wait_ms: 0, build_ms: 0, grants: 0, saved: 0, weight };
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
        match cost {
            Cost::Wait => self.wait_ms,
            Cost::Build => self.build_ms,
            Cost::Grants => self.grants,
            Cost::Saved => self.saved,
        }
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
        assert_eq!((&*dearest[0].name, dearest[0].wait_ms, dearest.len()), (&b"hot"[..], 500_000, 1));
        assert_eq!(top.keys.len(), KEYS);
    }
}
