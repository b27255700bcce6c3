//! The entry: what one key holds.
//!
//! An entry without anything in it is *vacant* and stands for a key that does not exist; the keyspace never keeps one.

use std::sync::Arc;

use crate::freshness::{Times, Windows};
use crate::time::UnixMs;
use crate::token::Token;

/// What one key holds: a value or none yet, its times, its lease.
///
/// Kept at 40 bytes, since a site has millions: what most entries do not have lies behind one pointer.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// Shared, because a fill answers its waiters over several turns of the event loop while the entry lives its own
    /// life, and because a lazy free drops it on another thread.
    pub(crate) value: Option<Arc<[u8]>>,
    /// The soft deadline. Without a value it says nothing and is [`UnixMs::EPOCH`].
    pub(crate) fresh_until: UnixMs,
    /// How long the last fill's build took, from grant to fill. Held at `u32::MAX` (49 days).
    pub(crate) build_ms: u32,
    /// How many values were stored here.
    pub(crate) fills: u32,
    /// Never there without anything in it, so that equal entries look alike.
    aside: Option<Box<Aside>>,
}

/// What most entries do not have. Windows stay as long as the value, a rebuild passes.
#[derive(Clone, PartialEq, Default, Debug)]
struct Aside {
    windows: Windows,
    rebuild: Option<Box<Rebuild>>,
}

/// Everything about getting the next value.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Rebuild {
    pub(crate) lease: Option<Lease>,
    pub(crate) failure: Option<Failure>,
    /// The end of the PASS mark; [`UnixMs::EPOCH`] without one.
    pub(crate) pass_until: UnixMs,
}

/// The right to rebuild one key.
///
/// It stays in the entry after its deadline, so that a late holder can still fill until somebody takes over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lease {
    pub token: Token,
    pub granted_at: UnixMs,
    pub deadline: UnixMs,
    /// The length it was granted for. A placeholder lives on as long after the deadline.
    pub length_ms: u64,
    pub tied: bool,
    /// The database it was granted in: SWAPDB moves entries without a word to their module, and a lease must not
    /// travel with them.
    pub db: u32,
}

impl Lease {
    /// Until when a late holder may still fill, if nobody takes over.
    pub fn kept_until(&self) -> UnixMs {
        self.deadline.plus(self.length_ms)
    }
}

/// The last rebuild failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    pub message: Arc<[u8]>,
    /// The end of the back-off: nobody is granted the lease before.
    pub until: UnixMs,
}

impl Entry {
    /// What a missing key holds.
    pub const fn vacant() -> Self {
        Self { value: None, fresh_until: UnixMs::EPOCH, build_ms: 0, fills: 0, aside: None }
    }

    /// A value that nobody built under a lease.
    pub fn of_value(value: Arc<[u8]>, times: Times) -> Self {
        let mut entry = Self::vacant();
        entry.value = Some(value);
        entry.set_times(times);
        entry
    }

    pub fn value(&self) -> Option<&Arc<[u8]>> {
        self.value.as_ref()
    }

    pub const fn fresh_until(&self) -> UnixMs {
        self.fresh_until
    }

    pub fn windows(&self) -> Windows {
        self.aside.as_ref().map_or(Windows::default(), |aside| aside.windows)
    }

    pub fn times(&self) -> Times {
        Times { fresh_until: self.fresh_until, windows: self.windows() }
    }

    pub const fn build_ms(&self) -> u32 {
        self.build_ms
    }

    pub const fn fills(&self) -> u32 {
        self.fills
    }

    /// The lease that a fill would be checked against, live or late.
    pub fn lease(&self) -> Option<&Lease> {
        self.rebuild()?.lease.as_ref()
    }

    /// The lease, if its deadline has not passed.
    pub fn live_lease(&self, now: UnixMs) -> Option<&Lease> {
        self.lease().filter(|lease| now < lease.deadline)
    }

    pub fn failure(&self) -> Option<&Failure> {
        self.rebuild()?.failure.as_ref()
    }

    /// The failure, if its back-off has not passed.
    pub fn backing_off(&self, now: UnixMs) -> Option<&Failure> {
        self.failure().filter(|failure| now < failure.until)
    }

    /// The end of the PASS mark, if it is active.
    pub fn passing(&self, now: UnixMs) -> Option<UnixMs> {
        self.rebuild().map(|rebuild| rebuild.pass_until).filter(|until| now < *until)
    }

    pub fn is_fresh(&self, now: UnixMs) -> bool {
        self.value.is_some() && now < self.fresh_until
    }

    /// A value that STALE and REFRESH may serve while somebody rebuilds (also while it is still fresh).
    pub fn is_within_swr(&self, now: UnixMs) -> bool {
        self.value.is_some() && now < self.fresh_until.plus(self.windows().swr_ms)
    }

    /// A value that STALE may serve when the source fails.
    pub fn is_servable(&self, now: UnixMs) -> bool {
        self.value.is_some() && now < self.times().servable_until()
    }

