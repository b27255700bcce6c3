//! Groups: rebuilds that share a source, a limit and a policy.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::decision::Gate;
use crate::lease::Verdict;
use crate::node::calendar::Calendar;
use crate::node::leases::ClientId;
use crate::node::slab::Id;
use crate::node::stats::Tally;
use crate::policy::{Policies, Policy, DEFAULT, NAMES_LIMIT, OTHER};
use crate::time::{Clock, UnixMs};
use crate::token::Token;

mod circuit;
#[cfg(feature = "model")]
mod facts;

pub use circuit::{Breaker, Circuit};

/// A group's number on this node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct GroupId(pub u16);

impl GroupId {
    pub const DEFAULT: Self = Self(0);
    const OTHER: Self = Self(1);
}

/// Who queues.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Queued {
    /// The waiters of one key and class that are decided together.
    Cohort(Id),
    /// The listeners of one key, by its room.
    Listeners(Id),
}

#[derive(Clone, Debug)]
pub struct Group {
    pub name: Arc<[u8]>,
    pub policy: Policy,
    is_configured: bool,
    /// The leases that hold permits, by deadline.
    permits: BTreeSet<(UnixMs, Id)>,
    /// Permits kept for listeners whose turn has come.
    reserved: u32,
    /// Who queues, by the order of the asks: cohorts, and rooms with listeners.
    queue: BTreeMap<u64, Id>,
    listeners: BTreeMap<u64, Id>,
    pub circuit: Breaker,
    /// All its leases, by age.
    pub ages: Calendar,
    /// How many of its leases a connection holds.
    holders: BTreeMap<ClientId, u32>,
    pub live: u64,
    pub granted: Tally,
    pub refused: Tally,
}

#[derive(Clone, Debug)]
pub struct Groups {
    list: Vec<Group>,
    by_name: BTreeMap<Arc<[u8]>, GroupId>,
}

impl Default for Groups {
    fn default() -> Self {
        let mut groups = Self { list: Vec::new(), by_name: BTreeMap::new() };
        groups.add(DEFAULT);
        groups.add(OTHER);
        groups
    }
}

impl Groups {
    pub fn get(&self, id: GroupId) -> Option<&Group> {
        self.list.get(usize::from(id.0))
    }

    pub fn get_mut(&mut self, id: GroupId) -> Option<&mut Group> {
        self.list.get_mut(usize::from(id.0))
    }

    /// The group of a name, counted for itself if it is among the first thousand. `None`: the calls that name none.
    pub fn of(&mut self, name: Option<&[u8]>) -> GroupId {
        let Some(name) = name else { return GroupId::DEFAULT };
        match self.by_name.get(name) {
            Some(id) => *id,
            None if self.list.len() < NAMES_LIMIT + 2 => self.add(name),
            None => GroupId::OTHER,
        }
    }

    pub fn named(&self, name: &[u8]) -> Option<GroupId> {
        self.by_name.get(name).copied()
    }

    pub fn iter(&self) -> impl Iterator<Item = (GroupId, &Group)> {
        self.list.iter().enumerate().map(|(number, group)| (GroupId(number as u16), group))
    }

    pub fn ids(&self) -> impl Iterator<Item = GroupId> {
        (0..self.list.len()).map(|number| GroupId(number as u16))
    }

    /// New policies, all at once. Configured names are counted for themselves, whatever was counted before.
    pub fn configure(&mut self, policies: &Policies) {
        for group in &mut self.list {
            group.policy = Policy::NONE;
            group.is_configured = false;
        }
        for (name, policy) in policies {
            let id = self.by_name.get(name).copied().unwrap_or_else(|| self.add(name));
            if let Some(group) = self.get_mut(id) {
                group.policy = policy.clone();
                group.is_configured = true;
                if policy.fails == 0 {
                    group.circuit.close();
                }
            }
        }
        for group in self.list.iter_mut().filter(|group| !group.is_configured) {
            group.circuit.close();
        }
    }

    /// All circuits are closed: at a start and after a promotion.
    pub fn close_all(&mut self) {
        self.list.iter_mut().for_each(|group| group.circuit.close());
    }

    /// What is counted of each.
    pub fn tallies(&mut self) -> impl Iterator<Item = &mut Tally> {
        self.list.iter_mut().flat_map(|group| [&mut group.granted, &mut group.refused])
    }

    fn add(&mut self, name: &[u8]) -> GroupId {
        let id = GroupId(self.list.len() as u16);
        let name: Arc<[u8]> = name.into();
        self.by_name.insert(name.clone(), id);
        self.list.push(Group::new(name));
        id
    }
}

impl Group {
    fn new(name: Arc<[u8]>) -> Self {
        Self {
            name,
            policy: Policy::NONE,
            is_configured: false,
            permits: BTreeSet::new(),
            reserved: 0,
            queue: BTreeMap::new(),
            listeners: BTreeMap::new(),
            circuit: Breaker::default(),
            ages: Calendar::default(),
            holders: BTreeMap::new(),
            live: 0,
            granted: Tally::default(),
            refused: Tally::default(),
        }
    }

