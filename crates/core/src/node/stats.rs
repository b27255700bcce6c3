//! What is counted. Plain numbers; the shell adds the hits that it counts itself.

/// A sum that can begin anew at a moment in the past: at the last look.
#[derive(Clone, Copy, Default, Debug)]
pub struct Tally {
    sum: u64,
    looked: u64,
}

impl Tally {
    pub fn add(&mut self, more: u64) {
        self.sum = self.sum.saturating_add(more);
    }

    pub const fn sum(self) -> u64 {
        self.sum
    }

    pub fn look(&mut self) {
        self.looked = self.sum;
    }

    /// What was counted up to the last look counts no more.
    pub fn begin_anew(&mut self) {
        *self = Self { sum: self.sum - self.looked, looked: 0 };
    }
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident)*) => {
        /// Counted since the server started, or since CONFIG RESETSTAT.
        #[derive(Clone, Default, PartialEq, Eq, Debug)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: u64,)*
        }

        impl Counters {
            /// What was counted since `base`.
            pub fn since(&self, base: &Self) -> Self {
                Self { $($name: self.$name.wrapping_sub(base.$name),)* }
            }

            /// Name, value and meaning of each, in the order they are shown.
            pub fn list(&self) -> impl Iterator<Item = (&'static str, u64, &'static str)> {
                [$((stringify!($name), self.$name, concat!($($doc),+).trim())),*].into_iter()
            }
        }
    };
}

counters! {
    /// Calls answered HIT.
    hits
    /// Calls answered with an old value: STALE, or REFRESH of a stale one.
    stale_hits
    /// Calls that found nothing to serve: LOCK, WAIT, parked, PASS, FAIL, MISS.
    misses
    /// Leases granted, handovers included.
    leases_granted
    /// Leases whose deadline passed before their rebuild ended.
    leases_expired
    /// Leases that went to a waiter.
    handovers
    /// Rebuilds that ended with a value: FILL, or TOUCH of the old one.
    fills
    /// FILLs that answered nil: too late, or invalidated meanwhile.
    void_fills
    /// Values older than the source is known to be (VERSION, OUTDATE): not stored.
    behind_fills
    /// Rebuilds that ended with FAIL.
    failures
    /// Rebuilds that ended with PASS.
    passes
    /// Refreshes granted before the soft deadline, by EARLY.
    early_refreshes
    /// Tags that were marked.
    tag_invalidations
    /// Waiters and stale hits that did not go to the source.
    rebuilds_saved
    /// Milliseconds of building that did not happen: those rebuilds, each at its key's last build time.
    build_ms_saved
    /// Parked clients that were given an answer other than WAIT.
    waiters_served
    /// Parked clients whose BLOCK ran out.
    waiters_timed_out
    /// Callers that were not parked because of a limit; by which, the next four say.
    waiters_refused
    /// Of those: corral.max-waiters was reached.
    waiters_refused_max_waiters
    /// Of those: corral.max-waiters-per-key was reached.
    waiters_refused_max_waiters_per_key
    /// Of those: corral.waiters-memory-percent, or maxmemory where nothing can be evicted.
    waiters_refused_memory
    /// Of those: nearly as many clients as maxclients allows were connected.
    waiters_refused_clients
    /// Messages published to listeners.
    messages_published
    /// Batches in which answers were released.
    wake_batches
    /// Bugs: panics that were caught. Report them.
    panics_caught
}
