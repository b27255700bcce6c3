//! Cohorts: waiters that are decided alike and together.

use super::waiters::{Asked, Waiter, WaiterId};
use super::Rooms;
use crate::decision::Class;
use crate::node::calendar::Pair;
use crate::node::groups::GroupId;
use crate::node::heap::{self, Link, Linked};
use crate::node::leases::ClientId;
use crate::node::slab::{Id, NIL};
use crate::time::SteadyMs;
use crate::token::Token;

/// What a cohort waits for. `None`: to be decided, or a turn in its group.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CohortKey {
    pub room: Id,
    pub token: Option<Token>,
    pub group: GroupId,
    pub class: Class,
}

#[derive(Clone, Debug)]
pub struct Cohort {
    pub key: CohortKey,
    pub(super) root: Id,
    /// Its place in its group's queue.
    pub queued_at: Option<u64>,
}

impl Rooms {
    pub fn park(
        &mut self,
        room: Id,
        token: Option<Token>,
        ask: Asked,
        gives_up: SteadyMs,
        client: ClientId,
        since_us: u64,
    ) -> WaiterId {
        self.generation = self.generation.wrapping_add(1);
        let (generation, link) = (self.generation, Link::ALONE);
        let waiter =
            Waiter { link, by_limit: Pair::ALONE, generation, room, cohort: NIL, ask, gives_up, client, since_us };
        let id = self.waiters.0.insert(waiter);
        if gives_up != SteadyMs::NEVER {
            self.limits.insert(gives_up.0, id, &mut self.waiters);
        }
        if let Some(open) = self.rooms.get_mut(room) {
            open.waiters += 1;
        }
        self.push(CohortKey { room, token, group: ask.group, class: ask.class }, id);
        WaiterId(u64::from(id) | u64::from(generation) << 32)
    }

    fn push(&mut self, key: CohortKey, id: Id) {
        let cohort = self.cohort_or_open(key);
        self.melds_into(cohort, id);
    }

    fn cohort_or_open(&mut self, key: CohortKey) -> Id {
        match self.by_key.get(&key) {
            Some(cohort) => *cohort,
            None => {
                let cohort = self.cohorts.insert(Cohort { key, root: NIL, queued_at: None });
                self.by_key.insert(key, cohort);
                cohort
            }
        }
    }

    fn melds_into(&mut self, cohort: Id, root: Id) {
        let Some(open) = self.cohorts.get_mut(cohort) else { return };
        open.root = heap::meld(&mut self.waiters, open.root, root);
        let root = open.root;
        if let Some(first) = self.waiters.0.get_mut(root) {
            first.cohort = cohort;
        }
    }

    pub fn waiter(&self, id: WaiterId) -> Option<&Waiter> {
        self.waiters.0.get(id.record()).filter(|waiter| u64::from(waiter.generation) == id.0 >> 32)
    }

    fn waiter_id(&self, id: Id) -> Option<WaiterId> {
        let waiter = self.waiters.0.get(id)?;
        Some(WaiterId(u64::from(id) | u64::from(waiter.generation) << 32))
    }

    pub fn cohort(&self, cohort: Id) -> Option<&Cohort> {
        self.cohorts.get(cohort)
    }

    pub fn cohort_mut(&mut self, cohort: Id) -> Option<&mut Cohort> {
        self.cohorts.get_mut(cohort)
    }

    /// The longest-waiting of a cohort.
    pub fn first(&self, cohort: Id) -> Option<(WaiterId, &Waiter)> {
        let root = self.cohorts.get(cohort)?.root;
        Some((self.waiter_id(root)?, self.waiters.0.get(root)?))
    }

    /// The cohort that a waiter is the first of.
    pub fn first_cohort_of(&self, id: WaiterId) -> Option<Id> {
        let waiter = self.waiter(id)?;
        waiter.link.is_root().then_some(waiter.cohort)
    }

    /// Takes a waiter out, wherever it is. Also says which cohort changed its first, if one did.
    pub fn take(&mut self, id: WaiterId) -> Option<(Waiter, Option<Id>)> {
        self.waiter(id)?;
        let record = id.record();
        let was_first = self.waiters.link(record).is_root();
        let cohort = self.waiters.0.get(record)?.cohort;
        let root = if was_first { record } else { NIL };
        let rest = heap::remove(&mut self.waiters, root, record);
        if was_first {
            if let Some(open) = self.cohorts.get_mut(cohort) {
                open.root = rest;
            }
            if let Some(first) = self.waiters.0.get_mut(rest) {
                first.cohort = cohort;
            }
        }
        let gives_up = self.waiters.0.get(record)?.gives_up;
        if gives_up != SteadyMs::NEVER {
            self.limits.remove(gives_up.0, record, &mut self.waiters);
        }
        let waiter = self.waiters.0.remove(record)?;
        if let Some(open) = self.rooms.get_mut(waiter.room) {
            open.waiters -= 1;
        }
        Some((waiter, was_first.then_some(cohort)))
    }

