//! Waiting rooms: the waiters of each key, first come first served, and who listens.
//!
//! A waiter joins the rebuild of one token and stays with it. Waiters of the entry's current token wait for its fill.
//! Those of a voided token (the key was invalidated) wait for a holder that still builds: its void fill answers them,
//! and when its lease ends they are decided anew. So a room's waiters lie in *cohorts*: those of one token, group and
//! class, which are decided alike, together and in no more steps for ten thousand than for one.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::calendar::{Calendar, Pair, Paired};
use super::groups::GroupId;
use super::heap::{self, Link, Linked};
use super::leases::ClientId;
use super::name::Name;
use super::slab::{Id, Slab, NIL};
use super::verdicts::Sieve;
use crate::decision::Class;
use crate::time::SteadyMs;
use crate::token::Token;

/// A parked client's number: the record's, and which of those that ever had that number it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WaiterId(pub u64);

/// A client parked until the rebuild ends.
#[derive(Clone, Debug)]
pub struct Waiter {
    link: Link,
    by_limit: Pair,
    generation: u32,
    pub room: Id,
    /// Its cohort, kept right for the first of each only: see [`Rooms::root_of`].
    cohort: Id,
    pub ask: Asked,
    /// Its own BLOCK limit; never for BLOCK 0.
    pub gives_up: SteadyMs,
    pub client: ClientId,
    /// When it was parked, in microseconds of the clock that is never set.
    pub since_us: u64,
}

/// What is kept of a call that is decided again.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Asked {
    /// Its place among all asks.
    pub order: u64,
    pub class: Class,
    pub group: GroupId,
    pub lease_ms: u32,
    pub is_tied: bool,
    pub once_ms: Option<u64>,
    /// The node's last tag mark when it asked.
    pub last_mark: u64,
    /// What the source was known to have when it asked.
    pub known_version: Option<u64>,
}

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
    root: Id,
    /// Its place in its group's queue.
    pub queued_at: Option<u64>,
}

#[derive(Clone, Debug)]
pub struct Room {
    pub db: u32,
    pub name: Name,
    pub waiters: u32,
    pub listening: Option<Listening>,
    /// A permit kept for the next ask: of this group, until then.
    pub reservation: Option<(GroupId, SteadyMs)>,
    /// The lease that who comes waits for.
    pub current: Option<Token>,
    /// Its answer is on its way: who comes to the key now is in another room.
    pub is_leaving: bool,
    /// A visit is due.
    pub is_due: bool,
    /// Void rebuilds whose waiters are being sorted out.
    pub(super) sieves: Vec<Sieve>,
}

/// Clients that are told by a message.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Listening {
    pub askers: u32,
    /// Of the first ask.
    pub order: u64,
    pub group: GroupId,
    /// In its group's queue.
    pub is_queued: bool,
}

#[derive(Clone, Default, Debug)]
pub struct Rooms {
    rooms: Slab<Room>,
    by_name: BTreeMap<(u32, Name), Id>,
    cohorts: Slab<Cohort>,
    by_key: BTreeMap<CohortKey, Id>,
    waiters: Waiters,
    limits: Calendar,
    generation: u32,
    pub listeners: u64,
}

#[derive(Clone, Default, Debug)]
struct Waiters(Slab<Waiter>);

impl Linked for Waiters {
    fn link(&self, id: Id) -> Link {
        self.0.get(id).map_or(Link::ALONE, |waiter| waiter.link)
    }
    fn set_link(&mut self, id: Id, link: Link) {
        if let Some(waiter) = self.0.get_mut(id) {
            waiter.link = link;
        }
    }
    fn order(&self, id: Id) -> u64 {
        self.0.get(id).map_or(u64::MAX, |waiter| waiter.ask.order)
    }
}

impl Paired for Waiters {
    fn pair(&mut self, id: Id) -> Option<&mut Pair> {
        self.0.get_mut(id).map(|waiter| &mut waiter.by_limit)
    }
}

impl WaiterId {
    const fn record(self) -> Id {
        self.0 as Id
    }
}

impl Rooms {
    /// How many clients are parked.
    pub fn waiters(&self) -> usize {
        self.waiters.0.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.rooms.len()
    }

    pub fn get(&self, room: Id) -> Option<&Room> {
        self.rooms.get(room)
    }

    pub fn get_mut(&mut self, room: Id) -> Option<&mut Room> {
        self.rooms.get_mut(room)
    }

    pub fn find(&self, db: u32, name: &[u8]) -> Option<Id> {
        if self.by_name.is_empty() {
            return None;
        }
        self.by_name.get(&(db, Name::new(name))).copied()
    }

    /// The room of a key, opened if there is none.
    pub fn open(&mut self, db: u32, name: &[u8]) -> Id {
        let name = Name::new(name);
        if let Some(room) = self.by_name.get(&(db, name.clone())) {
            return *room;
        }
        let room = self.rooms.insert(Room {
            db,
            name: name.clone(),
            waiters: 0,
            listening: None,
            reservation: None,
            current: None,
            is_leaving: false,
            is_due: false,
            sieves: Vec::new(),
        });
        self.by_name.insert((db, name), room);
        room
    }

