//! GETORLOCK: the one call that asks.

use alloc::boxed::Box;

use super::groups::{GroupId, Queued};
use super::leases::RecordState;
use super::rooms::{Asked, Listening};
use super::slab::Id;
use super::{Becomes, Caller, Effect, Held, Key, Node, Parking, Reply, Step, Writes};
use crate::answer::{until, Answer, Payload};
use crate::decision::{Ask, Cause, Decision};
use crate::error::Error;
use crate::policy::Policy;
use crate::request::Options;
use crate::time::{Clock, SteadyMs};

/// How a call may be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// GETORLOCK.
    Single,
    /// One key of MGETORLOCK: never parked, never an error where another key could be served.
    Batch,
}

impl Node {
    pub fn get_or_lock(&mut self, key: &mut Key, options: &Options, caller: Caller, form: Form) -> Step {
        if !key.is_paused {
            return self.get_or_lock_now(key, options, caller, form);
        }
        // Nothing can be written: what the entry would become is seen by this call alone.
        let mut seen = key.entry.clone();
        let mut shown = Key { entry: &mut seen, held: key.held.clone(), environment: &mut *key.environment, ..*key };
        let mut step = self.get_or_lock_now(&mut shown, options, caller, form);
        step.effects.retain(|effect| !matches!(effect, Effect::Notify(_)));
        Step { becomes: Becomes::Same, signals: false, ..step }
    }

    fn get_or_lock_now(&mut self, key: &mut Key, options: &Options, caller: Caller, form: Form) -> Step {
        let mut step = Step::new();
        step.reply = match self.asked(key, options, caller, form, &mut step) {
            Ok(reply) => reply,
            Err(error) => Reply::Error(error),
        };
        self.finish(key, step)
    }

    fn asked(
        &mut self,
        key: &mut Key,
        options: &Options,
        caller: Caller,
        form: Form,
        step: &mut Step,
    ) -> Result<Reply, Error> {
        if options.is_tied && caller.client == 0 {
            return Err(Error::TiedWithoutConnection);
        }
        if options.notify && key.db != 0 {
            return Err(Error::NotifyDatabase);
        }
        match &key.held {
            Held::String { .. } => {
                self.counters.hits += 1;
                let stale_in_ms = until(key.moment.now(), key.expires);
                return Ok(Reply::Answer(Answer::Hit { value: Payload::String, stale_in_ms }));
            }
            Held::Foreign => return Err(Error::WrongType),
            Held::Nothing | Held::Entry => {}
        }
        if !self.is_master() {
            return self.asked_on_replica(key);
        }
        let clock = self.clock(key.moment, key.is_paused);
        self.do_what_is_due(key, clock, step);

        let group = self.groups.of(options.group);
        let policy = self.groups.get(group).map_or(Policy::NONE, |group| group.policy.clone());
        let room = self.rooms.find(key.db, key.name);
        let asked = self.place(key, options, group, &policy, caller);
        let ask = Ask { early_beta: options.early_beta.unwrap_or(self.settings.early_beta), class: asked.class };
        self.expire_overdue(group, clock, step);
        let gate = || self.gate(group, asked.order, room, clock);
        let decision = key.entry.decide(ask, clock, gate, || key.environment.random());
        self.count(&decision, key);
        if decision.grants() {
            return self.granted(key, &decision, &asked, caller, options, form, clock, step);
        }
        let answer = key.entry.answer(&decision, clock.now);
        match decision {
            Decision::Behind { .. } | Decision::Full { .. } => {
                Ok(self.wait(key, &decision, &asked, caller, options, &policy, answer, form, step))
            }
            _ => {
                if matches!(decision, Decision::Fail(_) | Decision::Stale { lease_left_ms: 0 }) {
                    if let Some(group) = self.groups.get_mut(group) {
                        group.refused += 1;
                    }
                }
                Ok(Reply::Answer(answer))
            }
        }
    }

    /// Fresh values are served on a replica, nothing else.
    fn asked_on_replica(&mut self, key: &mut Key) -> Result<Reply, Error> {
        let now = key.moment.now();
        let is_marked = key.entry.tagged().is_some_and(|tagged| tagged.is_marked(self.tags.floor()));
        if !key.entry.is_fresh(now) || key.entry.passing(now).is_some() || is_marked {
            return Err(Error::ReadOnly);
        }
        self.counters.hits += 1;
        Ok(Reply::Answer(key.entry.answer(&Decision::Hit, now)))
    }

