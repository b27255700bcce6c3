//! The entry: what one key holds.
//!
//! An entry without anything in it is *vacant* and stands for a key that does not exist; the keyspace never keeps one.

use alloc::boxed::Box;
use alloc::sync::Arc;

use crate::freshness::{Times, Windows};
use crate::lease::Lease;
use crate::tag::Tagged;
use crate::time::{Clock, UnixMs};
use crate::token::Token;

mod changes;
#[cfg(feature = "model")]
mod facts;

/// What one key holds: a value or none yet, its times, its lease.
///
/// Kept at 48 bytes, since a site has millions: what most entries do not have lies behind two pointers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
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
    pub(crate) lease: Option<Box<Lease>>,
    /// Never there without anything in it, so that equal entries look alike.
    cold: Option<Box<Cold>>,
}

/// What most entries do not have.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
struct Cold {
    windows: Windows,
    tagged: Option<Box<Tagged>>,
    rare: Option<Box<Rare>>,
}

/// What few entries have: how rebuilds went, and how new the source is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Rare {
    pub(crate) failure: Option<Failure>,
    /// Failures since the last success.
    pub(crate) failures_in_a_row: u32,
    /// Since the last fill, touch or set there was a failure, a deadline or a tie (the present lease's apart).
    pub(crate) has_failed: bool,
    /// Ties that closed since the last verdict.
    pub(crate) broken_ties: u8,
    /// The end of the PASS mark; [`UnixMs::EPOCH`] without one.
    pub(crate) pass_until: UnixMs,
    /// The end of the time in which the outcome of a voided ONCE lease is unknown; [`UnixMs::EPOCH`] if it is not.
    pub(crate) unknown_until: UnixMs,
    /// How new the source was when the value was read.
    pub(crate) version: Option<u64>,
    pub(crate) floor: Option<Floor>,
}

/// The last rebuild failed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Failure {
    pub message: Arc<[u8]>,
    /// The end of the back-off: nobody is granted the lease before.
    pub until: UnixMs,
}

/// The source has at least this version.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Floor {
    pub version: u64,
    /// Of the OUTDATE that last raised it.
    pub raised_by: Token,
    pub until: UnixMs,
}

/// How long a failure is remembered after its back-off: nobody tries before that has passed, so that without this no
/// key without a value could ever fail twice in a row.
const HISTORY_KEPT_MS: u64 = 1000;

/// What an entry's tags say of it at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Judgement {
    /// The youngest mark: a lease older than this is void.
    pub mark: Token,
    /// Since when the entry is stale.
    pub since: UnixMs,
    /// Until when it may be served at most.
    pub served_until: UnixMs,
}

impl Entry {
    /// What a missing key holds.
    pub const fn vacant() -> Self {
        Self { value: None, fresh_until: UnixMs::EPOCH, build_ms: 0, fills: 0, lease: None, cold: None }
    }

    pub fn value(&self) -> Option<&Arc<[u8]>> {
        self.value.as_ref()
    }

    pub const fn fresh_until(&self) -> UnixMs {
        self.fresh_until
    }

