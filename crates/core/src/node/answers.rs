//! Who is given an answer: a cohort, a room, everybody.

use alloc::vec::Vec;

use super::name::Name;
use super::outbox::{Outcome, Source};
use super::rooms::{Waiter, WaiterId};
use super::slab::Id;
use super::{Effect, Grant, Key, Node, Step};
use crate::answer::{Answer, State};
use crate::error::Error;

/// Rooms answered per turn when everybody is.
const DRAINED_AT_ONCE: usize = 200;

impl Node {
    /// Everybody in a cohort has this answer.
    pub(super) fn answer_cohort(&mut self, cohort: Id, outcome: Outcome, build_ms: u32) {
        self.dequeue(cohort);
        self.rooms.detach(cohort);
        self.outbox.push(Source::Cohort(cohort), outcome.clone(), outcome, build_ms);
    }

    /// Everybody in a room has its answer: `lenient` who takes an old value, `strict` who does not. Listeners are told
    /// the first.
    pub(super) fn answer_room(&mut self, room: Id, lenient: Answer, strict: Answer, build_ms: u32) {
        let (state, number) = (lenient.state(), lenient.number());
        self.tell_listeners(room, state, number);
        self.leave_room(room, Outcome::Answer(lenient), Outcome::Answer(strict), build_ms);
    }

    pub(super) fn answer_waiters(&mut self, key: &Key, lenient: Answer, strict: Answer) {
        if let Some(room) = self.rooms.find(key.db, key.name) {
            self.answer_room(room, lenient, strict, key.entry.build_ms());
        }
    }

    pub(super) fn answer_everybody(&mut self, room: Id, outcome: Outcome) {
        self.tell_listeners(room, State::Wait, 0);
        self.leave_room(room, outcome.clone(), outcome, 0);
    }

    fn leave_room(&mut self, room: Id, lenient: Outcome, strict: Outcome, build_ms: u32) {
        let queued: Vec<Id> = self.rooms.cohorts_of(room, None).collect();
        for cohort in queued {
            self.dequeue(cohort);
        }
        self.drop_reservation(room);
        if self.rooms.get(room).is_some_and(|open| open.waiters > 0) {
            self.rooms.leave_name(room);
            self.outbox.push(Source::Room(room), lenient, strict, build_ms);
        } else {
            self.rooms.close_if_empty(room);
        }
    }

    /// One waiter's answer, at once.
    pub(super) fn release_one(&mut self, id: WaiterId, outcome: Outcome, step: &mut Step) {
        if let Some(waiter) = self.remove_waiter(id) {
            if matches!(outcome, Outcome::Answer(Answer::Wait { .. })) {
                self.counters.waiters_timed_out += 1;
            }
            self.answer(id, &waiter, outcome, None, step);
        }
    }

    /// The same, of one that has left its room: the turn has one client less to release.
    pub(super) fn answer(
        &mut self,
        id: WaiterId,
        waiter: &Waiter,
        outcome: Outcome,
        grant: Option<Grant>,
        step: &mut Step,
    ) {
        self.outbox.charge(outcome.size());
        let (client, since_us) = (waiter.client, waiter.since_us);
        step.effects.push(Effect::Release { waiter: id, outcome, client, since_us, grant });
    }

    /// The cluster is down: who waits is told, as Redis tells its own blocked clients. Ties and handovers are kept.
    pub fn cluster_is_down(&mut self, db: u32, name: &[u8]) {
        if let Some(room) = self.rooms.find(db, name) {
            self.answer_everybody(room, Outcome::Error(Error::ClusterDown));
        }
    }

    /// A visit found the key of a room whose slot is another node's by now.
    pub fn moved_away(&mut self, db: u32, name: &[u8]) {
        self.arrivals.take(db, &Name::new(name));
        if let Some(room) = self.rooms.find(db, name) {
            self.answer_everybody(room, Outcome::Error(Error::TryAgain));
        }
    }

    /// Everybody is told why nobody can wait here any more, a slice of rooms at a time.
    pub(super) fn drain(&mut self) {
        let Some(error) = self.draining.clone() else { return };
        for _ in 0..DRAINED_AT_ONCE {
            let Some((_, room)) = self.rooms.next_named(None) else {
                self.draining = None;
                return;
            };
            self.answer_everybody(room, Outcome::Error(error.clone()));
            // A room that only keeps a permit: nobody is in it.
            self.rooms.close_if_empty(room);
        }
    }
}
