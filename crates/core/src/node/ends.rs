//! How a lease ends, and what the table, its group and its circuit make of that.

use alloc::boxed::Box;

use super::groups::{Circuit, GroupId};
use super::leases::RecordState;
use super::slab::Id;
use super::{Change, Effect, Key, Node, Step};
use crate::lease::{Lease, LeaseEnd};
use crate::time::{Clock, UnixMs};
use crate::token::Token;

impl Node {
    /// Takes whatever lease there is: its holder's fill will not be stored.
    pub(super) fn void(&mut self, key: &mut Key, clock: Clock, step: &mut Step) {
        let lease = key.entry.void_lease(clock);
        self.voided(key, lease, clock, step);
    }

    pub(super) fn voided(&mut self, key: &Key, lease: Option<Box<Lease>>, clock: Clock, step: &mut Step) {
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
    fn end_record(&mut self, db: u32, name: &[u8], lease: &Lease, end: LeaseEnd, message: &[u8], now: UnixMs) {
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
            let group = self.groups.iter().find(|(_, group)| group.circuit.is_trial(token)).map(|(id, _)| id);
            if let Some(group) = group {
                self.note(group, token, end, message, now);
            }
        }
    }

    pub(super) fn note(&mut self, group: GroupId, token: Token, end: LeaseEnd, message: &[u8], now: UnixMs) {
        if let Some(of) = self.groups.get_mut(group) {
            of.note(token, end.verdict(), message, now);
            match of.circuit.state() {
                Circuit::Closed => self.tried.remove(&group),
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
    pub(super) fn late_until(&self, id: Id) -> UnixMs {
        self.leases.get(id).map_or(UnixMs::EPOCH, |record| record.until.plus(u64::from(record.length_ms)))
    }

    /// A record's lease is live no longer.
    pub(super) fn retire(&mut self, id: Id, state: RecordState, until: UnixMs) {
        let Some(record) = self.leases.get(id) else { return };
        if let Some(group) = self.groups.get_mut(record.group).filter(|_| record.state == RecordState::Live) {
            group.live = group.live.saturating_sub(1);
        }
        self.leases.move_to(id, state, until);
    }

    pub(super) fn give_back_permit(&mut self, id: Id) {
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
}