    pub fn windows(&self) -> Windows {
        self.cold.as_ref().map_or(Windows::default(), |cold| cold.windows)
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

    pub fn tagged(&self) -> Option<&Tagged> {
        self.cold.as_ref()?.tagged.as_deref()
    }

    /// The lease that a fill would be checked against, live or late.
    pub fn lease(&self) -> Option<&Lease> {
        self.lease.as_deref()
    }

    /// The lease, if its deadline has not passed.
    pub fn live_lease(&self, clock: Clock) -> Option<&Lease> {
        self.lease().filter(|lease| !clock.has_passed(lease.deadline))
    }

    pub fn failure(&self) -> Option<&Failure> {
        self.rare()?.failure.as_ref()
    }

    pub fn failures_in_a_row(&self) -> u32 {
        self.rare().map_or(0, |rare| rare.failures_in_a_row)
    }

    /// The failure, if its back-off has not passed.
    pub fn backing_off(&self, now: UnixMs) -> Option<&Failure> {
        self.failure().filter(|failure| now < failure.until)
    }

    /// The end of the PASS mark, if it is active.
    pub fn passing(&self, now: UnixMs) -> Option<UnixMs> {
        self.rare().map(|rare| rare.pass_until).filter(|until| now < *until)
    }

    /// The end of the time in which nobody knows what became of the last rebuild, which must not run twice.
    pub fn unknown_until(&self, clock: Clock) -> Option<UnixMs> {
        let voided = self.rare().map(|rare| rare.unknown_until).filter(|until| clock.now < *until);
        let ended = self.lease().filter(|lease| clock.has_passed(lease.deadline)).and_then(Lease::unknown_until);
        voided.max(ended.filter(|until| clock.now < *until))
    }

    pub fn version(&self) -> Option<u64> {
        self.rare()?.version
    }

    pub fn floor(&self, now: UnixMs) -> Option<&Floor> {
        self.rare()?.floor.as_ref().filter(|floor| now < floor.until)
    }

    /// What the source is known to have at least: the floor, or the kept value's own version.
    pub fn known_version(&self, now: UnixMs) -> Option<u64> {
        self.floor(now).map(|floor| floor.version).max(self.version())
    }

    /// "The last attempt failed": since the last stored value there was a failure, a deadline or a tie.
    pub fn has_failed(&self, clock: Clock) -> bool {
        self.rare().is_some_and(|rare| rare.has_failed)
            || self.lease().is_some_and(|lease| clock.has_passed(lease.deadline))
    }

    pub fn is_fresh(&self, now: UnixMs) -> bool {
        self.value.is_some() && now < self.fresh_until
    }

    /// Fresh, and nothing about the entry asks for a closer look. What a hit is decided by; tags are the caller's.
    #[inline]
    pub fn is_plainly_fresh(&self, now: UnixMs) -> bool {
        self.is_fresh(now) && self.cold.as_ref().is_none_or(|cold| cold.rare.is_none())
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
        let value = if self.value.is_some() { self.times().servable_until() } else { UnixMs::EPOCH };
        value.max(self.lease_kept_until()).max(self.marks_kept_until())
    }

    /// The same of its lease alone.
    pub fn lease_kept_until(&self) -> UnixMs {
        self.lease().map_or(UnixMs::EPOCH, Lease::kept_until)
    }

    /// Until when the server is to keep the key for its lease: longer than the lease is of use, since a fill that a pause
    /// held back must still find it. Its time is seen to by the node, which takes away what outlives it.
    pub fn lease_stored_until(&self) -> UnixMs {
        self.lease().map_or(UnixMs::EPOCH, |lease| lease.kept_until().plus(PAUSE_MS))
    }

    /// The same of its back-off, PASS mark, floor and unknown outcome alone.
    pub fn marks_kept_until(&self) -> UnixMs {
        let Some(rare) = self.rare() else { return UnixMs::EPOCH };
        let failing = rare.failure.as_ref().map_or(UnixMs::EPOCH, |failure| failure.until.plus(HISTORY_KEPT_MS));
        let floor = rare.floor.map_or(UnixMs::EPOCH, |floor| floor.until);
        failing.max(floor).max(rare.pass_until).max(rare.unknown_until)
    }

    /// Nothing in it is of use any more.
    pub fn is_vacant(&self, now: UnixMs) -> bool {
        self.kept_until() <= now
    }

    /// Bytes on the heap besides the entry's own size.
    pub fn heap_bytes(&self) -> usize {
        const ARC_COUNTS: usize = 2 * size_of::<usize>();
        let value = self.value.as_ref().map_or(0, |value| value.len().saturating_add(ARC_COUNTS));
        let lease = self.lease().map_or(0, |_| size_of::<Lease>());
        let cold = self.cold.as_ref().map_or(0, |_| size_of::<Cold>());
        // A tag's name is the node's, kept once for all its entries.
        let tags = self.tagged().map_or(0, |tagged| size_of::<Tagged>() + tagged.tags.len() * 2 * size_of::<usize>());
        let rare = self.rare().map_or(0, |_| size_of::<Rare>());
        let message = self.failure().map_or(0, |failure| failure.message.len().saturating_add(ARC_COUNTS));
        value.saturating_add(lease + cold + tags + rare + message)
    }

    pub(crate) fn rare(&self) -> Option<&Rare> {
        self.cold.as_ref()?.rare.as_deref()
    }
}

/// The longest pause that a held-back fill survives, in ms.
const PAUSE_MS: u64 = 60_000;

impl Rare {
    pub(crate) const IDLE: Self = Self {
        failure: None,
        failures_in_a_row: 0,
        has_failed: false,
        broken_ties: 0,
        pass_until: UnixMs::EPOCH,
        unknown_until: UnixMs::EPOCH,
        version: None,
        floor: None,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_stays_small() {
        assert_eq!(size_of::<Entry>(), 48);
        assert_eq!(size_of::<Cold>(), 32);
    }

    #[test]
    fn a_vacant_entry_is_kept_for_no_time() {
        assert!(Entry::vacant().is_vacant(UnixMs::new(1)));
        assert_eq!(Entry::vacant().heap_bytes(), 0);
    }

    #[test]
    fn a_judgement_only_shortens() {
        let mut entry = Entry { value: Some(Arc::from(&b"v"[..])), ..Entry::vacant() };
        entry.set_times(Times { fresh_until: UnixMs::new(100), windows: Windows { swr_ms: 50, sie_ms: 500 } });
        let mark = Token::new(7).unwrap();
        let judgement = Judgement { mark, since: UnixMs::new(40), served_until: UnixMs::new(60) };
        assert!(entry.judge(judgement));
        assert!(!entry.judge(judgement));
        assert!(!entry.judge(Judgement { mark, since: UnixMs::new(300), served_until: UnixMs::NEVER }));
        assert_eq!(entry.times().servable_until(), UnixMs::new(60));
    }
}
