//! Deciding anew who waited: when a lease ends without a verdict, when a turn comes in a group, when a pause ends.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::groups::{GroupId, Queued};
use super::leases::RecordState;
use super::name::Name;
use super::outbox::{Outcome, Source};
use super::rooms::{Asked, WaiterId};
use super::slab::Id;
use super::{Change, Effect, Grant, Held, Key, Node, Step, Word, Writes};
use crate::answer::{until, Answer, Payload, State};
use crate::decision::{Ask, Class, Decision, Gate};
use crate::entry::Failure;
use crate::error::Error;
use crate::lease::{Lease, LeaseEnd};
use crate::time::{Clock, UnixMs};
use crate::token::Token;

/// Deadlines seen to before a call is decided: enough that none is late beside a busy caller.
const DUE_AT_ONCE: usize = 4;

/// How long a permit is kept for a listener's next ask, in ms.
const RESERVED_MS: u64 = 100;

/// The message of a key whose ties closed twice in a row.
pub const BUILDER_DIED: &[u8] = b"the builder died";

impl Node {
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

    /// Takes whatever lease there is: its holder's fill will not be stored.
    pub(super) fn void(&mut self, key: &mut Key, clock: Clock, step: &mut Step) {
        let lease = key.entry.void_lease(clock);
        self.voided(key, lease, clock, step);
    }

    fn voided(&mut self, key: &Key, lease: Option<Box<Lease>>, clock: Clock, step: &mut Step) {
        let Some(lease) = lease else { return };
        step.raise(if lease.once_ms().is_some() { Change::Times } else { Change::Lease });
        step.signals = true;
        if key.is_paused {
            // Of a copy: the key's own lease is voided when it can be written.
            return;
        }
        self.end_record(key.db, key.name, &lease, LeaseEnd::Voided, b"", clock.now);
    }

    /// Takes the lease from the entry if `token` is its current one.
    pub(super) fn end_lease(
        &mut self,
        key: &mut Key,
        token: Token,
        end: LeaseEnd,
        message: &[u8],
        step: &mut Step,
    ) -> Option<Box<Lease>> {
        if key.entry.lease().map(|lease| lease.token) != Some(token) {
            return None;
        }
        let lease = key.entry.lease.take()?;
        step.raise(Change::Lease);
        step.signals = true;
        self.end_record(key.db, key.name, &lease, end, message, key.moment.now());
        Some(lease)
    }

    /// A key's lease ended: what the table, its group and its ties make of that.
    pub(super) fn end_record(
        &mut self,
        db: u32,
        name: &[u8],
        lease: &Lease,
        end: LeaseEnd,
        message: &[u8],
        now: UnixMs,
    ) {
        match self.leases.find(db, name, lease.token) {
            Some(record) => self.end_of(record, end, message, now),
            None => {
                let group = self.groups.of(lease.group().map(|group| &**group));
                self.note(group, lease.token, end, message, now);
            }
        }
    }

    /// The holder of a lease that is not the key's any more has spoken: in vain, but its permit comes back.
    pub(super) fn spoken_in_vain(
        &mut self,
        db: u32,
        name: &[u8],
        token: Token,
        end: LeaseEnd,
        message: &[u8],
        now: UnixMs,
    ) {
        if let Some(record) = self.leases.find(db, name, token) {
            self.end_of(record, end, message, now);
        } else {
            // A trial whose record is gone may still speak.
            let group = self.groups.iter().find(|(_, group)| group.is_trial(token)).map(|(id, _)| id);
            if let Some(group) = group {
                self.note(group, token, end, message, now);
            }
        }
    }

    pub(super) fn note(&mut self, group: GroupId, token: Token, end: LeaseEnd, message: &[u8], now: UnixMs) {
        if let Some(of) = self.groups.get_mut(group) {
            of.note(token, end.verdict(), message, now);
            match of.circuit() {
                super::groups::Circuit::Closed => self.tried.remove(&group),
                _ => self.tried.insert(group),
            };
        }
        self.due_groups.insert(group);
    }

    pub(super) fn end_of(&mut self, id: Id, end: LeaseEnd, message: &[u8], now: UnixMs) {
        let Some(record) = self.leases.get(id) else { return };
        let (group, token, state, until) = (record.group, record.token, record.state, record.until);
        self.note(group, token, end, message, now);
        if end.returns_permit() {
            self.give_back_permit(id);
        }
        // Of a voided lease that nobody waits for and that holds no permit, nothing is left to be seen to.
        let is_of_use = self.leases.get(id).is_some_and(|record| record.is_awaited || record.has_permit);
        match (end, state) {
            (LeaseEnd::Voided, RecordState::Live) if is_of_use => {
                self.retire(id, RecordState::Void, until);
            }
            (LeaseEnd::Voided, RecordState::Void) => {}
            _ => self.forget_record(id),
        }
    }

