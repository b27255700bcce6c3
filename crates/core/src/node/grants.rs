//! A lease is granted, and entered into the table, its group and the circuit.

use alloc::boxed::Box;

use super::groups::GroupId;
use super::leases::{ClientId, Record, RecordState};
use super::name::Name;
use super::rooms::Asked;
use super::slab::{Id, NIL};
use super::top::Added;
use super::{Change, Key, Node, Step, Word};
use crate::answer::{Answer, Payload};
use crate::lease::{Lease, Terms};
use crate::time::Clock;
use crate::token::Token;

impl Node {
    /// Grants the lease of the key at hand. `None` if tokens have run out.
    pub(super) fn grant(
        &mut self,
        key: &mut Key,
        asked: &Asked,
        client: ClientId,
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
        let terms = Terms { group: name, once_ms: asked.once_ms };
        let lease = Lease {
            token,
            granted_at: now,
            deadline,
            length_ms: lease_ms,
            is_tied: asked.is_tied,
            has_arrived: false,
            terms: (terms != Terms::default()).then(|| Box::new(terms)),
        };
        self.enter_lease(key.db, key.name, &lease, asked.group, client);
        key.entry.lease = Some(Box::new(lease));
        if let Some(group) = self.groups.get_mut(asked.group) {
            group.grant(token, deadline, clock);
        }
        self.counters.leases_granted += 1;
        self.top.add(key.db, key.name, Added { grants: 1, ..Added::default() });
        if let Some(room) = self.rooms.find(key.db, key.name) {
            self.drop_reservation(room);
            self.join_undecided(room, token);
            self.await_lease(key, room);
        }
        step.raise(Change::Lease);
        step.notify(Word::Lock);
        let serves_old = key.entry.passing(now).is_none()
            && (key.entry.is_fresh(now) || (!asked.class.no_stale && key.entry.is_within_swr(now)));
        Some(match key.entry.value() {
            Some(value) if serves_old => Answer::Refresh { value: Payload::Bytes(value.clone()), token },
            _ => Answer::Lock { token },
        })
    }

    /// Everybody of a room who was to be decided waits for this lease.
    fn join_undecided(&mut self, room: Id, token: Token) {
        loop {
            let next = self.rooms.cohorts_of(room, None).next();
            let Some(cohort) = next else { break };
            self.dequeue(cohort);
            self.rooms.rename(cohort, Some(token));
        }
        self.dequeue_listeners(room);
    }

    /// Enters a lease into the table and its group.
    pub(super) fn enter_lease(&mut self, db: u32, name: &[u8], lease: &Lease, group: GroupId, holder: ClientId) -> Id {
        let name = Name::new(name);
        let mut record = Record::new(db, name, lease.token, group, lease.deadline, holder);
        (record.is_tied, record.has_arrived) = (lease.is_tied, lease.has_arrived);
        record.length_ms = lease.length_ms;
        record.state = RecordState::Live;
        let Some(of) = self.groups.get_mut(group) else { return NIL };
        record.has_permit = group != GroupId::DEFAULT || !of.is_plain();
        let has_permit = record.has_permit;
        let id = self.leases.enter(record, &mut of.ages);
        if id != NIL {
            of.live += 1;
            if has_permit {
                of.take_permit(lease.deadline, id);
                of.holds(holder);
            }
        }
        id
    }

    /// Files a known lease anew: its permit, its holder and its deadline all change places.
    pub(super) fn refile(&mut self, db: u32, name: &[u8], lease: &Lease, holder: ClientId) {
        let group = self.groups.of(lease.group().map(|group| &**group));
        let found = self.leases.find(db, name, lease.token);
        let is_awaited = found.and_then(|id| self.leases.get(id)).is_some_and(|record| record.is_awaited);
        if let Some(id) = found {
            self.forget_record(id);
        }
        let id = self.enter_lease(db, name, lease, group, holder);
        if is_awaited {
            self.leases.await_end(id);
        }
        if let Some(of) = self.groups.get_mut(group) {
            of.circuit.renew(lease.token, lease.deadline);
        }
    }
}