    /// Closes a room that nothing is remembered of.
    pub fn close_if_empty(&mut self, room: Id) {
        let Some(open) = self.rooms.get(room) else { return };
        if open.waiters == 0 && open.listening.is_none() && open.reservation.is_none() {
            if !open.is_leaving {
                self.by_name.remove(&(open.db, open.name.clone()));
            }
            self.rooms.remove(room);
        }
    }

    /// The first room by name, at or behind `from`: a walk in slices.
    pub fn next_named(&self, from: Option<(u32, Name)>) -> Option<((u32, Name), Id)> {
        let from = from.map_or(core::ops::Bound::Unbounded, core::ops::Bound::Excluded);
        self.by_name.range((from, core::ops::Bound::Unbounded)).next().map(|(name, room)| (name.clone(), *room))
    }

    /// Takes a room off its name: its waiters all have the same answer, and who comes now is in another.
    pub fn leave_name(&mut self, room: Id) {
        if let Some(open) = self.rooms.get_mut(room).filter(|open| !open.is_leaving) {
            open.is_leaving = true;
            let name = (open.db, open.name.clone());
            self.by_name.remove(&name);
        }
    }

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

    /// Removes a cohort that has nobody in it.
    pub fn drop_if_empty(&mut self, cohort: Id) {
        if let Some(open) = self.cohorts.get(cohort).filter(|open| open.root == NIL) {
            // What is on its way out has no name any more.
            if self.by_key.get(&open.key) == Some(&cohort) {
                self.by_key.remove(&open.key);
            }
            self.cohorts.remove(cohort);
        }
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

#[cfg(feature = "model")]
impl Rooms {
    pub fn facts(&self, facts: &mut super::facts::Facts) {
        let mut chunk = 0;
        loop {
            let (rooms, more) = self.rooms.chunk(chunk);
            let mut rooms: Vec<&Room> = rooms.map(|(_, room)| room).collect();
            rooms.sort_by_key(|room| (room.is_leaving, room.db, room.name.clone()));
            for room in rooms {
                facts.key(room.db, &room.name);
                facts.flags(&[room.is_leaving, room.is_due]);
                facts.number(u64::from(room.waiters));
                facts.number(room.sieves.len() as u64);
                facts.token(room.current.map_or(0, Token::get));
                if let Some(listening) = room.listening {
                    facts.numbers(&[u64::from(listening.askers), u64::from(listening.group.0)]);
                    facts.order(listening.order);
                    facts.flag(listening.is_queued);
                }
                if let Some((group, until)) = room.reservation {
                    facts.number(u64::from(group.0));
                    facts.steady(until);
                }
            }
            if !more {
                break;
            }
            chunk += 1;
        }
        for order in self.in_order(|_| true) {
            facts.order(order.0);
            self.waiter_facts(order.1, facts);
        }
    }

    /// Those in the cohorts that `of` picks, by order.
    pub fn in_order(&self, of: impl Fn(Id) -> bool) -> Vec<(u64, Id, Id)> {
        let mut found = Vec::new();
        let mut chunk = 0;
        loop {
            let (cohorts, more) = self.cohorts.chunk(chunk);
            for (cohort, open) in cohorts.filter(|(cohort, _)| of(*cohort)) {
                let mut open = alloc::vec![open.root];
                while let Some(id) = open.pop() {
                    if let Some(waiter) = self.waiters.0.get(id) {
                        found.push((waiter.ask.order, id, cohort));
                        open.extend(waiter.link.children());
                    }
                }
            }
            if !more {
                break;
            }
            chunk += 1;
        }
        found.sort_unstable();
        let cohort_of = |cohort: Id| self.cohorts.get(cohort).map(|open| open.key);
        debug_assert!(found.iter().all(|(_, _, cohort)| cohort_of(*cohort).is_some()));
        found
    }

    fn waiter_facts(&self, id: Id, facts: &mut super::facts::Facts) {
        let Some(waiter) = self.waiters.0.get(id) else { return };
        if let Some(room) = self.rooms.get(waiter.room) {
            facts.key(room.db, &room.name);
            facts.flag(room.is_leaving);
        }
        let ask = &waiter.ask;
        facts.flags(&[ask.class.no_stale, ask.class.force, ask.is_tied]);
        facts.numbers(&[u64::from(ask.group.0), u64::from(ask.lease_ms)]);
        facts.number(ask.once_ms.map_or(0, |ms| ms + 1));
        facts.number(ask.known_version.map_or(0, |version| version + 1));
        facts.token(ask.last_mark);
        facts.steady(waiter.gives_up);
        facts.client(waiter.client);
    }

    /// What each cohort waits for, and who is in it.
    pub fn cohort_facts(&self, facts: &mut super::facts::Facts) {
        let mut orders: BTreeMap<Id, Vec<u64>> = BTreeMap::new();
        for (order, _, cohort) in self.in_order(|_| true) {
            orders.entry(cohort).or_default().push(order);
        }
        let mut cohorts: Vec<(Vec<u64>, Id)> = orders.into_iter().map(|(cohort, orders)| (orders, cohort)).collect();
        cohorts.sort_unstable();
        for (orders, cohort) in cohorts {
            let Some(open) = self.cohorts.get(cohort) else { continue };
            facts.list(&orders, |facts, order| facts.order(*order));
            facts.token(open.key.token.map_or(0, Token::get));
            facts.order(open.queued_at.unwrap_or(0));
            facts.flag(self.by_key.get(&open.key) == Some(&cohort));
        }
    }
}
