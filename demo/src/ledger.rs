//! What all threads of one run share: its clock, what happened so far, and when to stop.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::measurements;

pub(crate) struct Ledger {
    begun: Instant,
    ttl: Duration,
    stop: AtomicBool,
    requests: AtomicU64,
    queries_begun: AtomicU64,
    queries_ended: AtomicU64,
    stores: Mutex<Vec<Duration>>,
}

/// A query is in flight as long as this lives.
pub(crate) struct InFlight<'a>(&'a Ledger);

impl Ledger {
    /// `ttl` is how long a stored report lives.
    pub(crate) fn new(ttl: Duration) -> Self {
        Self {
            begun: Instant::now(),
            ttl,
            stop: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            queries_begun: AtomicU64::new(0),
            queries_ended: AtomicU64::new(0),
            stores: Mutex::new(Vec::new()),
        }
    }

    /// The time since this run began.
    pub(crate) fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(SeqCst)
    }

    pub(crate) fn queries(&self) -> u64 {
        self.queries_begun.load(SeqCst)
    }

    pub(crate) fn in_flight(&self) -> u64 {
        // The ended ones first: a query that ends in between must not make the difference negative.
        let ended = self.queries_ended.load(SeqCst);
        self.queries_begun.load(SeqCst).saturating_sub(ended)
    }

    /// When the cache entry expired, so far.
    pub(crate) fn expiries(&self) -> Vec<Duration> {
        measurements::expiries(&lock(&self.stores), self.ttl, self.now())
    }

    /// The entry is there again after its `wanted`-th expiry.
    pub(crate) fn rebuilt_after(&self, wanted: usize) -> bool {
        let expiries = self.expiries();
        let last = expiries.get(wanted.saturating_sub(1));
        last.is_some_and(|expiry| lock(&self.stores).iter().any(|store| store > expiry))
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.load(SeqCst)
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, SeqCst);
    }

    pub(crate) fn note_request(&self) {
        self.requests.fetch_add(1, SeqCst);
    }

    /// The cache took a report that was sent at this moment. The moment of the reply would not do: a client may
    /// come to read it late on a busy machine, and the entry would seem to have lived longer than it did.
    pub(crate) fn note_stored(&self, sent: Duration) {
        lock(&self.stores).push(sent);
    }

    pub(crate) fn query_begins(&self) -> InFlight<'_> {
        self.queries_begun.fetch_add(1, SeqCst);
        InFlight(self)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.queries_ended.fetch_add(1, SeqCst);
    }
}

/// A thread that died holding the lock left nothing half-written: each holder does one thing only.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
