//! The waiting room: the waiters of one key, first come first served.
//!
//! A waiter joins the rebuild of one token and stays with it. Waiters of the entry's current token wait for its fill.
//! Those of a voided token (the key was invalidated) wait for a holder that still builds: its void fill answers them,
//! and when its deadline passes they ask again. So each group keeps the deadline of its own lease.

use std::collections::{BTreeMap, BTreeSet};

use crate::ask::Ask;
use crate::time::UnixMs;
use crate::token::Token;

/// A waiter's number. Given out in the order of arrival, over all rooms: the smaller has waited longer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WaiterId(pub u64);

/// A client parked until the rebuild ends.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Waiter {
    pub ask: Ask,
    /// Its own BLOCK limit; never for BLOCK 0.
    pub gives_up: UnixMs,
}

/// Waiters in the order they came.
pub type Waiters = BTreeMap<WaiterId, Waiter>;

/// The waiters of one key.
#[derive(Default, Clone, PartialEq, Debug)]
pub struct Room {
    groups: BTreeMap<Token, Group>,
    /// Every BLOCK limit, soonest first.
    limits: BTreeSet<(UnixMs, WaiterId)>,
}

/// The waiters that joined one token's rebuild.
#[derive(Clone, PartialEq, Debug)]
struct Group {
    /// The deadline of that token's lease, voided or not.
    deadline: UnixMs,
    waiters: Waiters,
}

impl Room {
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// How many wait. O(groups): one group but for invalidations under way.
    pub fn len(&self) -> usize {
        self.groups.values().map(|group| group.waiters.len()).sum()
    }

    /// When *advance* has something to do here: a lease's deadline or a waiter's own limit, whichever comes first.
    pub fn next_moment(&self) -> Option<UnixMs> {
        let deadline = self.groups.values().map(|group| group.deadline).min();
        let limit = self.limits.first().map(|(moment, _)| *moment);
        match (deadline, limit) {
            (Some(deadline), Some(limit)) => Some(deadline.min(limit)),
            (one, other) => one.or(other),
        }
    }

    /// Whether *advance* has something to do here.
    pub fn is_due(&self, now: UnixMs) -> bool {
        self.next_moment().is_some_and(|moment| moment <= now)
    }

    /// Lets one waiter join `token`'s rebuild, whose lease ends at `deadline`.
    pub fn join(&mut self, token: Token, deadline: UnixMs, id: WaiterId, waiter: Waiter) {
        if !waiter.gives_up.is_never() {
            self.limits.insert((waiter.gives_up, id));
        }
        let group = self.groups.entry(token).or_insert_with(|| Group { deadline, waiters: Waiters::new() });
        group.deadline = deadline;
        group.waiters.insert(id, waiter);
    }

    /// Lets everybody that joined `from` join `to` instead. Costs the same for ten thousand as for one, as long as
    /// nobody had joined `to` before: the usual handover.
    pub(crate) fn merge(&mut self, from: Token, to: Token, deadline: UnixMs) {
        let Some(mut moved) = self.groups.remove(&from) else { return };
        let group = self.groups.entry(to).or_insert_with(|| Group { deadline, waiters: Waiters::new() });
        group.deadline = deadline;
        // `append` rebuilds the tree it appends to; into an empty one it only moves the pointer.
        group.waiters.append(&mut moved.waiters);
    }

    /// Takes out the longest-waiting of those that joined `token`.
    pub(crate) fn take_first(&mut self, token: Token) -> Option<(WaiterId, Waiter)> {
        let (id, waiter) = self.groups.get_mut(&token)?.waiters.pop_first()?;
        self.limits.remove(&(waiter.gives_up, id));
        self.drop_if_empty(token);
        Some((id, waiter))
    }

    /// The waiter went away.
    pub fn leave(&mut self, id: WaiterId) -> Option<Waiter> {
        let (token, waiter) =
            self.groups.iter_mut().find_map(|(token, group)| Some((*token, group.waiters.remove(&id)?)))?;
        self.limits.remove(&(waiter.gives_up, id));
        self.drop_if_empty(token);
        Some(waiter)
    }

    /// The lease of `token` was renewed to `deadline`.
    pub(crate) fn renew(&mut self, token: Token, deadline: UnixMs) {
        if let Some(group) = self.groups.get_mut(&token) {
            group.deadline = deadline;
        }
    }

    /// ms left on the lease that waiter `id` waits for.
    pub fn lease_left_ms(&self, id: WaiterId, now: UnixMs) -> Option<u64> {
        let group = self.groups.values().find(|group| group.waiters.contains_key(&id))?;
        Some(now.until(group.deadline))
    }

    /// Takes out everybody, in the order they came.
    pub fn take_all(&mut self) -> Waiters {
        self.limits.clear();
        let mut all = Waiters::new();
        for (_, mut group) in std::mem::take(&mut self.groups) {
            all.append(&mut group.waiters);
        }
        all
    }

    /// Takes out those that joined `token`.
    pub(crate) fn take_joined(&mut self, token: Token) -> Waiters {
        let Some(group) = self.groups.remove(&token) else { return Waiters::new() };
        if self.groups.is_empty() {
            self.limits.clear();
        } else {
            for (id, waiter) in &group.waiters {
                self.limits.remove(&(waiter.gives_up, *id));
            }
        }
        group.waiters
    }

    /// Takes out those whose lease's deadline has passed, in the order they came: the key holds something that is no
    /// entry, and there is one answer for all of them.
    pub fn take_due(&mut self, now: UnixMs) -> Waiters {
        let mut due = Waiters::new();
        for token in self.due_tokens(now) {
            due.append(&mut self.take_joined(token));
        }
        due
    }

    /// The tokens whose groups' deadlines have passed, oldest first.
    pub(crate) fn due_tokens(&self, now: UnixMs) -> Vec<Token> {
        self.groups.iter().filter(|(_, group)| group.deadline <= now).map(|(token, _)| *token).collect()
    }

    /// Takes out those whose own BLOCK limit has passed, each with the ms left on the lease it waited for.
    pub fn take_given_up(&mut self, now: UnixMs) -> Vec<(WaiterId, u64)> {
        let mut given_up = Vec::new();
        while let Some((_, id)) = self.limits.first().copied().filter(|(limit, _)| *limit <= now) {
            let left_ms = self.lease_left_ms(id, now).unwrap_or(0);
            if self.leave(id).is_none() {
                // Cannot be: `limits` and `groups` change together. Dropped rather than looped on for ever.
                self.limits.retain(|(_, other)| *other != id);
            }
            given_up.push((id, left_ms));
        }
        given_up
    }

    fn drop_if_empty(&mut self, token: Token) {
        if self.groups.get(&token).is_some_and(|group| group.waiters.is_empty()) {
            self.groups.remove(&token);
        }
    }
}
