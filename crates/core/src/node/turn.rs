//! What is due outside a call: deadlines, BLOCK limits, ties, messages, answers. Each piece is bounded, and what is left
//! is due on the next turn; what has a deadline in ms goes before what has none.

use super::groups::Queued;
use super::leases::RecordState;
use super::name::Name;
use super::outbox::{Outcome, Source};
use super::rooms::WaiterId;
use super::{ClientId, Effect, Node, Place, Step};
use crate::answer::Answer;
use crate::lease::LeaseEnd;
use crate::time::{Moment, SteadyMs, UnixMs};
use crate::token::Token;

/// Pieces of each kind per turn: some microseconds each.
const AT_ONCE: usize = 200;

/// Rooms answered per turn when everybody is.
const DRAINED_AT_ONCE: usize = 200;

/// How long a place in a queue is kept for a connection whose BLOCK ran out, in ms.
const PLACE_KEPT_MS: u64 = 1000;

/// How soon a key that could not be looked at is tried again, in ms.
const POSTPONED_MS: u64 = 100;

/// One client that may be released now.
#[derive(Clone, PartialEq, Debug)]
pub struct Released {
    pub waiter: WaiterId,
    pub outcome: Outcome,
    pub client: ClientId,
    /// When it was parked, in microseconds of the clock that is never set.
    pub since_us: u64,
}

/// When the node is due next, by either clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// Work is waiting.
    Now,
    /// At the earlier of the two; `None`: by that clock, never.
    At { wall: Option<UnixMs>, steady: Option<SteadyMs> },
}

impl Node {
    /// One turn: what is due without looking at a key. Keys that must be looked at are had by [`Node::next_visit`].
    pub fn turn(&mut self, moment: Moment, is_paused: bool) -> Step {
        let mut step = Step::new();
        let clock = self.clock(moment, is_paused);
        self.drain(moment);
        self.end_limits(moment, &mut step);
        for _ in 0..AT_ONCE {
            if !step.has_room() {
                break;
            }
            let Some(record) = self.leases.due(clock) else { break };
            self.end_by_deadline(record, clock, &mut step);
        }
        self.end_places(moment.steady());
        self.end_reservations(moment.steady());
        self.outlive(clock.now);
        self.try_again(clock.now);
        self.take_up_postponed(moment.steady());
        // As deadlines: the fills that the server held back come first.
        if !is_paused && self.pause.resumes_at.is_none() {
            self.end_ties();
        }
        self.publish(&mut step);
        self.clean();
        step
    }

    /// Everybody is told why nobody can wait here any more, a slice of rooms at a time.
    fn drain(&mut self, _moment: Moment) {
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

    /// Waiters whose own limit has passed are answered, wherever they are.
    fn end_limits(&mut self, moment: Moment, step: &mut Step) {
        while step.has_room() {
            let Some(id) = self.rooms.past_limit(moment.steady()) else { return };
            let (answer, waiter) = self.give_up(id, moment);
            let Some(waiter) = waiter else { return };
            self.counters.waiters_timed_out += 1;
            let (client, since_us) = (waiter.client, waiter.since_us);
            step.effects.push(Effect::Release {
                waiter: id,
                outcome: Outcome::Answer(answer),
                client,
                since_us,
                grant: None,
            });
        }
    }

    /// A waiter's own limit has passed, or the server ends its wait (CLIENT UNBLOCK): it is told to wait on. Who queued
    /// in a group keeps its place for a second.
    pub fn give_up(&mut self, id: WaiterId, moment: Moment) -> (Answer, Option<super::rooms::Waiter>) {
        let Some(waiter) = self.rooms.waiter(id).cloned() else { return (Answer::Wait { left_ms: 0 }, None) };
        let room = self.rooms.get(waiter.room);
        let place = room.map(|room| (room.db, room.name.clone(), room.current));
        let current = place.as_ref().and_then(|(db, name, current)| self.leases.find(*db, name, (*current)?));
        let lease = current.and_then(|id| self.leases.get(id)).filter(|record| record.state != RecordState::Late);
        let now = moment.now();
        let left_ms = match lease {
            Some(record) => now.until(record.until),
            None => self.groups.get(waiter.ask.group).map_or(0, |group| group.next_end_ms(now)),
        };
        let is_leaving = room.is_some_and(|room| room.is_leaving);
        if let Some((db, name, _)) = place.filter(|_| lease.is_none() && !is_leaving && waiter.client != 0) {
            self.keep_place(waiter.client, db, name, waiter.ask.order, moment.steady());
        }
        (Answer::Wait { left_ms }, self.remove_waiter(id))
    }

    /// A parked client is gone.
    pub fn gone(&mut self, id: WaiterId) -> Option<super::rooms::Waiter> {
        self.remove_waiter(id)
    }

    fn keep_place(&mut self, client: ClientId, db: u32, name: Name, order: u64, now: SteadyMs) {
        let until = now.plus(PLACE_KEPT_MS);
        if let Some(before) = self.places.insert(client, Place { db, name, order, until }) {
            self.places_by_end.remove(&(before.until, client));
        }
        self.places_by_end.insert((until, client));
    }

    fn end_places(&mut self, now: SteadyMs) {
        for _ in 0..AT_ONCE {
            let Some((until, client)) = self.places_by_end.first().copied().filter(|(until, _)| *until <= now) else {
                return;
            };
            self.places_by_end.remove(&(until, client));
            self.places.remove(&client);
        }
    }

    fn end_reservations(&mut self, now: SteadyMs) {
        for _ in 0..AT_ONCE {
            let Some((until, room)) = self.reservations.first().copied().filter(|(until, _)| *until <= now) else {
                return;
            };
            self.reservations.remove(&(until, room));
            if let Some((group, _)) = self.rooms.get_mut(room).and_then(|open| open.reservation.take()) {
                self.give_up_reservation(group);
            }
            self.rooms.close_if_empty(room);
        }
    }

    /// Keys without a value whose time is over are looked at: the server may have been told to keep them longer.
    fn outlive(&mut self, now: UnixMs) {
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
            if !self.is_master() || self.husks.first().is_none_or(|(until, ..)| *until > now) {
                return;
            }
            if let Some((_, db, name)) = self.husks.pop_first() {
                self.visit_key(db, name);
            }
        }
    }

