//! Leases tied to a connection, and leases whose holder is gone.

use super::leases::{ClientId, RecordState};
use super::name::Name;
use super::slab::Id;
use super::turn::AT_ONCE;
use super::{Change, Key, Node, Step, Word};
use crate::lease::LeaseEnd;
use crate::time::Clock;
use crate::token::Token;

/// The message of a key whose ties closed twice in a row.
pub const BUILDER_DIED: &[u8] = b"the builder died";

impl Node {
    /// Ends the ties of closed connections: each key is looked at.
    pub(super) fn end_ties(&mut self) {
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

    fn disown(&mut self, id: Id, client: ClientId) {
        let Some(record) = self.leases.get(id) else { return };
        if let Some(group) = self.groups.get_mut(record.group).filter(|_| record.has_permit) {
            group.holds_no_more(client);
        }
        self.leases.set_holder(id, 0, true);
    }

    /// A lease of this key that is without a holder.
    pub(super) fn next_orphan(&mut self, db: u32, name: &Name) -> Option<(Token, LeaseEnd)> {
        let (at, end) = self.orphans.range((db, name.clone(), Token::FIRST)..).next()?;
        let (at, end) = (at.clone(), *end);
        (at.0 == db && at.1 == *name).then(|| {
            self.orphans.remove(&at);
            (at.2, end)
        })
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
}
