//! Deciding anew who waited: when a lease ends without a verdict, when a turn comes in a group, when a pause is over.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::name::Name;
use super::outbox::Outcome;
use super::rooms::{Asked, WaiterId};
use super::slab::Id;
use super::top::Added;
use super::{Grant, Held, Key, Node, Step, Writes};
use crate::answer::Answer;
use crate::decision::{Ask, Class, Decision};
use crate::error::Error;
use crate::time::Clock;
use crate::token::Token;

impl Node {
    /// Those who joined a token are to be decided anew, when their key is next at hand.
    pub(super) fn ask_again(&mut self, db: u32, name: &[u8], token: Token) {
        let Some(room) = self.rooms.find(db, name) else { return };
        let cohorts: Vec<Id> = self.rooms.cohorts_of(room, Some(token)).collect();
        for cohort in cohorts {
            let cohort = self.rooms.rename(cohort, None);
            let group = self.rooms.cohort(cohort).and_then(|open| self.groups.get(open.key.group));
            if group.is_some_and(|group| !group.is_unlimited()) {
                // Before its key is looked at: nobody who asked later may have the permit meanwhile.
                self.enqueue(cohort);
            }
        }
        self.visit_room(room);
    }

    /// Decides everybody who is to be decided in the room of the key at hand.
    pub(super) fn attend(&mut self, key: &mut Key, clock: Clock, step: &mut Step) {
        let Some(room) = self.rooms.find(key.db, key.name) else { return };
        if let Some(open) = self.rooms.get_mut(room) {
            open.is_due = false;
        }
        match &key.held {
            Held::String { value } => {
                if let Some(value) = value.clone() {
                    let answer = Answer::hit(value, key.expires, clock.now);
                    self.answer_room(room, answer.clone(), answer, 0);
                }
                return;
            }
            Held::Foreign => {
                self.answer_everybody(room, Outcome::Error(Error::WrongType));
                return;
            }
            Held::Nothing | Held::Entry => {}
        }
        if key.is_paused {
            self.stalled.insert(room);
            return;
        }
        let mut undecided: Vec<(u64, Id)> = self
            .rooms
            .cohorts_of(room, None)
            .filter_map(|cohort| Some((self.rooms.first(cohort)?.1.ask.order, cohort)))
            .collect();
        undecided.sort_unstable();
        for (_, cohort) in undecided {
            self.decide_cohort(key, room, cohort, clock, step);
        }
        self.attend_listeners(key, room, clock, step);
        self.rooms.close_if_empty(room);
    }

    /// Decides one cohort: its first may be granted the lease, the others are answered or wait on together.
    fn decide_cohort(&mut self, key: &mut Key, room: Id, cohort: Id, clock: Clock, step: &mut Step) {
        while step.has_room() {
            let Some((id, waiter)) = self.rooms.first(cohort) else {
                self.dequeue(cohort);
                self.rooms.drop_if_empty(cohort);
                return;
            };
            let (asked, gives_up) = (waiter.ask, waiter.gives_up);
            self.expire_overdue(asked.group, clock, step);
            let gate = self.gate(asked.group, asked.order, Some(room), clock);
            let ask = Ask { early_beta: 0.0, class: asked.class };
            let decision = key.entry.decide(ask, clock, || gate.clone(), || 1.0);
            if !decision.grants() {
                self.settle_cohort(key, room, cohort, &decision, clock);
                return;
            }
            if gives_up <= key.moment.steady() {
                self.release_one(id, Outcome::Answer(Answer::Wait { left_ms: 0 }), step);
                continue;
            }
            if !key.environment.permits(id) {
                self.release_one(id, Outcome::Error(Error::NoPermission), step);
                continue;
            }
            if let Writes::Refused(error) = key.environment.writes() {
                self.refuse_cohort(key, cohort, asked.class, error, clock);
                return;
            }
            // The rest are decided anew beside that lease: an old value may serve them, or they wait for it.
            self.grant_waiter(key, id, &asked, clock, step);
        }
        self.visit_room(room);
    }

    /// Hands the lease over to the first of a cohort.
    fn grant_waiter(&mut self, key: &mut Key, id: WaiterId, asked: &Asked, clock: Clock, step: &mut Step) {
        // Out of its cohort first: the others join the lease.
        let cohort = self.rooms.first_cohort_of(id);
        let Some((waiter, _)) = self.rooms.take(id) else { return };
        if let Some(cohort) = cohort {
            self.dequeue(cohort);
            self.rooms.drop_if_empty(cohort);
        }
        let Some(answer) = self.grant(key, asked, waiter.client, clock, step) else {
            self.answer(id, &waiter, Outcome::Answer(Answer::Wait { left_ms: 0 }), None, step);
            return;
        };
        self.counters.handovers += 1;
        self.counters.waiters_served += 1;
        let waited_ms = key.moment.steady_us.saturating_sub(waiter.since_us) / 1000;
        self.top.add(key.db, key.name, Added { wait_ms: waited_ms, ..Added::default() });
        let grant = answer.granted().map(|token| Grant { db: key.db, name: Name::new(key.name), token });
        self.answer(id, &waiter, Outcome::Answer(answer), grant, step);
    }

    /// What is decided for a whole cohort.
    fn settle_cohort(&mut self, key: &mut Key, room: Id, cohort: Id, decision: &Decision, clock: Clock) {
        match decision {
            Decision::Behind { .. } => {
                self.dequeue(cohort);
                let token = key.entry.lease().map(|lease| lease.token);
                self.rooms.rename(cohort, token);
                self.await_lease(key, room);
            }
            Decision::Full { .. } => self.enqueue(cohort),
            decision => {
                let outcome = Outcome::Answer(key.entry.answer(decision, clock.now));
                self.answer_cohort(cohort, outcome, key.entry.build_ms());
            }
        }
    }

    /// The server writes nothing now: STALE where there is a value to serve, else its own error.
    fn refuse_cohort(&mut self, key: &Key, cohort: Id, class: Class, error: Arc<[u8]>, clock: Clock) {
        let is_servable = !class.no_stale && key.entry.is_servable(clock.now);
        let outcome = match is_servable {
            true => Outcome::Answer(key.entry.answer(&Decision::Stale { lease_left_ms: 0 }, clock.now)),
            false => Outcome::Error(Error::Server(error)),
        };
        self.answer_cohort(cohort, outcome, key.entry.build_ms());
    }
}
