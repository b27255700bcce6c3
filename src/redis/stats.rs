//! What is counted. Plain numbers, written on the main thread and read by INFO.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only the main thread changes: a load and a store, where `fetch_add` would lock the bus on every hit.
#[derive(Debug)]
pub struct Counter(AtomicU64);

impl Counter {
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    #[inline]
    pub fn add(&self, more: u64) {
        self.0.store(self.get().wrapping_add(more), Ordering::Relaxed);
    }

    pub fn raise_to(&self, level: u64) {
        self.0.store(self.get().max(level), Ordering::Relaxed);
    }

    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! stats {
    ($($(#[doc = $doc:literal])+ $name:ident)*) => {
        /// Counted since the server started.
        #[derive(Debug)]
        pub struct Stats {
            $($(#[doc = $doc])+ pub $name: Counter,)*
        }

        pub static STATS: Stats = Stats { $($name: Counter::new(),)* };
    };
}

stats! {
    /// Calls answered HIT.
    hits
    /// Calls answered STALE, or REFRESH with an old value.
    stale_hits
    /// Calls that found nothing to serve.
    misses
    /// Leases granted, to callers and by handover.
    leases_granted
    /// Most clients parked at once.
    waiters_peak
    /// Parked clients that were given an answer other than WAIT.
    waiters_served
    /// Parked clients whose own BLOCK limit passed.
    waiters_timed_out
    /// Callers that were not parked although they asked for it, because of a limit.
    waiters_refused
    /// Waiters and stale hits that did not go to the source.
    rebuilds_saved
    /// Leases that went to a waiter.
    handovers
    /// Leases whose deadline passed without a fill.
    leases_expired
    /// Rebuilds that ended with a value: FILL, or TOUCH of the old one.
    fills
    /// Fills that came too late or after an invalidation.
    void_fills
    /// Rebuilds that failed.
    failures
    /// Results that must not be shared.
    passes
    /// Refreshes granted before the soft deadline, by chance.
    early_refreshes
    /// Batches of answers released.
    wake_batches
    /// Panics that the guard caught.
    panics_caught
}