    /// Ends the ties of closed connections: each key is looked at.
    fn end_ties(&mut self) {
        for _ in 0..AT_ONCE {
            let Some(client) = self.gone.first().copied() else { return };
            let tie = self.leases.tied_to(client);
            if !self.is_master() {
                // Kept under nobody: they end when this server is promoted.
                match tie.filter(|_| client != 0) {
                    Some(id) => self.disown(id, client),
                    None => {
                        self.gone.remove(&client);
                    }
                }
                continue;
            }
            let Some(id) = tie else {
                self.gone.remove(&client);
                continue;
            };
            self.leases.untie(id);
            if let Some(record) = self.leases.get(id) {
                let (db, name, token) = (record.db, record.name.clone(), record.token);
                self.orphans.entry((db, name.clone(), token)).or_insert(LeaseEnd::TieClosed);
                self.visit_key(db, name);
            }
        }
    }

    fn disown(&mut self, id: super::slab::Id, client: ClientId) {
        let Some(record) = self.leases.get(id) else { return };
        if let Some(group) = self.groups.get_mut(record.group).filter(|_| record.has_permit) {
            group.holds_no_more(client);
        }
        self.leases.set_holder(id, 0, true);
    }

    /// Messages to listeners. One goes to all of a key at once, and is as dear as they are many.
    fn publish(&mut self, step: &mut Step) {
        while step.has_room() {
            let Some((_, message)) = self.messages.pop_first() else { return };
            self.counters.messages_published += 1;
            step.effects.push(Effect::Publish(message));
        }
    }

    /// What nobody waits for: records of flushed databases, marks beyond the limit, memory of flushed marks.
    fn clean(&mut self) {
        if let Some(chunk) = self.sweep {
            let is_idle = |id, record: &super::leases::Record| self.is_idle(id, record);
            let (records, more) = self.leases.sweep(chunk, is_idle);
            for record in records {
                self.forget_record(record);
            }
            self.sweep = more.then_some(chunk + 1);
        }
        if self.is_master() {
            self.tags.trim(self.settings.max_tags);
        }
        self.tags.free_slice();
        if let Some(husks) = self.flushed_husks.last_mut() {
            let is_empty = (0..AT_ONCE).any(|_| husks.pop_first().is_none());
            if is_empty {
                self.flushed_husks.pop();
            }
        }
    }

    /// A record that was voided without a word, that nobody waits for and no group counts: those of a group without a
    /// limit count too, since it can be given one.
    fn is_idle(&self, id: super::slab::Id, record: &super::leases::Record) -> bool {
        self.leases.is_floored(id) && !record.is_awaited && !record.is_tied && !record.has_permit
    }