    pub const fn is_configured(&self) -> bool {
        self.is_configured
    }

    /// Whether it says so little that no lease needs to be counted.
    pub const fn is_unlimited(&self) -> bool {
        self.policy.max == 0
    }

    /// Nothing is decided by who holds its leases.
    pub const fn is_plain(&self) -> bool {
        self.policy.max == 0 && self.policy.fails == 0
    }

    pub fn queued(&self) -> usize {
        self.queue.len() + self.listeners.len()
    }

    /// Whether somebody who asked at `order` may have a lease now.
    pub fn gate(&self, order: u64, clock: Clock) -> Gate {
        if let Some(refusal) = self.circuit.refusal(clock) {
            return Gate::Refused(refusal);
        }
        let is_behind = self.head().is_some_and(|(first, _)| first < order);
        match is_behind || !self.has_permit() {
            true => Gate::Full { left_ms: self.next_end_ms(clock.now) },
            false => Gate::Open,
        }
    }

    /// The same of a listener, which cannot be the trial: callers who queue go before it then.
    pub fn gate_of_listener(&self, order: u64, clock: Clock) -> Gate {
        match self.gate(order, clock) {
            Gate::Open if self.circuit.awaits_trial() && !self.queue.is_empty() => Gate::Full { left_ms: 0 },
            gate => gate,
        }
    }

    pub fn has_permit(&self) -> bool {
        self.is_unlimited() || (self.permits.len() as u64 + u64::from(self.reserved)) < u64::from(self.policy.max)
    }

    /// ms until the next of its leases ends; 0 if none holds a permit.
    pub fn next_end_ms(&self, now: UnixMs) -> u64 {
        self.permits.first().map_or(0, |(deadline, _)| now.until(*deadline))
    }

    /// A lease that holds a permit and whose deadline has passed.
    pub fn overdue(&self, clock: Clock) -> Option<Id> {
        self.permits.first().filter(|(deadline, _)| clock.has_passed(*deadline)).map(|(_, lease)| *lease)
    }

    pub fn take_permit(&mut self, deadline: UnixMs, lease: Id) {
        self.permits.insert((deadline, lease));
    }

    pub fn return_permit(&mut self, deadline: UnixMs, lease: Id) {
        self.permits.remove(&(deadline, lease));
    }

    pub fn permits(&self) -> usize {
        self.permits.len()
    }

    pub fn reserve(&mut self) {
        self.reserved += 1;
    }

    pub fn unreserve(&mut self) {
        self.reserved = self.reserved.saturating_sub(1);
    }

    pub fn holds(&mut self, client: ClientId) {
        if client != 0 {
            *self.holders.entry(client).or_default() += 1;
        }
    }

    pub fn holds_no_more(&mut self, client: ClientId) {
        if let Some(count) = self.holders.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                self.holders.remove(&client);
            }
        }
    }

    pub fn is_holder(&self, client: ClientId) -> bool {
        client != 0 && self.holders.contains_key(&client)
    }

    pub fn enqueue(&mut self, order: u64, who: Queued) {
        match who {
            Queued::Cohort(cohort) => self.queue.insert(order, cohort),
            Queued::Listeners(room) => self.listeners.insert(order, room),
        };
    }

    /// Each ask has an order of its own, so it is in one of the two at most.
    pub fn dequeue(&mut self, order: u64) {
        if self.queue.remove(&order).is_none() {
            self.listeners.remove(&order);
        }
    }

    /// The first in the queue; while a trial is awaited, the first caller, if any queues.
    fn head(&self) -> Option<(u64, Queued)> {
        let caller = self.queue.first_key_value().map(|(order, cohort)| (*order, Queued::Cohort(*cohort)));
        let listener = self.listeners.first_key_value().map(|(order, room)| (*order, Queued::Listeners(*room)));
        match (caller, listener) {
            (Some(caller), Some(listener)) if listener.0 < caller.0 && !self.circuit.awaits_trial() => Some(listener),
            (caller, listener) => caller.or(listener),
        }
    }

    /// The first in the queue, if it would be told something else by now than to wait.
    pub fn next_turn(&self, clock: Clock) -> Option<Queued> {
        let (order, who) = self.head()?;
        match self.gate(order, clock) {
            Gate::Full { .. } => None,
            Gate::Open | Gate::Refused(_) => Some(who),
        }
    }

    /// When the circuit lets somebody try again, if anybody queues for that.
    pub fn next_moment(&self) -> Option<UnixMs> {
        match self.circuit.state() {
            Circuit::Open { until, .. } if self.queued() > 0 => Some(until),
            _ => None,
        }
    }

    /// A lease is granted: the trial, if there is to be one.
    pub fn grant(&mut self, token: Token, deadline: UnixMs, clock: Clock) {
        self.granted.add(1);
        self.circuit.grant(token, deadline, clock);
    }

    /// A rebuild under `token` ended. `message`: of a failure.
    pub fn note(&mut self, token: Token, verdict: Verdict, message: &[u8], now: UnixMs) {
        self.circuit.note(&self.policy, token, verdict, message, now);
    }
}
