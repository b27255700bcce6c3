//! What becomes of an entry. None of it decides: the node does.

use super::{Cold, Entry, Judgement, Rare};
use crate::freshness::{Times, Windows};
use crate::lease::Lease;
use crate::tag::Tagged;
use crate::time::{Clock, UnixMs};
use crate::token::Token;
use alloc::boxed::Box;

impl Entry {
    /// Takes the lease out without a word: what RENAME, MOVE, COPY and a load do to it. The value travels, the lease
    /// does not. With ONCE, whose holder builds on, the outcome is unknown from `now` on.
    pub fn void_lease(&mut self, clock: Clock) -> Option<Box<Lease>> {
        let deadline = self.lease.as_ref()?.deadline;
        self.take_void_lease(deadline.min(clock.now), clock.has_passed(deadline))
    }

    /// The same, where nobody saw it happen: after `at`, and before anybody looked. Says the same whenever it is asked,
    /// on every server; an unknown outcome lasts rather longer than not long enough.
    pub(crate) fn void_lease_unseen(&mut self, at: UnixMs) -> Option<Box<Lease>> {
        let deadline = self.lease.as_ref()?.deadline;
        self.take_void_lease(deadline, deadline <= at)
    }

    /// With ONCE the outcome is unknown from `ended` on; `has_expired`: it was over before it was void.
    fn take_void_lease(&mut self, ended: UnixMs, has_expired: bool) -> Option<Box<Lease>> {
        let lease = self.lease.take()?;
        if let Some(until) = lease.unknown_after(ended) {
            let rare = self.rare_or_insert();
            rare.unknown_until = rare.unknown_until.max(until);
        }
        if has_expired {
            self.rare_or_insert().has_failed = true;
        }
        Some(lease)
    }

    /// Brings the entry's own times in line with what its tags say.
    /// Says whether that changed anything. The lease is the caller's.
    pub fn judge(&mut self, judgement: Judgement) -> bool {
        if self.value.is_none() {
            return false;
        }
        let before = self.times();
        let fresh_until = before.fresh_until.min(judgement.since);
        let windows = match judgement.served_until.is_never() {
            true => before.windows,
            false => before.windows.capped(fresh_until.until(judgement.served_until)),
        };
        let after = Times { fresh_until, windows };
        self.set_times(after);
        after != before
    }

    /// The value is stale from `now` on; its windows start now, but for a value already stale.
    pub(crate) fn outdate(&mut self, now: UnixMs) {
        if self.value.is_some() {
            self.fresh_until = self.fresh_until.min(now);
            self.drop_unservable(now);
        }
    }

    /// A value past its windows is of no use to anybody. Says whether there was one.
    pub(crate) fn drop_unservable(&mut self, now: UnixMs) -> bool {
        let drops = self.value.is_some() && !self.is_servable(now);
        if drops {
            self.drop_value();
        }
        drops
    }

    pub(crate) fn set_times(&mut self, times: Times) {
        self.fresh_until = times.fresh_until;
        if self.windows() != times.windows {
            self.cold.get_or_insert_with(Box::default).windows = times.windows;
            self.drop_idle();
        }
    }

    pub(crate) fn set_tagged(&mut self, tagged: Option<Tagged>) {
        let tagged = tagged.filter(|tagged| !tagged.tags.is_empty());
        if tagged.is_some() || self.tagged().is_some() {
            self.cold.get_or_insert_with(Box::default).tagged = tagged.map(Box::new);
            self.drop_idle();
        }
    }

    pub(crate) fn set_birth(&mut self, birth: Token) {
        if let Some(tagged) = self.cold.as_mut().and_then(|cold| cold.tagged.as_mut()) {
            tagged.birth = birth;
        }
    }

    pub(crate) fn set_version(&mut self, version: Option<u64>) {
        if version.is_some() || self.version().is_some() {
            self.rare_or_insert().version = version;
            self.drop_idle();
        }
    }

    /// Sees to it that the value is of no use from `end` on: its key must live on for a lease, the value must not.
    pub(crate) fn end_value_at(&mut self, end: UnixMs) {
        if self.value.is_none() || self.times().servable_until() <= end {
            return;
        }
        let fresh_until = self.fresh_until.min(end);
        let windows = self.windows().capped(fresh_until.until(end));
        self.set_times(Times { fresh_until, windows });
    }

    pub(crate) fn drop_value(&mut self) {
        self.value = None;
        self.set_tagged(None);
        self.set_version(None);
        self.set_times(Times { fresh_until: UnixMs::EPOCH, windows: Windows::default() });
    }

    /// Whoever takes something out of it calls [`Entry::drop_idle`] afterwards.
    pub(crate) fn rare_mut(&mut self) -> Option<&mut Rare> {
        self.cold.as_mut()?.rare.as_deref_mut()
    }

    pub(crate) fn rare_or_insert(&mut self) -> &mut Rare {
        self.cold.get_or_insert_with(Box::default).rare.get_or_insert_with(|| Box::new(Rare::IDLE))
    }

    /// Gives back the memory of what has nothing in it any more.
    pub(crate) fn drop_idle(&mut self) {
        let Some(cold) = self.cold.as_mut() else { return };
        if cold.rare.as_deref() == Some(&Rare::IDLE) {
            cold.rare = None;
        }
        if **cold == Cold::default() {
            self.cold = None;
        }
    }
}