    /// Removes a cohort that has nobody in it. One that is detached is its answer's to remove: its number must not be
    /// another's before. Whether it was removed.
    pub fn drop_if_empty(&mut self, cohort: Id) -> bool {
        let Some(open) = self.cohorts.get(cohort).filter(|open| open.root == NIL) else { return false };
        let has_key = self.by_key.get(&open.key) == Some(&cohort);
        if has_key {
            self.by_key.remove(&open.key);
            self.cohorts.remove(cohort);
        }
        has_key
    }

    /// Removes a detached cohort whose answer everybody has.
    pub fn drop_detached(&mut self, cohort: Id) {
        self.cohorts.remove(cohort);
    }

    /// Lets a cohort wait for something else, with those who wait for that already.
    pub fn rename(&mut self, cohort: Id, token: Option<Token>) -> Id {
        let Some(open) = self.cohorts.get_mut(cohort) else { return NIL };
        let key = CohortKey { token, ..open.key };
        if key == open.key {
            return cohort;
        }
        let old = core::mem::replace(&mut open.key, key);
        let root = open.root;
        self.by_key.remove(&old);
        match self.by_key.get(&key).copied() {
            None => {
                self.by_key.insert(key, cohort);
                cohort
            }
            Some(other) => {
                self.cohorts.remove(cohort);
                self.melds_into(other, root);
                other
            }
        }
    }

    /// Takes a cohort out of its room: all in it have the same answer.
    pub fn detach(&mut self, cohort: Id) {
        if let Some(key) = self.cohorts.get(cohort).map(|open| open.key) {
            self.by_key.remove(&key);
        }
    }

    /// A cohort of nobody, outside its room: for those who get the same answer one by one.
    pub fn detached(&mut self, key: CohortKey) -> Id {
        self.cohorts.insert(Cohort { key, root: NIL, queued_at: None })
    }

    /// Moves the first of a cohort to another, and says who it was.
    pub fn move_first(&mut self, from: Id, to: Id) {
        let Some(root) = self.cohorts.get(from).map(|open| open.root).filter(|root| *root != NIL) else { return };
        let rest = heap::pop(&mut self.waiters, root);
        if let Some(open) = self.cohorts.get_mut(from) {
            open.root = rest;
        }
        if let Some(first) = self.waiters.0.get_mut(rest) {
            first.cohort = from;
        }
        self.melds_into(to, root);
    }

    /// The cohort that is to be decided, of this group and class.
    pub fn undecided(&mut self, of: CohortKey) -> Id {
        self.cohort_or_open(CohortKey { token: None, ..of })
    }

    /// The cohorts of a room that wait for a token; for `None`, those to be decided.
    pub fn cohorts_of(&self, room: Id, token: Option<Token>) -> impl Iterator<Item = Id> + '_ {
        let least = CohortKey { room, token, group: GroupId(0), class: Class { no_stale: false, force: false } };
        let most = CohortKey { room, token, group: GroupId(u16::MAX), class: Class { no_stale: true, force: true } };
        self.by_key.range(least..=most).map(|(_, cohort)| *cohort)
    }

    /// Any cohort of a room.
    pub fn any_cohort(&self, room: Id) -> Option<Id> {
        let least = CohortKey { room, token: None, group: GroupId(0), class: Class { no_stale: false, force: false } };
        self.by_key.range(least..).next().filter(|(key, _)| key.room == room).map(|(_, cohort)| *cohort)
    }

    /// When the next BLOCK limit passes.
    pub fn next_limit(&self) -> Option<SteadyMs> {
        self.limits.first().map(|(at, _)| SteadyMs(at))
    }

    /// One whose BLOCK limit has passed.
    pub fn past_limit(&self, now: SteadyMs) -> Option<WaiterId> {
        let (_, id) = self.limits.first().filter(|(at, _)| *at <= now.0)?;
        self.waiter_id(id)
    }
}
