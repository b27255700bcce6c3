//! Who is parked, and until when by its own limit.

use super::ask::Call;
use super::leases::{LeaseTable, RecordState};
use super::outbox::Outcome;
use super::rooms::{Asked, CohortKey, Waiter, WaiterId};
use super::slab::Id;
use super::{Caller, Effect, Form, Key, Node, Parking, Reply, Step};
use crate::answer::Answer;
use crate::decision::Decision;
use crate::time::{Moment, SteadyMs};

impl Node {
    /// Parks the caller, has it listen, or tells it to wait.
    pub(super) fn wait(
        &mut self,
        key: &mut Key,
        call: &Call,
        decision: &Decision,
        otherwise: Answer,
        step: &mut Step,
    ) -> Reply {
        let Call { options, caller, form, ref asked, .. } = *call;
        let of_group = self.groups.get(asked.group).and_then(|group| group.policy.block_ms);
        let by_policy = of_group.filter(|ms| *ms > 0 && !options.notify);
        let block_ms = options.block_ms.or(by_policy).filter(|_| form == Form::Single);
        let Some(block_ms) = block_ms else {
            self.listen(key, call, decision);
            return Reply::Answer(otherwise);
        };
        let is_full = matches!(decision, Decision::Full { .. });
        if self.is_behind_itself(key, asked, caller, is_full) || !self.may_park(key, caller, step) {
            self.listen(key, call, decision);
            return Reply::Answer(otherwise);
        }
        let gives_up = if block_ms == 0 { SteadyMs::NEVER } else { key.moment.steady().plus(block_ms) };
        let token = match decision {
            Decision::Behind { .. } => key.entry.lease().map(|lease| lease.token),
            _ => None,
        };
        let room = self.rooms.open(key.db, key.name);
        let waiter = self.rooms.park(room, token, *asked, gives_up, caller.client, key.moment.steady_us);
        self.peak_since_look = self.peak_since_look.max(self.waiters());
        self.waiters_peak = self.waiters_peak.max(self.peak_since_look);
        match token {
            Some(_) => self.await_lease(key, room),
            None => self.queue_up(room, asked, is_full),
        }
        Reply::Park { waiter, otherwise }
    }

    /// A connection that holds this key's lease, or another of a full group, would wait for itself.
    fn is_behind_itself(&self, key: &Key, asked: &Asked, caller: Caller, is_full: bool) -> bool {
        if caller.client == 0 {
            return false;
        }
        if is_full {
            return self.groups.get(asked.group).is_some_and(|group| group.is_holder(caller.client));
        }
        let record = key.entry.lease().and_then(|lease| self.leases.find(key.db, key.name, lease.token));
        record.and_then(|id| self.leases.get(id)).is_some_and(|record| record.holder == caller.client)
    }

    fn may_park(&mut self, key: &mut Key, caller: Caller, step: &mut Step) -> bool {
        if caller.client == 0 {
            return false;
        }
        let waiters = self.rooms.waiters() as u64;
        let room = self.rooms.find(key.db, key.name).and_then(|room| self.rooms.get(room));
        let here = room.map_or(0, |room| u64::from(room.waiters));
        let (counter, reason) = if waiters >= self.settings.max_waiters {
            (&mut self.counters.waiters_refused_max_waiters, "corral.max-waiters is reached")
        } else if here >= self.settings.max_waiters_per_key {
            (&mut self.counters.waiters_refused_max_waiters_per_key, "corral.max-waiters-per-key is reached")
        } else {
            match key.environment.parking(waiters, self.settings.waiters_memory_percent) {
                Parking::Possible => return true,
                Parking::Denied => return false,
                Parking::Memory => (
                    &mut self.counters.waiters_refused_memory,
                    "parked clients hold as much memory as corral.waiters-memory-percent or maxmemory allows",
                ),
                Parking::Clients => {
                    (&mut self.counters.waiters_refused_clients, "nearly maxclients clients are connected")
                }
            }
        };
        *counter += 1;
        self.counters.waiters_refused += 1;
        step.effects.push(Effect::NotParked { reason });
        false
    }

    /// The server declined to park a client: as if it had not asked to be.
    pub fn not_parked(&mut self, waiter: WaiterId) {
        self.remove_waiter(waiter);
    }

    /// Who waits for the key's lease is told when it ends, before others' deadlines are seen to.
    pub(super) fn await_lease(&mut self, key: &Key, room: Id) {
        let Some(lease) = key.entry.lease() else { return };
        if let Some(room) = self.rooms.get_mut(room) {
            room.current = Some(lease.token);
        }
        let find = |leases: &LeaseTable| leases.find(key.db, key.name, lease.token);
        let record = find(&self.leases).and_then(|id| self.leases.get(id));
        let is_over = self.noted_clock(key.moment).has_passed(lease.deadline);
        if !is_over && record.is_none_or(|record| record.state == RecordState::Late) {
            // The clock was set back, or a pause holds deadlines: what was over is live again, and is still to end.
            let holder = record.map_or(0, |record| record.holder);
            self.refile(key.db, key.name, lease, holder);
        }
        if let Some(record) = find(&self.leases) {
            self.leases.await_end(record);
        }
    }

    /// Puts a room's undecided cohort into its group's queue, or among those that a pause keeps.
    fn queue_up(&mut self, room: Id, asked: &Asked, is_full: bool) {
        if !is_full {
            self.stalled.insert(room);
            return;
        }
        let key = CohortKey { room, token: None, group: asked.group, class: asked.class };
        let cohort = self.rooms.undecided(key);
        self.enqueue(cohort);
    }

    /// Waiters whose own limit has passed are answered, wherever they are.
    pub(super) fn end_limits(&mut self, moment: Moment, step: &mut Step) {
        while step.has_room() && self.outbox.has_room_for_limits() {
            let Some(id) = self.rooms.past_limit(moment.steady()) else { return };
            let (answer, waiter) = self.give_up(id, moment);
            let Some(waiter) = waiter else { return };
            self.counters.waiters_timed_out += 1;
            self.answer(id, &waiter, Outcome::Answer(answer), None, step);
        }
    }

    /// A waiter's own limit has passed, or the server ends its wait (CLIENT UNBLOCK): it is told to wait on. Who queued
    /// in a group keeps its place for a second.
    pub fn give_up(&mut self, id: WaiterId, moment: Moment) -> (Answer, Option<Waiter>) {
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
    pub fn gone(&mut self, id: WaiterId) -> Option<Waiter> {
        self.remove_waiter(id)
    }

    /// Takes a waiter out, and keeps its queue in order.
    pub(super) fn remove_waiter(&mut self, id: WaiterId) -> Option<Waiter> {
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
}
