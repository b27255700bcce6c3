//! What really happened in a run: every build, whoever began it, and what the cache took.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// When something went on, counted from the beginning of its run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) begin: Duration,
    pub(crate) end: Duration,
}

pub(crate) struct Ledger {
    begun: Instant,
    /// How long a stored value lives.
    ttl: Duration,
    pub(crate) builds_begun: u64,
    /// Those that ended, in the order of their ends.
    pub(crate) builds: Vec<Span>,
    /// Times that a value was due to be built anew.
    pub(crate) due: u64,
    keys: HashMap<String, Expiry>,
    /// When the cache took a value.
    pub(crate) stores: Vec<Duration>,
    pub(crate) requests: u64,
    /// The herd is to go home.
    pub(crate) stops: bool,
}

/// The latest expiry of a key.
struct Expiry {
    number: u64,
    began: Instant,
    /// When the first of its builds was done.
    done: Option<Instant>,
}

/// A build that goes on.
pub(crate) struct Build {
    begin: Duration,
    expiry: u64,
}

impl Ledger {
    pub(crate) fn new(ttl: Duration) -> Self {
        Self {
            begun: Instant::now(),
            ttl,
            builds_begun: 0,
            builds: Vec::new(),
            due: 0,
            keys: HashMap::new(),
            stores: Vec::new(),
            requests: 0,
            stops: false,
        }
    }

    /// The time since this run began.
    pub(crate) fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    pub(crate) fn begin(&mut self, key: &str) -> Build {
        self.builds_begun += 1;
        let (begin, now) = (self.now(), Instant::now());
        // A build within half a life of the last one that was done is not for a new expiry but one too many.
        let current = self.keys.get(key).filter(|expiry| expiry.done.is_none_or(|done| now < done + self.ttl / 2));
        if let Some(expiry) = current {
            return Build { begin, expiry: expiry.number };
        }
        self.due += 1;
        self.keys.insert(key.to_owned(), Expiry { number: self.due, began: now, done: None });
        Build { begin, expiry: self.due }
    }

    pub(crate) fn end(&mut self, key: &str, build: &Build) {
        self.builds.push(Span { begin: build.begin, end: self.now() });
        if let Some(expiry) = self.keys.get_mut(key).filter(|expiry| expiry.number == build.expiry) {
            expiry.done.get_or_insert_with(Instant::now);
        }
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.builds_begun.saturating_sub(self.builds.len() as u64)
    }

    /// Seconds that a request took longer than it had to, if it met a rebuild: from when the first build was done, or
    /// from the request itself if it came later or did not wait for the build.
    pub(crate) fn wait(&self, key: &str, asked: Instant, answered: Instant, refreshes: bool) -> Option<f64> {
        let Some(expiry) = self.keys.get(key) else {
            // Answered at once, before the first build that it asked for.
            return refreshes.then(|| (answered - asked).as_secs_f64());
        };
        let met = refreshes || (expiry.began <= answered && expiry.done.is_none_or(|done| done >= asked));
        let since = expiry.done.filter(|done| *done <= answered).map_or(asked, |done| done.max(asked));
        met.then(|| (answered - since).as_secs_f64())
    }

    /// When the one entry of a run ran out, so far. Counted from the stores alone, so that the count is the same thing for
    /// every strategy.
    pub(crate) fn expiries(&self) -> Vec<Duration> {
        expiries(&self.stores, self.ttl, self.now())
    }

    /// The entry is there again after its `wanted`-th expiry.
    pub(crate) fn rebuilt_after(&self, wanted: usize) -> bool {
        let expiries = self.expiries();
        let last = expiries.get(wanted.saturating_sub(1));
        last.is_some_and(|expiry| self.stores.iter().any(|store| store > expiry))
    }
}

/// When an entry ran out that was stored at these moments (in no order), each time for `ttl`, until `now`.
fn expiries(stores: &[Duration], ttl: Duration, now: Duration) -> Vec<Duration> {
    let mut stores = stores.to_vec();
    stores.sort_unstable();
    let next = stores.iter().skip(1).copied().chain([now]);
    let ends = stores.iter().zip(next).map(|(store, next)| (*store + ttl, next));
    ends.filter(|(end, next)| end < next).map(|(end, _)| end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_stored_again_in_time_does_not_expire() {
        let [ttl, now] = [100, 1000].map(Duration::from_millis);
        let stores = [650, 0, 600, 950].map(Duration::from_millis);
        assert_eq!(expiries(&stores, ttl, now), [100, 750].map(Duration::from_millis));
    }
}
