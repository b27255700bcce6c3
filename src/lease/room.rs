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

    /// The clock was set back by `ms`: every BLOCK limit moves with it, since it is so long a wait and not a moment.
    /// Deadlines of leases are moments and stay. O(n log n).
    pub fn set_back(&mut self, ms: u64) {
        self.limits.clear();
        for group in self.groups.values_mut() {
            for (id, waiter) in &mut group.waiters {
                waiter.gives_up = waiter.gives_up.minus(ms);
                if !waiter.gives_up.is_never() {
                    self.limits.insert((waiter.gives_up, *id));
                }
            }
        }
    }

    fn drop_if_empty(&mut self, token: Token) {
        if self.groups.get(&token).is_some_and(|group| group.waiters.is_empty()) {
            self.groups.remove(&token);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(number: u64) -> Token {
        Token::new(number).unwrap()
    }

    fn waiter(gives_up: UnixMs) -> Waiter {
        Waiter { ask: Ask { lease_ms: 100, early_beta: 0.0, no_stale: false, force: false, tied: false }, gives_up }
    }

    /// Ids 1, 2, 3... join in this order: (token, the deadline of its lease, own limit).
    fn room(joins: &[(u64, u64, Option<u64>)]) -> Room {
        let mut room = Room::default();
        for (id, (number, deadline, limit)) in (1..).zip(joins) {
            let gives_up = limit.map_or(UnixMs::NEVER, UnixMs::new);
            room.join(token(*number), UnixMs::new(*deadline), WaiterId(id), waiter(gives_up));
        }
        room
    }

    fn ids(waiters: Waiters) -> Vec<u64> {
        waiters.into_keys().map(|id| id.0).collect()
    }

    #[test]
    fn an_empty_room_has_no_moment() {
        let mut room = Room::default();
        assert_eq!((room.is_empty(), room.len(), room.next_moment()), (true, 0, None));
        assert!(!room.is_due(UnixMs::LAST));
        assert_eq!(room.leave(WaiterId(1)), None);
        assert_eq!(room.take_first(token(1)), None);
        assert_eq!(room.take_given_up(UnixMs::LAST), []);
        assert!(room.take_all().is_empty() && room.take_joined(token(1)).is_empty());
    }

    #[test]
    fn the_next_moment_is_a_deadline_or_a_limit_whichever_comes_first() {
        let mut room = room(&[(1, 1000, None), (1, 1000, Some(700)), (2, 900, Some(800))]);
        for (moment, leaves) in [(700, 2), (800, 3), (1000, 1)] {
            assert_eq!(room.next_moment(), Some(UnixMs::new(moment)));
            assert!(!room.is_due(UnixMs::new(moment - 1)) && room.is_due(UnixMs::new(moment)));
            assert!(room.leave(WaiterId(leaves)).is_some());
        }
        assert_eq!(room, Room::default());
    }

    #[test]
    fn who_gives_up_does_so_in_the_order_of_the_limits_then_of_arrival() {
        let mut room = room(&[(1, 1000, Some(500)), (1, 1000, Some(300)), (2, 800, Some(500)), (2, 800, Some(501))]);
        let given_up = room.take_given_up(UnixMs::new(500));
        // Each with what is left of the lease it waited for, not of another's.
        assert_eq!(given_up, [(WaiterId(2), 500), (WaiterId(1), 500), (WaiterId(3), 300)]);
        assert_eq!((room.len(), room.next_moment()), (1, Some(UnixMs::new(501))));
        assert_eq!(room.take_given_up(UnixMs::new(500)), []);
    }

    #[test]
    fn the_longest_waiting_is_taken_first_also_after_others_joined_it_late() {
        let mut room = room(&[(1, 100, None), (2, 200, None), (1, 100, None)]);
        room.merge(token(1), token(2), UnixMs::new(250));
        assert_eq!((room.len(), room.next_moment()), (3, Some(UnixMs::new(250))));
        for id in 1..=3 {
            assert_eq!(room.take_first(token(2)).map(|(id, _)| id), Some(WaiterId(id)));
        }
        assert_eq!(room, Room::default());
    }

    #[test]
    fn merging_keeps_everybody_and_their_limits() {
        let mut room = room(&[(1, 100, Some(90)), (1, 100, None)]);
        room.merge(token(7), token(1), UnixMs::new(1));
        assert_eq!(room.next_moment(), Some(UnixMs::new(90)), "nobody had joined 7: nothing happens");
        room.merge(token(1), token(1), UnixMs::new(150));
        assert_eq!((room.len(), room.lease_left_ms(WaiterId(2), UnixMs::new(100))), (2, Some(50)));
        room.merge(token(1), token(2), UnixMs::new(200));
        assert_eq!((room.len(), room.next_moment()), (2, Some(UnixMs::new(90))));
        assert_eq!(room.take_given_up(UnixMs::new(90)), [(WaiterId(1), 110)]);
        assert_eq!(ids(room.take_joined(token(2))), [2]);
        assert_eq!(room, Room::default());
    }

    #[test]
    fn a_waiter_may_leave_from_any_group_once() {
        let mut room = room(&[(1, 100, Some(90)), (2, 200, Some(80)), (3, 300, None)]);
        for id in [2, 3, 1] {
            assert!(room.leave(WaiterId(id)).is_some());
            assert_eq!(room.leave(WaiterId(id)), None);
            assert_eq!(room.lease_left_ms(WaiterId(id), UnixMs::EPOCH), None);
        }
        assert_eq!(room, Room::default());
    }

    #[test]
    fn a_group_may_be_taken_out_alone() {
        let mut room = room(&[(1, 100, Some(90)), (2, 200, Some(80)), (1, 100, None)]);
        assert_eq!(ids(room.take_joined(token(1))), [1, 3]);
        assert_eq!(room.take_given_up(UnixMs::new(100)), [(WaiterId(2), 100)], "the others' limits left with them");
        assert_eq!(room, Room::default());
    }

    #[test]
    fn all_are_taken_out_in_the_order_they_came() {
        let mut room = room(&[(3, 100, Some(90)), (1, 200, None), (2, 100, None), (1, 200, Some(10))]);
        assert_eq!(ids(room.take_all()), [1, 2, 3, 4]);
        assert_eq!(room, Room::default());
    }

    #[test]
    fn limits_move_with_a_clock_that_is_set_back_and_deadlines_do_not() {
        let mut room = room(&[(1, 2000, Some(1500)), (2, 2000, None), (2, 2000, Some(1700)), (2, 2000, Some(400))]);
        room.set_back(1000);
        assert_eq!(room.take_given_up(UnixMs::EPOCH), [(WaiterId(4), 2000)], "not before the epoch");
        assert_eq!(room.take_given_up(UnixMs::new(700)), [(WaiterId(1), 1300), (WaiterId(3), 1300)]);
        assert_eq!((room.len(), room.next_moment()), (1, Some(UnixMs::new(2000))));
        assert_eq!(room.leave(WaiterId(2)).map(|waiter| waiter.gives_up), Some(UnixMs::NEVER));
        assert_eq!(room, Room::default());
    }

    #[test]
    fn a_renewal_moves_its_own_group() {
        let mut room = room(&[(1, 100, None), (2, 200, None)]);
        room.renew(token(1), UnixMs::new(300));
        room.renew(token(9), UnixMs::new(1));
        assert_eq!(room.next_moment(), Some(UnixMs::new(200)));
        assert_eq!(room.due_tokens(UnixMs::new(300)), [token(1), token(2)]);
        assert_eq!(room.due_tokens(UnixMs::new(299)), [token(2)]);
    }
}