    /// The next key to be looked at. Not to be asked while the server is paused: nothing could be written.
    pub fn next_visit(&mut self, moment: Moment) -> Option<(u32, Name)> {
        if self.visits.is_empty() && self.is_master() {
            self.end_stalls();
        }
        if self.visits.is_empty() && self.is_master() {
            self.give_turns(moment);
        }
        self.visits.pop_first().map(|(_, key)| key)
    }

    /// Rooms that a pause has kept undecided.
    fn end_stalls(&mut self) {
        for _ in 0..AT_ONCE {
            let Some(room) = self.stalled.pop_first() else { return };
            self.visit_room(room);
        }
    }

    /// A key that cannot be looked at now: the cluster is down. It is tried again.
    pub fn visit_later(&mut self, db: u32, name: Name, moment: Moment) {
        self.postponed.insert((moment.steady().plus(POSTPONED_MS), db, name));
    }

    fn take_up_postponed(&mut self, now: SteadyMs) {
        for _ in 0..AT_ONCE {
            if self.postponed.first().is_none_or(|(at, ..)| *at > now) {
                return;
            }
            if let Some((_, db, name)) = self.postponed.pop_first() {
                self.visit_key(db, name);
            }
        }
    }

    /// Groups with a permit free, or with a circuit that opened or closed: the first in each queue is looked at.
    fn give_turns(&mut self, moment: Moment) {
        let clock = self.clock(moment, false);
        let due: alloc::vec::Vec<_> = self.due_groups.iter().copied().take(AT_ONCE).collect();
        for id in due {
            let turn = self.groups.get(id).and_then(|group| group.next_turn(clock));
            let room = match turn {
                None => {
                    self.due_groups.remove(&id);
                    continue;
                }
                Some(Queued::Cohort(cohort)) => self.rooms.cohort(cohort).map(|cohort| cohort.key.room),
                Some(Queued::Listeners(room)) => Some(room),
            };
            match room.filter(|room| self.rooms.get(*room).is_some_and(|open| !open.is_leaving)) {
                Some(room) => {
                    self.visit_room(room);
                }
                None => {
                    self.due_groups.remove(&id);
                }
            }
        }
    }

