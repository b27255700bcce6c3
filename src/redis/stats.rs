//! What is counted. Plain numbers, written on the main thread and read by INFO.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only the main thread changes: a load and a store, where `fetch_add` would lock the bus on every hit.
#[derive(Debug)]
pub struct Counter {
    /// Since the module was loaded.
    total: AtomicU64,
    /// The total when it was last looked whether the server's statistics began anew (see `resets`).
    at_last_look: AtomicU64,
    /// The total that counts as none.
    base: AtomicU64,
}

/// The most there was at once.
#[derive(Debug)]
pub struct Peak(AtomicU64);

impl Counter {
    const fn new() -> Self {
        Self { total: AtomicU64::new(0), at_last_look: AtomicU64::new(0), base: AtomicU64::new(0) }
    }

    #[inline]
    pub fn add(&self, more: u64) {
        self.total.store(self.total().wrapping_add(more), Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.total().wrapping_sub(self.base.load(Ordering::Relaxed))
    }

    /// What was counted before the last look counts no more.
    fn begin_anew(&self) {
        self.base.store(self.at_last_look.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    fn look(&self) {
        self.at_last_look.store(self.total(), Ordering::Relaxed);
    }

    #[inline]
    fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }
}

impl Peak {
    pub fn raise_to(&self, level: u64) {
        self.0.store(self.get().max(level), Ordering::Relaxed);
    }

    pub fn begin_anew(&self, level: u64) {
        self.0.store(level, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The most clients parked at once.
pub static WAITERS_PEAK: Peak = Peak(AtomicU64::new(0));

macro_rules! stats {
    ($($(#[doc = $doc:literal])+ $name:ident)*) => {
        /// Counted since the server started, or since CONFIG RESETSTAT.
        #[derive(Debug)]
        pub struct Stats {
            $($(#[doc = $doc])+ pub $name: Counter,)*
        }

        pub static STATS: Stats = Stats { $($name: Counter::new(),)* };

        impl Stats {
            /// What was counted before the last look counts no more.
            pub fn begin_anew(&self) {
                $(self.$name.begin_anew();)*
            }

            /// Remembers what was counted by now.
            pub fn look(&self) {
                $(self.$name.look();)*
            }

            /// A number that differs when anything was counted meanwhile.
            pub fn sum(&self) -> u64 {
                [$(self.$name.total()),*].into_iter().fold(0, u64::wrapping_add)
            }
        }
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