    fn give_back_permit(&mut self, id: Id) {
        let Some(record) = self.leases.get_mut(id) else { return };
        let (group, until, holder) = (record.group, record.until, record.holder);
        if core::mem::take(&mut record.has_permit) {
            if let Some(group) = self.groups.get_mut(group) {
                group.return_permit(until, id);
                group.holds_no_more(holder);
            }
            self.due_groups.insert(group);
        }
    }

    /// Removes a record, whatever it still had.
    pub(super) fn forget_record(&mut self, id: Id) {
        self.give_back_permit(id);
        let Some((group, state)) = self.leases.get(id).map(|record| (record.group, record.state)) else { return };
        if let Some(group) = self.groups.get_mut(group) {
            self.leases.remove(id, &mut group.ages);
            group.live = group.live.saturating_sub(u64::from(state == RecordState::Live));
        }
    }

    /// A record's lease is live no longer.
    pub(super) fn retire(&mut self, id: Id, state: RecordState, until: UnixMs) {
        let Some(record) = self.leases.get(id) else { return };
        if let Some(group) = self.groups.get_mut(record.group).filter(|_| record.state == RecordState::Live) {
            group.live = group.live.saturating_sub(1);
        }
        self.leases.move_to(id, state, until);
    }

    /// A lease's deadline has passed, or that of one voided before. The key is not at hand: those who waited are
    /// decided when it is visited.
    pub(super) fn end_by_deadline(&mut self, id: Id, clock: Clock, step: &mut Step) {
        let Some(record) = self.leases.get(id) else { return };
        let (db, name, token, holder) = (record.db, record.name.clone(), record.token, record.holder);
        let (group, state) = (record.group, record.state);
        let is_silent = state != RecordState::Live || self.leases.is_floored(id);
        self.give_back_permit(id);
        if is_silent {
            // It ended when it was voided, which is no failure of the source.
            self.note(group, token, LeaseEnd::Voided, b"", clock.now);
            self.forget_record(id);
        } else {
            self.note(group, token, LeaseEnd::Expired, b"a lease expired", clock.now);
            let late_until = self.late_until(id);
            self.retire(id, RecordState::Late, late_until);
            self.leases.untie(id);
            if self.is_master() {
                self.counters.leases_expired += 1;
            }
            step.effects.push(Effect::Expired { db, name: name.clone(), token, holder });
        }
        self.ask_again(db, &name, token);
    }

    /// Until when a late holder can still fill: the key is visited then, and knows better.
    fn late_until(&self, id: Id) -> UnixMs {
        self.leases.get(id).map_or(UnixMs::EPOCH, |record| record.until.plus(u64::from(record.length_ms)))
    }

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

    /// What a group says to somebody who asked at `order`.
    pub(super) fn gate(&self, group: GroupId, order: u64, room: Option<Id>, clock: Clock) -> Gate {
        let Some(of) = self.groups.get(group) else { return Gate::Open };
        self.gate_beside_reservation(of.gate(order, clock), group, room)
    }

    fn gate_beside_reservation(&self, gate: Gate, group: GroupId, room: Option<Id>) -> Gate {
        let is_reserved =
            room.and_then(|room| self.rooms.get(room)?.reservation).is_some_and(|(reserved, _)| reserved == group);
        match gate {
            Gate::Full { .. } if is_reserved => Gate::Open,
            gate => gate,
        }
    }

