//! What really happened: the builds of each key, whoever began them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::TTL;

pub(super) struct Ledger {
    /// How long a build takes.
    pub(super) build: Duration,
    pub(super) builds: u64,
    /// Times that a value was due to be built anew.
    pub(super) expiries: u64,
    keys: HashMap<String, Expiry>,
}

/// The latest expiry of a key.
struct Expiry {
    number: u64,
    began: Instant,
    /// When the first of its builds was done.
    done: Option<Instant>,
}

/// Which expiry a build is for.
pub(super) struct Build(u64);

impl Ledger {
    pub(super) fn new(build: Duration) -> Self {
        Self { build, builds: 0, expiries: 0, keys: HashMap::new() }
    }

    pub(super) fn begin(&mut self, key: &str) -> Build {
        self.builds += 1;
        let now = Instant::now();
        // A build within half a life of the last one that was done is not for a new expiry but one too many.
        let current = self.keys.get(key).filter(|expiry| expiry.done.is_none_or(|done| now < done + TTL / 2));
        if let Some(expiry) = current {
            return Build(expiry.number);
        }
        self.expiries += 1;
        self.keys.insert(key.to_owned(), Expiry { number: self.expiries, began: now, done: None });
        Build(self.expiries)
    }

    pub(super) fn end(&mut self, key: &str, build: Build, now: Instant) {
        if let Some(expiry) = self.keys.get_mut(key).filter(|expiry| expiry.number == build.0) {
            expiry.done.get_or_insert(now);
        }
    }

    /// Seconds that a request took longer than it had to, if it met a rebuild: from when the first build was done, or
    /// from the request itself if it came later or did not wait for the build.
    pub(super) fn wait(&self, key: &str, asked: Instant, answered: Instant, refreshes: bool) -> Option<f64> {
        let Some(expiry) = self.keys.get(key) else {
            // Answered at once, before the first build that it asked for.
            return refreshes.then(|| (answered - asked).as_secs_f64());
        };
        let met = refreshes || (expiry.began <= answered && expiry.done.is_none_or(|done| done >= asked));
        let since = expiry.done.filter(|done| *done <= answered).map_or(asked, |done| done.max(asked));
        met.then(|| (answered - since).as_secs_f64())
    }
}