    /// What is kept of this call if it is decided again; its place is that of an earlier one if it comes back to it.
    fn place(&mut self, key: &Key, options: &Options, group: GroupId, policy: &Policy, caller: Caller) -> Asked {
        let tied_by_default = policy.tied.unwrap_or(self.settings.tied_default) && caller.client != 0;
        let lease_ms = options.lease_ms.or(policy.lease_ms).unwrap_or(self.settings.lease_ms);
        Asked {
            order: self.returning(key, caller).unwrap_or_else(|| self.next_ask()),
            class: options.class,
            group,
            lease_ms: lease_ms.min(self.settings.lease_max_ms) as u32,
            is_tied: options.is_tied || tied_by_default,
            once_ms: options.once_ms,
            last_mark: self.tags.last(),
            known_version: key.entry.known_version(key.moment.now()),
        }
    }

    fn next_ask(&mut self) -> u64 {
        self.asks += 1;
        self.asks
    }

    /// The place that a connection whose BLOCK ran out in a queue still has.
    fn returning(&mut self, key: &Key, caller: Caller) -> Option<u64> {
        let place = self.places.get(&caller.client).filter(|place| place.db == key.db && *place.name == *key.name)?;
        let (order, until) = (place.order, place.until);
        self.places.remove(&caller.client);
        self.places_by_end.remove(&(until, caller.client));
        (key.moment.steady() < until).then_some(order)
    }

    fn count(&mut self, decision: &Decision, key: &Key) {
        match decision {
            Decision::Hit => self.counters.hits += 1,
            Decision::Stale { .. } => {
                self.counters.stale_hits += 1;
                self.counters.rebuilds_saved += 1;
                self.counters.build_ms_saved += u64::from(key.entry.build_ms());
            }
            Decision::Refresh(Cause::Stale) => self.counters.stale_hits += 1,
            Decision::Refresh(Cause::Early) => self.counters.early_refreshes += 1,
            // Counted as a lease granted, like every grant.
            Decision::Refresh(Cause::Forced) => {}
            _ => self.counters.misses += 1,
        }
    }

    /// The lease is the caller's, unless the server writes nothing now.
    #[allow(clippy::too_many_arguments, reason = "each is decided by another part of the call")]
    fn granted(
        &mut self,
        key: &mut Key,
        decision: &Decision,
        asked: &Asked,
        caller: Caller,
        options: &Options,
        form: Form,
        clock: Clock,
        step: &mut Step,
    ) -> Result<Reply, Error> {
        let now = clock.now;
        let serves_meanwhile = match decision {
            Decision::Refresh(Cause::Early | Cause::Forced) => Some(Decision::Hit),
            _ => key.entry.passing(now).map(|until| Decision::Pass { left_ms: now.until(until) }),
        };
        let refused = if key.is_paused { None } else { refusal(key.environment.writes()) };
        if key.is_paused || refused.is_some() {
            if let Some(decision) = serves_meanwhile {
                return Ok(Reply::Answer(key.entry.answer(&decision, now)));
            }
        }
        if let Some(error) = refused {
            let stale = Decision::Stale { lease_left_ms: 0 };
            return match form {
                _ if !asked.class.no_stale && key.entry.is_servable(now) => {
                    Ok(Reply::Answer(key.entry.answer(&stale, now)))
                }
                Form::Batch => {
                    // Nothing tells when the server writes again: whoever listens is told to ask again.
                    self.listen(key, decision, asked, options);
                    if let Some(room) = self.rooms.find(key.db, key.name) {
                        self.visit_room(room);
                    }
                    Ok(Reply::Answer(Answer::Wait { left_ms: 0 }))
                }
                Form::Single => Err(error),
            };
        }
        if key.is_paused {
            let answer = Answer::Wait { left_ms: 0 };
            let policy = self.groups.get(asked.group).map_or(Policy::NONE, |group| group.policy.clone());
            return Ok(self.wait(key, decision, asked, caller, options, &policy, answer, form, step));
        }
        let Some(answer) = self.grant(key, asked, caller.client, clock, step) else {
            return Ok(Reply::Answer(Answer::Wait { left_ms: 0 }));
        };
        Ok(Reply::Answer(answer))
    }

