//! How the herd behaves; the same for all runs.

use std::time::Duration;

use crate::options::Demo;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) clients: usize,
    pub(crate) expiries: usize,
    pub(crate) ttl: Duration,
    /// What the report's query is meant to take when nothing else runs.
    pub(crate) query: Duration,
    /// No request begins later than this in a run.
    pub(crate) limit: Duration,
    /// What a client does between two requests takes between these two.
    pub(crate) think: (Duration, Duration),
}

impl Setting {
    pub(crate) fn new(options: &Demo) -> Self {
        // A client thinks long enough that the cache is not the bottleneck, and less than a rebuild takes, so that
        // (nearly) the whole herd meets every expiry.
        let think = (Duration::from_millis(30), Duration::from_millis(170));
        if options.quick {
            return Self {
                clients: 30,
                expiries: 2,
                ttl: Duration::from_millis(300),
                query: Duration::from_millis(20),
                limit: Duration::from_secs(10),
                think: (think.0 / 10, think.1 / 10),
            };
        }
        Self {
            clients: options.clients as usize,
            expiries: options.expiries as usize,
            ttl: Duration::from_millis(options.ttl_ms),
            query: Duration::from_millis(options.query_ms),
            limit: Duration::from_secs(options.max_seconds),
            think,
        }
    }
}