    /// A lease past its deadline holds no permit, whether or not the timer has come to it.
    pub(super) fn expire_overdue(&mut self, group: GroupId, clock: Clock, step: &mut Step) {
        for _ in 0..DUE_AT_ONCE {
            let Some(record) = self.groups.get(group).and_then(|group| group.overdue(clock)) else { return };
            self.end_by_deadline(record, clock, step);
        }
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
                    let stale_in_ms = until(clock.now, key.expires);
                    let answer = Answer::Hit { value: Payload::Bytes(value), stale_in_ms };
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
        let client = waiter.client;
        let Some(answer) = self.grant(key, asked, client, clock, step) else {
            let outcome = Outcome::Answer(Answer::Wait { left_ms: 0 });
            step.effects.push(Effect::Release { waiter: id, outcome, client, since_us: waiter.since_us, grant: None });
            return;
        };
        self.counters.handovers += 1;
        self.counters.waiters_served += 1;
        let waited_ms = key.moment.steady_us.saturating_sub(waiter.since_us) / 1000;
        self.top.add(key.db, key.name, super::top::Added { wait_ms: waited_ms, ..super::top::Added::default() });
        let grant = answer.granted().map(|token| Grant { db: key.db, name: Name::new(key.name), token });
        step.effects.push(Effect::Release {
            waiter: id,
            outcome: Outcome::Answer(answer),
            client,
            since_us: waiter.since_us,
            grant,
        });
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
    fn refuse_cohort(&mut self, key: &Key, cohort: Id, class: Class, error: alloc::sync::Arc<[u8]>, clock: Clock) {
        let is_servable = !class.no_stale && key.entry.is_servable(clock.now);
        let outcome = match is_servable {
            true => Outcome::Answer(key.entry.answer(&Decision::Stale { lease_left_ms: 0 }, clock.now)),
            false => Outcome::Error(Error::Server(error)),
        };
        self.answer_cohort(cohort, outcome, key.entry.build_ms());
    }

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

    pub(super) fn answer_everybody(&mut self, room: Id, outcome: Outcome) {
        self.tell_listeners(room, State::Wait, 0);
        self.leave_room(room, outcome.clone(), outcome, 0);
    }

    fn leave_room(&mut self, room: Id, lenient: Outcome, strict: Outcome, build_ms: u32) {
        let queued: Vec<Id> = self.rooms.cohorts_of(room, None).collect();
        for cohort in queued {
            self.dequeue(cohort);
        }
        if let Some((group, at)) = self.rooms.get_mut(room).and_then(|open| open.reservation.take()) {
            self.reservations.remove(&(at, room));
            self.give_up_reservation(group);
        }
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
            let (client, since_us) = (waiter.client, waiter.since_us);
            if matches!(outcome, Outcome::Answer(Answer::Wait { .. })) {
                self.counters.waiters_timed_out += 1;
            }
            step.effects.push(Effect::Release { waiter: id, outcome, client, since_us, grant: None });
        }
    }

    /// Takes a waiter out, and keeps its queue in order.
    pub(super) fn remove_waiter(&mut self, id: WaiterId) -> Option<super::rooms::Waiter> {
        let (waiter, changed) = self.rooms.take(id)?;
        if let Some(cohort) = changed {
            let was_queued = self.rooms.cohort(cohort).is_some_and(|cohort| cohort.queued_at.is_some());
            if was_queued {
                self.dequeue(cohort);
                if self.rooms.first(cohort).is_some() {
                    self.enqueue(cohort);
                }
            }
            self.rooms.drop_if_empty(cohort);
        }
        self.rooms.close_if_empty(waiter.room);
        Some(waiter)
    }

    /// Puts an undecided cohort into its group's queue, at its first waiter's place.
    pub(super) fn enqueue(&mut self, cohort: Id) {
        let Some(order) = self.rooms.first(cohort).map(|(_, waiter)| waiter.ask.order) else { return };
        let Some(open) = self.rooms.cohort_mut(cohort) else { return };
        let group = open.key.group;
        let before = open.queued_at.replace(order);
        if before == Some(order) {
            return;
        }
        if let Some(of) = self.groups.get_mut(group) {
            if let Some(before) = before {
                of.dequeue(before);
            }
            of.enqueue(order, Queued::Cohort(cohort));
        }
        self.due_groups.insert(group);
    }

    pub(super) fn dequeue(&mut self, cohort: Id) {
        let Some(open) = self.rooms.cohort_mut(cohort) else { return };
        let group = open.key.group;
        if let Some(order) = open.queued_at.take() {
            if let Some(of) = self.groups.get_mut(group) {
                of.dequeue(order);
            }
            self.due_groups.insert(group);
        }
    }

    /// Tells those who listen to the key at hand, if there is something to tell.
    fn attend_listeners(&mut self, key: &mut Key, room: Id, clock: Clock, step: &mut Step) {
        let Some(listening) = self.rooms.get(room).and_then(|open| open.listening) else { return };
        self.expire_overdue(listening.group, clock, step);
        let group = self.groups.get(listening.group);
        let gate = group.map_or(Gate::Open, |group| group.gate_of_listener(listening.order, clock));
        let gate = self.gate_beside_reservation(gate, listening.group, Some(room));
        let awaits_trial = group.is_some_and(super::groups::Group::awaits_trial);
        let ask = Ask { early_beta: 0.0, class: Class::default() };
        match key.entry.decide(ask, clock, || gate.clone(), || 1.0) {
            Decision::Behind { .. } => {
                self.dequeue_listeners(room);
                self.await_lease(key, room);
            }
            Decision::Full { .. } => {
                if !listening.is_queued {
                    if let Some(open) = self.rooms.get_mut(room).and_then(|open| open.listening.as_mut()) {
                        open.is_queued = true;
                    }
                    if let Some(group) = self.groups.get_mut(listening.group) {
                        group.enqueue(listening.order, Queued::Listeners(room));
                    }
                }
            }
            decision if decision.grants() => {
                if listening.is_queued && !awaits_trial {
                    self.reserve(room, listening.group, key);
                }
                self.tell_listeners(room, State::Wait, 0);
            }
            decision => {
                let answer = key.entry.answer(&decision, clock.now);
                self.tell_listeners(room, answer.state(), answer.number());
            }
        }
    }

