//! Looking at one key: what is due there is done. The timer visits keys that no call is about.

use super::leases::RecordState;
use super::name::Name;
use super::slab::Id;
use super::turn::AT_ONCE;
use super::{Change, Held, Key, Node, Step};
use crate::time::{Clock, Moment, SteadyMs, UnixMs};

/// Deadlines seen to before a call is decided: enough that none is late beside a busy caller.
pub(super) const DUE_AT_ONCE: usize = 3;

/// How soon a key that could not be looked at is tried again, in ms.
const POSTPONED_MS: u64 = 100;

impl Node {
    /// Has a key looked at by the timer.
    pub(super) fn visit_key(&mut self, db: u32, name: Name) {
        self.last_visit += 1;
        self.visits.insert(self.last_visit, (db, name));
    }

    pub(super) fn visit_room(&mut self, room: Id) {
        if let Some(open) = self.rooms.get_mut(room).filter(|open| !open.is_due && !open.is_leaving) {
            open.is_due = true;
            let (db, name) = (open.db, open.name.clone());
            self.visit_key(db, name);
        }
    }

    /// A key that cannot be looked at now: the cluster is down. It is tried again.
    pub fn visit_later(&mut self, db: u32, name: Name, moment: Moment) {
        self.postponed.insert((moment.steady().plus(POSTPONED_MS), db, name));
    }

    pub(super) fn take_up_postponed(&mut self, now: SteadyMs) {
        for _ in 0..AT_ONCE {
            if self.postponed.first().is_none_or(|(at, ..)| *at > now) {
                return;
            }
            if let Some((_, db, name)) = self.postponed.pop_first() {
                self.visit_key(db, name);
            }
        }
    }

    /// The next key to be looked at; `None` when there is none, or the turn has handed over to as many clients as it may.
    /// Not to be asked while the server is paused: nothing could be written.
    pub fn next_visit(&mut self, moment: Moment) -> Option<(u32, Name)> {
        if !self.outbox.has_room() {
            return None;
        }
        if self.visits.is_empty() && self.is_master() {
            self.end_stalls();
        }
        if self.visits.is_empty() && self.is_master() {
            self.give_turns(moment);
        }
        self.visits.pop_first().map(|(_, key)| key)
    }

    /// A key as a visit found it: whatever is due there is done.
    pub fn visit(&mut self, key: &mut Key) -> Step {
        let mut step = Step::new();
        let clock = self.clock(key.moment, key.is_paused);
        if key.is_paused {
            // Nothing could be written: it is due when the pause ends.
            self.visit_key(key.db, Name::new(key.name));
            return step;
        }
        if let Some(room) = self.rooms.find(key.db, key.name) {
            self.sift_on(key, room, clock, &mut step);
        }
        // First: a lease that is void by now is none that came from elsewhere.
        self.settle(key, clock, &mut step);
        self.list_arrival(key, clock, &mut step);
        let name = Name::new(key.name);
        while let Some((token, end)) = self.next_orphan(key.db, &name) {
            self.holder_gone(key, token, end, clock, &mut step);
        }
        self.do_what_is_due(key, clock, &mut step);
        // A key without a value whose time is over goes, whatever end PERSIST or EXPIRE gave it.
        if key.held == Held::Entry && key.entry.value().is_none() {
            match key.entry.is_vacant(clock.now) {
                true => step.raise(Change::Times),
                false => self.watch_husk(key),
            }
        }
        self.finish(key, step)
    }

    /// A visit on a replica: what came in a payload is listed; nothing is changed.
    pub fn observe(&mut self, key: &mut Key) -> Step {
        if let Some(open) = self.rooms.find(key.db, key.name).and_then(|room| self.rooms.get_mut(room)) {
            open.is_due = false;
        }
        self.arrivals.take(key.db, &Name::new(key.name));
        if let Some(lease) = key.entry.lease().filter(|_| key.held == Held::Entry) {
            self.list(key.db, key.name, lease, key.moment);
        }
        Step::new()
    }

    /// Does what is due at this moment for the key at hand, and the next deadlines of others.
    pub(super) fn do_what_is_due(&mut self, key: &mut Key, clock: Clock, step: &mut Step) {
        for _ in 0..DUE_AT_ONCE {
            let Some(record) = self.leases.due(clock) else { break };
            self.end_by_deadline(record, clock, step);
        }
        self.settle(key, clock, step);
        if let Some(lease) = key.entry.lease().filter(|lease| clock.has_passed(lease.deadline)) {
            let record = self.leases.find(key.db, key.name, lease.token);
            let is_live = |id: &Id| self.leases.get(*id).is_some_and(|record| record.state == RecordState::Live);
            if let Some(record) = record.filter(is_live) {
                self.end_by_deadline(record, clock, step);
            }
        }
        self.attend(key, clock, step);
    }

    /// Brings the entry in line with what happened around it: a swap of its database, marks of its tags, windows over.
    pub(super) fn settle(&mut self, key: &mut Key, clock: Clock, step: &mut Step) {
        if key.held != Held::Entry {
            return;
        }
        let floor = self.leases.floor(key.db);
        if let Some(floor) = floor.filter(|floor| key.entry.lease().is_some_and(|lease| lease.token <= *floor)) {
            let lease = key.entry.void_lease_unseen(UnixMs::from_micros(floor.get()));
            self.voided(key, lease, clock, step);
        }
        if let Some(mut judgement) = key.entry.tagged().and_then(|tagged| self.tags.judge(tagged)) {
            // A mark of a master whose clock was ahead is no later than now: what it invalidated is stale.
            judgement.since = judgement.since.min(clock.now);
            if key.entry.judge(judgement) {
                step.raise(Change::Times);
            }
            if key.entry.lease().is_some_and(|lease| lease.token < judgement.mark) {
                // At the mark's moment, whenever that is seen.
                let lease = key.entry.void_lease(Clock::at(UnixMs::from_micros(judgement.mark.get())));
                self.voided(key, lease, clock, step);
            }
        }
        if key.entry.drop_unservable(clock.now) {
            step.raise(Change::Times);
        }
    }

    fn watch_husk(&mut self, key: &Key) {
        let until = key.entry.kept_until();
        if !until.is_never() {
            self.husks.insert(key.db, Name::new(key.name), until);
        }
    }

    /// Keys without a value whose time is over are looked at: the server may have been told to keep them longer.
    pub(super) fn outlive(&mut self, now: UnixMs) {
        for _ in 0..AT_ONCE {
            let Some(id) = self.leases.outlived(now) else { break };
            if let Some(record) = self.leases.get(id) {
                let (db, name) = (record.db, record.name.clone());
                self.forget_record(id);
                if self.is_master() {
                    self.visit_key(db, name);
                }
            }
        }
        for _ in 0..AT_ONCE {
            // On a replica they are its master's, until it is promoted.
            if !self.is_master() || self.husks.first_end().is_none_or(|until| until > now) {
                return;
            }
            if let Some((db, name)) = self.husks.pop_first() {
                self.visit_key(db, name);
            }
        }
    }
}
