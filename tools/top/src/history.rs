//! What the readings say together: rates and ratios over time, and the longest builds seen. Time is an argument.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::reading::{Lease, Reading};
use crate::source::Trouble;

pub(crate) struct History {
    pub(crate) address: String,
    pub(crate) last: Option<Reading>,
    /// Why the last attempt failed, if it did; `last` is then of earlier.
    pub(crate) trouble: Option<Trouble>,
    last_at: Duration,
    /// Oldest first.
    pub(crate) spans: VecDeque<Span>,
    builds: HashMap<u64, Build>,
}

/// What happened between two readings, per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Span {
    pub(crate) hits: f64,
    pub(crate) stale: f64,
    pub(crate) misses: f64,
    pub(crate) saved: f64,
    pub(crate) fills: f64,
}

/// A lease that was seen. Its age when last seen is what its build took at least.
#[derive(Clone, Debug)]
pub(crate) struct Build {
    pub(crate) lease: Lease,
    pub(crate) is_under_way: bool,
}

impl History {
    pub(crate) fn new(address: String) -> Self {
        Self {
            address,
            last: None,
            trouble: None,
            last_at: Duration::ZERO,
            spans: VecDeque::new(),
            builds: HashMap::new(),
        }
    }

    pub(crate) fn add(&mut self, now: Duration, outcome: Result<Reading, Trouble>) {
        let reading = match outcome {
            Ok(reading) => reading,
            Err(trouble) => {
                self.trouble = Some(trouble);
                return;
            }
        };
        self.trouble = None;
        match &self.last {
            Some(last) if last.is_of_same_run(&reading) => {
                let span = Span::between(last, &reading, now.saturating_sub(self.last_at));
                self.spans.push_back(span);
                if self.spans.len() > SPANS_KEPT {
                    self.spans.pop_front();
                }
            }
            _ => {
                self.spans.clear();
                self.builds.clear();
            }
        }
        self.note_builds(reading.leases.as_deref().unwrap_or_default());
        self.last = Some(reading);
        self.last_at = now;
    }

    pub(crate) fn now(&self) -> Option<Span> {
        self.spans.back().copied()
    }

    /// Longest first.
    pub(crate) fn longest_builds(&self) -> Vec<&Build> {
        let mut builds: Vec<&Build> = self.builds.values().collect();
        builds.sort_by_key(|build| (std::cmp::Reverse(build.lease.age_ms), build.lease.token));
        builds
    }

    fn note_builds(&mut self, leases: &[Lease]) {
        for build in self.builds.values_mut() {
            build.is_under_way = false;
        }
        for lease in leases {
            // A token is never given twice.
            self.builds.insert(lease.token, Build { lease: lease.clone(), is_under_way: true });
        }
        if self.builds.len() > BUILDS_KEPT {
            let least = self.longest_builds().get(BUILDS_KEPT / 2).map_or(0, |build| build.lease.age_ms);
            self.builds.retain(|_, build| build.is_under_way || build.lease.age_ms > least);
        }
    }
}

impl Span {
    fn between(before: &Reading, after: &Reading, time: Duration) -> Self {
        let seconds = time.as_secs_f64().max(0.001);
        let rate = |name: &str| after.count(name).saturating_sub(before.count(name)) as f64 / seconds;
        Self {
            hits: rate("hits"),
            stale: rate("stale_hits"),
            misses: rate("misses"),
            saved: rate("rebuilds_saved"),
            fills: rate("fills"),
        }
    }

    pub(crate) fn requests(&self) -> f64 {
        self.hits + self.stale + self.misses
    }

    /// The share of requests that found a value, fresh or stale; `None` if there were no requests.
    pub(crate) fn hit_ratio(&self) -> Option<f64> {
        hit_ratio(self.hits, self.stale, self.misses)
    }
}

pub(crate) fn hit_ratio(hits: f64, stale: f64, misses: f64) -> Option<f64> {
    let all = hits + stale + misses;
    (all > 0.0).then(|| (hits + stale) / all)
}

/// As many as the widest terminal can show, and ten minutes of them.
const SPANS_KEPT: usize = 600;
const BUILDS_KEPT: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(run: &str, hits: u64, misses: u64, leases: &[(u64, u64)]) -> Reading {
        let info = format!("run_id:{run}\ncorral_hits:{hits}\ncorral_misses:{misses}\n");
        let lease = |&(token, age_ms): &(u64, u64)| Lease { token, age_ms, ..Lease::default() };
        Reading::new(&info, Some(leases.iter().map(lease).collect()))
    }

    fn builds(history: &History) -> Vec<(u64, u64, bool)> {
        let build = |build: &&Build| (build.lease.token, build.lease.age_ms, build.is_under_way);
        history.longest_builds().iter().map(build).collect()
    }

    #[test]
    fn rates_are_per_second_and_begin_anew_with_the_server() {
        let mut history = History::new(String::new());
        history.add(Duration::from_secs(0), Ok(reading("a", 100, 10, &[])));
        assert_eq!(history.now(), None);
        history.add(Duration::from_secs(2), Ok(reading("a", 160, 30, &[])));
        assert_eq!(history.now(), Some(Span { hits: 30.0, misses: 10.0, ..Span::default() }));
        assert_eq!(history.now().and_then(|span| span.hit_ratio()), Some(0.75));
        history.add(Duration::from_secs(3), Ok(reading("b", 5, 5, &[])));
        assert_eq!(history.now(), None);
    }

    #[test]
    fn a_failed_reading_keeps_what_was_seen_and_a_gap_is_averaged() {
        let mut history = History::new(String::new());
        history.add(Duration::from_secs(0), Ok(reading("a", 0, 0, &[])));
        history.add(Duration::from_secs(1), Err(Trouble::NoModule));
        assert!(history.last.is_some() && history.trouble == Some(Trouble::NoModule));
        history.add(Duration::from_secs(4), Ok(reading("a", 40, 0, &[])));
        assert_eq!((history.now().map(|span| span.hits), &history.trouble), (Some(10.0), &None));
    }

    #[test]
    fn a_lease_that_is_gone_stays_among_the_builds_at_its_last_age() {
        let mut history = History::new(String::new());
        history.add(Duration::from_secs(0), Ok(reading("a", 0, 0, &[(1, 500), (2, 40)])));
        history.add(Duration::from_secs(1), Ok(reading("a", 0, 0, &[(2, 1040)])));
        assert_eq!(builds(&history), [(2, 1040, true), (1, 500, false)]);
    }
}