    /// Until when the entry can be of use: the deadline its key is given in Redis.
    pub fn kept_until(&self) -> UnixMs {
        let value_until = match self.value {
            Some(_) => self.times().servable_until(),
            None => UnixMs::EPOCH,
        };
        let failing_until = self.failure().map_or(UnixMs::EPOCH, |failure| failure.until);
        let passing_until = self.rebuild().map_or(UnixMs::EPOCH, |rebuild| rebuild.pass_until);
        value_until.max(self.lease_kept_until()).max(failing_until).max(passing_until)
    }

    /// The same of its lease alone.
    pub fn lease_kept_until(&self) -> UnixMs {
        self.lease().map_or(UnixMs::EPOCH, Lease::kept_until)
    }

    /// Nothing in it is of use any more.
    pub fn is_vacant(&self, now: UnixMs) -> bool {
        self.kept_until() <= now
    }

    /// Ends the lease without a word: what RENAME, MOVE, COPY and SWAPDB do to it. The value travels, the lease does
    /// not. Says whether there was one.
    pub fn void_lease(&mut self) -> bool {
        let voided = self.rebuild_mut().is_some_and(|rebuild| rebuild.lease.take().is_some());
        self.drop_idle();
        voided
    }

    /// Voids a lease that was granted in another database than `db`.
    pub fn settle(&mut self, db: u32) {
        if self.lease().is_some_and(|lease| lease.db != db) {
            self.void_lease();
        }
    }

    /// Bytes on the heap besides the entry's own size.
    pub fn heap_bytes(&self) -> usize {
        let value = self.value.as_ref().map_or(0, |value| value.len().saturating_add(ARC_COUNTS));
        let aside = self.aside.as_ref().map_or(0, |_| size_of::<Aside>());
        let rebuild = self.rebuild().map_or(0, |_| size_of::<Rebuild>());
        let message = self.failure().map_or(0, |failure| failure.message.len().saturating_add(ARC_COUNTS));
        value.saturating_add(aside + rebuild + message)
    }

    pub(crate) fn set_times(&mut self, times: Times) {
        self.fresh_until = times.fresh_until;
        if self.windows() != times.windows {
            self.aside.get_or_insert_with(Box::default).windows = times.windows;
            self.drop_idle();
        }
    }

    /// Sees to it that the value is of no use from `end` on: its key must live on for a lease, the value must not.
    pub fn end_value_at(&mut self, end: UnixMs) {
        if self.value.is_none() || self.times().servable_until() <= end {
            return;
        }
        let fresh_until = self.fresh_until.min(end);
        let left_ms = fresh_until.until(end);
        let Windows { swr_ms, sie_ms } = self.windows();
        let windows = Windows { swr_ms: swr_ms.min(left_ms), sie_ms: sie_ms.min(left_ms) };
        self.set_times(Times { fresh_until, windows });
    }

    pub(crate) fn drop_value(&mut self) {
        self.value = None;
        self.set_times(Times { fresh_until: UnixMs::EPOCH, windows: Windows::default() });
    }

    pub(crate) fn rebuild(&self) -> Option<&Rebuild> {
        self.aside.as_ref()?.rebuild.as_deref()
    }

    /// Whoever takes something out of it calls [`Entry::drop_idle`] afterwards.
    pub(crate) fn rebuild_mut(&mut self) -> Option<&mut Rebuild> {
        self.aside.as_mut()?.rebuild.as_deref_mut()
    }

    pub(crate) fn rebuild_or_insert(&mut self) -> &mut Rebuild {
        self.aside.get_or_insert_with(Box::default).rebuild.get_or_insert_with(|| Box::new(Rebuild::IDLE))
    }

    /// Gives back the memory of what has nothing in it any more.
    pub(crate) fn drop_idle(&mut self) {
        let Some(aside) = self.aside.as_mut() else { return };
        if aside.rebuild.as_deref() == Some(&Rebuild::IDLE) {
            aside.rebuild = None;
        }
        if aside.rebuild.is_none() && aside.windows.is_empty() {
            self.aside = None;
        }
    }
}

impl Rebuild {
    pub(crate) const IDLE: Self = Self { lease: None, failure: None, pass_until: UnixMs::EPOCH };
}

/// The two reference counts in front of an `Arc`'s contents.
const ARC_COUNTS: usize = 2 * size_of::<usize>();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_stays_small() {
        assert_eq!(size_of::<Entry>(), 40);
    }

    #[test]
    fn a_vacant_entry_is_kept_for_no_time() {
        assert!(Entry::vacant().is_vacant(UnixMs::new(1)));
        assert_eq!(Entry::vacant().heap_bytes(), 0);
    }
    #[test]
    fn a_lease_does_not_travel_to_another_database() {
        let mut entry = Entry::vacant();
        let (granted_at, deadline) = (UnixMs::new(1), UnixMs::new(1001));
        entry.rebuild_or_insert().lease =
            Token::new(7).map(|token| Lease { token, granted_at, deadline, length_ms: 1000, tied: false, db: 3 });
        entry.settle(3);
        assert_eq!(entry.lease().map(|lease| lease.token), Token::new(7));
        assert!(!entry.is_vacant(UnixMs::new(2000)));
        entry.settle(4);
        assert_eq!(entry, Entry::vacant());
    }
}