    /// Parks the caller, has it listen, or tells it to wait.
    #[allow(clippy::too_many_arguments, reason = "each is decided by another part of the call")]
    fn wait(
        &mut self,
        key: &mut Key,
        decision: &Decision,
        asked: &Asked,
        caller: Caller,
        options: &Options,
        policy: &Policy,
        otherwise: Answer,
        form: Form,
        step: &mut Step,
    ) -> Reply {
        let by_policy = policy.block_ms.filter(|ms| *ms > 0 && !options.notify);
        let block_ms = options.block_ms.or(by_policy).filter(|_| form == Form::Single);
        let Some(block_ms) = block_ms else {
            self.listen(key, decision, asked, options);
            return Reply::Answer(otherwise);
        };
        let is_full = matches!(decision, Decision::Full { .. });
        if self.is_behind_itself(key, asked, caller, is_full) || !self.may_park(key, caller, step) {
            self.listen(key, decision, asked, options);
            return Reply::Answer(otherwise);
        }
        let gives_up = if block_ms == 0 { SteadyMs::NEVER } else { key.moment.steady().plus(block_ms) };
        let token = match decision {
            Decision::Behind { .. } => key.entry.lease().map(|lease| lease.token),
            _ => None,
        };
        let room = self.rooms.open(key.db, key.name);
        let waiter = self.rooms.park(room, token, *asked, gives_up, caller.client, key.moment.steady_us);
        self.waiters_peak = self.waiters_peak.max(self.rooms.waiters() as u64);
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
    pub fn not_parked(&mut self, waiter: super::rooms::WaiterId) {
        self.remove_waiter(waiter);
    }

    /// Who waits for the key's lease is told when it ends, before others' deadlines are seen to.
    pub(super) fn await_lease(&mut self, key: &Key, room: Id) {
        let Some(lease) = key.entry.lease() else { return };
        if let Some(room) = self.rooms.get_mut(room) {
            room.current = Some(lease.token);
        }
        let find = |leases: &super::leases::LeaseTable| leases.find(key.db, key.name, lease.token);
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
        let key = super::rooms::CohortKey { room, token: None, group: asked.group, class: asked.class };
        let cohort = self.rooms.undecided(key);
        self.enqueue(cohort);
    }

    /// Marks the key for a message, if the caller wants one.
    fn listen(&mut self, key: &mut Key, decision: &Decision, asked: &Asked, options: &Options) {
        if !options.notify {
            return;
        }
        let limit = self.settings.max_waiters_per_key;
        let room = self.rooms.open(key.db, key.name);
        let is_stalled = key.is_paused;
        let (mut queued, mut is_new) = (None, false);
        if let Some(open) = self.rooms.get_mut(room) {
            let listening = open.listening.get_or_insert(Listening {
                askers: 0,
                order: asked.order,
                group: asked.group,
                is_queued: false,
            });
            if u64::from(listening.askers) < limit {
                listening.askers += 1;
                is_new = true;
                if matches!(decision, Decision::Full { .. }) && !listening.is_queued {
                    listening.is_queued = true;
                    queued = Some((listening.group, listening.order));
                }
            }
        }
        self.rooms.listeners += u64::from(is_new);
        if self.rooms.get(room).and_then(|open| open.listening).is_some_and(|listening| listening.askers == 0) {
            // A limit of 0: nobody listens.
            if let Some(open) = self.rooms.get_mut(room) {
                open.listening = None;
            }
            self.rooms.close_if_empty(room);
            return;
        }
        if let Some((due, order)) = queued {
            if let Some(group) = self.groups.get_mut(due) {
                group.enqueue(order, Queued::Listeners(room));
            }
            // The first listener's group, which need not be the one that is full.
            self.due_groups.insert(due);
        } else if is_stalled && !matches!(decision, Decision::Behind { .. }) {
            self.stalled.insert(room);
        } else {
            self.await_lease(key, room);
        }
    }

    /// Grants the lease of the key at hand. `None` if tokens have run out.
    pub(super) fn grant(
        &mut self,
        key: &mut Key,
        asked: &Asked,
        client: super::ClientId,
        clock: Clock,
        step: &mut Step,
    ) -> Option<Answer> {
        let now = clock.now;
        if let Some(late) = key.entry.lease() {
            // A payload's, that no visit has listed yet: the next token must be larger all the same.
            self.tokens.see(late.token, key.moment.wall_us);
        }
        let token = self.tokens.next(key.moment.wall_us)?;
        if let Some(late) = key.entry.lease.take() {
            // Past its deadline, or its tie is closed: an attempt that failed.
            key.entry.rare_or_insert().has_failed = true;
            if let Some(record) = self.leases.find(key.db, key.name, late.token) {
                self.forget_record(record);
            }
        }
        // Who waited may have asked under other settings.
        let lease_ms = asked.lease_ms.min(self.settings.lease_max_ms as u32);
        let deadline = now.plus(u64::from(lease_ms));
        let group = self.groups.get(asked.group);
        let name = group.filter(|_| asked.group != GroupId::DEFAULT).map(|group| group.name.clone());
        let terms = crate::lease::Terms { group: name, once_ms: asked.once_ms };
        let lease = crate::lease::Lease {
            token,
            granted_at: now,
            deadline,
            length_ms: lease_ms,
            is_tied: asked.is_tied,
            terms: (terms != crate::lease::Terms::default()).then(|| Box::new(terms)),
        };
        let holder = client;
        self.enter_lease(key.db, key.name, &lease, asked.group, holder);
        key.entry.lease = Some(Box::new(lease));
        if let Some(group) = self.groups.get_mut(asked.group) {
            group.grant(token, deadline, clock);
        }
        self.counters.leases_granted += 1;
        self.top.add(key.db, key.name, super::top::Added { grants: 1, ..super::top::Added::default() });
        if let Some(room) = self.rooms.find(key.db, key.name) {
            self.use_reservation(room, asked.group);
            self.join_undecided(room, token);
            self.await_lease(key, room);
        }
        step.raise(super::Change::Lease);
        step.notify(super::Word::Lock);
        let serves_old = key.entry.passing(now).is_none()
            && (key.entry.is_fresh(now) || (!asked.class.no_stale && key.entry.is_within_swr(now)));
        Some(match key.entry.value() {
            Some(value) if serves_old => Answer::Refresh { value: Payload::Bytes(value.clone()), token },
            _ => Answer::Lock { token },
        })
    }

    /// Everybody of a room who was to be decided waits for this lease.
    fn join_undecided(&mut self, room: Id, token: crate::token::Token) {
        loop {
            let next = self.rooms.cohorts_of(room, None).next();
            let Some(cohort) = next else { break };
            self.dequeue(cohort);
            self.rooms.rename(cohort, Some(token));
        }
        self.dequeue_listeners(room);
    }

    /// Enters a lease into the table and its group.
    pub(super) fn enter_lease(
        &mut self,
        db: u32,
        name: &[u8],
        lease: &crate::lease::Lease,
        group: GroupId,
        holder: super::ClientId,
    ) -> Id {
        let name = super::name::Name::new(name);
        let mut record = super::leases::Record::new(db, name, lease.token, group, lease.deadline, holder);
        record.is_tied = lease.is_tied;
        record.is_once = lease.once_ms().is_some();
        record.length_ms = lease.length_ms;
        record.state = RecordState::Live;
        let Some(of) = self.groups.get_mut(group) else { return super::slab::NIL };
        record.has_permit = group != GroupId::DEFAULT || !of.is_plain();
        let has_permit = record.has_permit;
        let id = self.leases.enter(record, &mut of.ages);
        if id != super::slab::NIL {
            of.live += 1;
            if has_permit {
                of.take_permit(lease.deadline, id);
                of.holds(holder);
            }
        }
        id
    }
}

/// The server's error, where it refuses a grant. Being out of memory refuses none: a lease is small.
fn refusal(writes: Writes) -> Option<Error> {
    match writes {
        Writes::Allowed | Writes::OutOfMemory(_) => None,
        Writes::Refused(error) => Some(Error::Server(error)),
    }
}