    /// Whether answers are on their way.
    pub fn has_answers(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// The server's memory must be known before [`Node::begin_release`].
    pub fn wants_memory(&self) -> bool {
        self.outbox.wants_memory()
    }

    /// Begins to release parked clients; `is_turn`: on a new turn of the event loop.
    pub fn begin_release(&mut self, moment: Moment, used: Option<u64>, is_turn: bool) {
        if is_turn {
            self.outbox.learn(moment);
        }
        self.outbox.begin(moment, used);
    }

    /// The next client to be released with its answer, and the key it waited for, whose permission is to be asked again;
    /// `None` when the turn is over.
    pub fn next_release(&mut self, moment: Moment) -> Option<(Released, Option<(u32, Name)>)> {
        loop {
            let (number, batch) = self.outbox.turn()?;
            let (source, build_ms) = (batch.source, batch.build_ms);
            let cohort = match source {
                Source::Cohort(cohort) => Some(cohort),
                Source::Room(room) => self.rooms.any_cohort(room),
            };
            let first = cohort.and_then(|cohort| self.rooms.first(cohort));
            let Some((id, waiter)) = first else {
                match (source, cohort) {
                    (_, Some(cohort)) => {
                        self.rooms.drop_if_empty(cohort);
                        if source == Source::Cohort(cohort) {
                            self.outbox.done(number);
                        }
                    }
                    (Source::Room(room), None) => {
                        self.rooms.close_if_empty(room);
                        self.outbox.done(number);
                    }
                    (Source::Cohort(_), None) => self.outbox.done(number),
                }
                continue;
            };
            let outcome = if waiter.ask.class.no_stale { &batch.strict } else { &batch.lenient };
            let mut outcome = outcome.clone();
            if waiter.gives_up <= moment.steady() && matches!(outcome, Outcome::Answer(_)) {
                outcome = Outcome::Answer(Answer::Wait { left_ms: 0 });
            }
            let room = self.rooms.get(waiter.room).map(|room| (room.db, room.name.clone()));
            let room_id = waiter.room;
            let (waiter, _) = self.rooms.take(id)?;
            if let (Source::Cohort(_), Some(cohort)) = (source, cohort) {
                if self.rooms.first(cohort).is_none() {
                    self.rooms.drop_if_empty(cohort);
                    self.outbox.done(number);
                }
            }
            self.outbox.released(number, outcome.size());
            self.count_release(&outcome, build_ms, room.as_ref(), moment.steady_us.saturating_sub(waiter.since_us));
            self.rooms.close_if_empty(room_id);
            let released = Released { waiter: id, outcome, client: waiter.client, since_us: waiter.since_us };
            return Some((released, room));
        }
    }

    fn count_release(&mut self, outcome: &Outcome, build_ms: u32, room: Option<&(u32, Name)>, waited_us: u64) {
        let mut added = super::top::Added { wait_ms: waited_us / 1000, ..super::top::Added::default() };
        match outcome {
            Outcome::Answer(Answer::Wait { .. }) => self.counters.waiters_timed_out += 1,
            // Builds for itself: served, but nothing saved.
            Outcome::Answer(Answer::Pass { .. }) => self.counters.waiters_served += 1,
            Outcome::Answer(_) => {
                self.counters.waiters_served += 1;
                self.counters.rebuilds_saved += 1;
                self.counters.build_ms_saved += u64::from(build_ms);
                added.saved = 1;
            }
            Outcome::Error(_) => {}
        }
        if let Some((db, name)) = room {
            self.top.add(*db, name, added);
        }
    }

    pub fn end_release(&mut self, moment: Moment) {
        if self.outbox.end(moment) {
            self.counters.wake_batches += 1;
        }
    }

    /// The floor of all tags, where replicas and the AOF are yet to be told. Not to be asked while the server is paused.
    pub fn take_floor(&mut self) -> alloc::vec::Vec<crate::codec::MarksRecord> {
        match self.is_master() {
            true => self.tags.take_news(),
            false => alloc::vec::Vec::new(),
        }
    }

    /// When there is something to do.
    pub fn next_due(&self) -> Option<Due> {
        let writes = self.is_master() && !self.pause.is_on;
        let is_now = self.draining.is_some()
            || !self.outbox.is_empty()
            || !self.messages.is_empty()
            || self.sweep.is_some()
            || self.tags.has_garbage()
            || !self.flushed_husks.is_empty()
            || (!self.pause.is_on && !self.visits.is_empty())
            || (self.pause.resumes_at.is_none() && !self.gone.is_empty())
            || (writes && (self.tags.has_news() || !(self.stalled.is_empty() && self.due_groups.is_empty())));
        if is_now {
            return Some(Due::Now);
        }
        // Around a pause, deadlines that fell into it wait for its end.
        let lease = self.leases.next_moment().filter(|_| self.pause.resumes_at.is_none());
        let husk = self.husks.first().map(|(until, ..)| *until).filter(|_| writes);
        let circuit = self.circuits_due().filter(|_| writes);
        let wall = [lease, husk, circuit].into_iter().flatten().min();
        let place = self.places_by_end.first().map(|(until, _)| *until);
        let reservation = self.reservations.first().map(|(until, _)| *until);
        let postponed = self.postponed.first().map(|(at, ..)| *at);
        let steady = [self.rooms.next_limit(), place, reservation, postponed, self.pause.resumes_at];
        let steady = steady.into_iter().flatten().min();
        (wall.is_some() || steady.is_some()).then_some(Due::At { wall, steady })
    }

    /// When the next circuit lets somebody try who queues.
    fn circuits_due(&self) -> Option<UnixMs> {
        self.tried.iter().filter_map(|id| self.groups.get(*id)?.next_moment()).min()
    }

    /// Circuits whose time has come.
    fn try_again(&mut self, now: UnixMs) {
        let is_due = |id: &super::groups::GroupId| {
            self.groups.get(*id).and_then(|group| group.next_moment()).is_some_and(|until| until <= now)
        };
        let due: alloc::vec::Vec<_> = self.tried.iter().copied().filter(is_due).collect();
        for id in due {
            if let Some(group) = self.groups.get_mut(id) {
                group.half_open(now);
            }
            self.due_groups.insert(id);
        }
    }

    /// Rooms that somebody waits in, a slice of them: their slots may have moved away.
    pub fn rooms_after(&self, from: Option<(u32, Name)>, count: usize) -> alloc::vec::Vec<(u32, Name)> {
        let mut found = alloc::vec::Vec::new();
        let mut from = from;
        while found.len() < count {
            let Some((name, _)) = self.rooms.next_named(from) else { break };
            found.push(name.clone());
            from = Some(name);
        }
        found
    }

    /// A lease of this key that is without a holder.
    pub(super) fn next_orphan(&mut self, db: u32, name: &Name) -> Option<(Token, LeaseEnd)> {
        let least = Token::new(1)?;
        let (at, end) = self.orphans.range((db, name.clone(), least)..).next()?;
        let (at, end) = (at.clone(), *end);
        (at.0 == db && at.1 == *name).then(|| {
            self.orphans.remove(&at);
            (at.2, end)
        })
    }
}