    /// Takes the listeners of a room out of their group's queue.
    pub(super) fn dequeue_listeners(&mut self, room: Id) {
        let Some(listening) = self.rooms.get_mut(room).and_then(|open| open.listening.as_mut()) else { return };
        if core::mem::take(&mut listening.is_queued) {
            let (group, order) = (listening.group, listening.order);
            if let Some(group) = self.groups.get_mut(group) {
                group.dequeue(order);
            }
            self.due_groups.insert(group);
        }
    }

    /// Keeps a permit for the key's next ask.
    fn reserve(&mut self, room: Id, group: GroupId, key: &Key) {
        let until = key.moment.steady().plus(RESERVED_MS);
        let Some(of) = self.groups.get_mut(group).filter(|of| !of.is_unlimited()) else { return };
        if let Some(open) = self.rooms.get_mut(room).filter(|open| open.reservation.is_none()) {
            open.reservation = Some((group, until));
            of.reserve();
            self.reservations.insert((until, room));
        }
    }

    /// The key's ask has come, of this group or of another.
    pub(super) fn use_reservation(&mut self, room: Id, _by: GroupId) {
        if let Some((group, until)) = self.rooms.get_mut(room).and_then(|open| open.reservation.take()) {
            self.reservations.remove(&(until, room));
            self.give_up_reservation(group);
        }
    }

    pub(super) fn give_up_reservation(&mut self, group: GroupId) {
        if let Some(of) = self.groups.get_mut(group) {
            of.unreserve();
        }
        self.due_groups.insert(group);
    }

    /// A tie closed, or a grant did not reach its client: the key at hand is without a holder.
    pub(super) fn holder_gone(&mut self, key: &mut Key, token: Token, end: LeaseEnd, clock: Clock, step: &mut Step) {
        if key.entry.lease().map(|lease| lease.token) != Some(token) {
            // Voided before: who joined it has nobody to wait for.
            self.spoken_in_vain(key.db, key.name, token, end, b"", clock.now);
            self.ask_again(key.db, key.name, token);
            return;
        }
        if end == LeaseEnd::Lost {
            self.end_lease(key, token, end, b"", step);
            step.tell_end(Some(Word::Release));
        } else {
            self.close_tie(key, token, clock, step);
        }
        self.ask_again(key.db, key.name, token);
    }

    /// As a deadline: the holder's late fill still lands if nobody took over. Twice in a row it is a failure: a build
    /// that kills its process must not kill the waiters' processes in turn.
    fn close_tie(&mut self, key: &mut Key, token: Token, clock: Clock, step: &mut Step) {
        let now = clock.now;
        let Some(lease) = key.entry.lease.as_deref_mut() else { return };
        if lease.deadline <= now {
            return;
        }
        // Over from here, also where deadlines are held for the fills of a pause: it is no deadline that passed.
        lease.deadline = now.min(clock.held_from.minus(1));
        lease.is_tied = false;
        let late_until = now.plus(u64::from(lease.length_ms));
        let policy = self.groups.of(lease.group().map(|group| &**group));
        let backoff_ms = self.groups.get(policy).and_then(|group| group.policy.backoff_ms);
        if let Some(record) = self.leases.find(key.db, key.name, token) {
            self.note(policy, token, LeaseEnd::TieClosed, b"", now);
            self.give_back_permit(record);
            self.retire(record, RecordState::Late, late_until);
            self.leases.untie(record);
        }
        step.raise(Change::Times);
        let rare = key.entry.rare_or_insert();
        rare.broken_ties = rare.broken_ties.saturating_add(1);
        rare.has_failed = true;
        if rare.broken_ties >= 2 {
            rare.broken_ties = 0;
            self.fail_key(key, BUILDER_DIED, backoff_ms, now);
            step.tell_end(Some(Word::Fail));
        } else {
            step.tell_end(Some(Word::Release));
        }
    }

    /// Records a failure of the key: its message, and the back-off, doubled for failures in a row.
    pub(super) fn fail_key(&mut self, key: &mut Key, message: &[u8], backoff_ms: Option<u64>, now: UnixMs) {
        let asked_ms = backoff_ms.unwrap_or(self.settings.backoff_ms);
        let rare = key.entry.rare_or_insert();
        let doublings = rare.failures_in_a_row.min(63);
        rare.failures_in_a_row = rare.failures_in_a_row.saturating_add(1);
        rare.has_failed = true;
        let doubled = asked_ms.saturating_mul(1 << doublings).min(self.settings.backoff_max_ms);
        let until = now.plus(asked_ms.max(doubled));
        rare.failure = Some(Failure { message: message.into(), until });
        self.counters.failures += 1;
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
}
