//! What one run came to.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::ledger::Span;
use crate::strategies::Strategy;

pub(crate) struct Run {
    pub(crate) strategy: Strategy,
    /// Every request's, in microseconds.
    pub(crate) latencies: Histogram<u64>,
    /// Every query that ran on the database, in no order.
    pub(crate) queries: Vec<Span>,
    /// When the cache entry expired.
    pub(crate) expiries: Vec<Duration>,
    pub(crate) commands: u64,
    /// Until the last client had its answer.
    pub(crate) elapsed: Duration,
    pub(crate) expiries_wanted: usize,
}

impl Run {
    pub(crate) fn requests(&self) -> u64 {
        self.latencies.len()
    }

    pub(crate) fn latency(&self, quantile: f64) -> Duration {
        Duration::from_micros(self.latencies.value_at_quantile(quantile))
    }

    pub(crate) fn slowest(&self) -> Duration {
        Duration::from_micros(self.latencies.max())
    }

    /// An expiry after the last query met no request any more: the run was over.
    pub(crate) fn expiries_met(&self) -> usize {
        self.expiries.iter().filter(|expiry| self.queries.iter().any(|query| query.end > **expiry)).count()
    }

    pub(crate) fn was_cut_short(&self) -> bool {
        self.expiries_met() < self.expiries_wanted
    }

    /// The queries that began between one expiry and the next, for the expiry with the fewest and with the most.
    /// Where queries take long the entry may expire again while the herd of the last expiry is still at it.
    pub(crate) fn fewest_and_most_queries(&self) -> (usize, usize) {
        let mut counts = vec![0; self.expiries_met()];
        for query in &self.queries {
            let past = self.expiries.iter().filter(|expiry| **expiry <= query.begin + CLOCK_TICK).count();
            if let Some(count) = counts.get_mut(past.saturating_sub(1)) {
                *count += 1;
            }
        }
        (counts.iter().copied().min().unwrap_or(0), counts.iter().copied().max().unwrap_or(0))
    }

    pub(crate) fn queries_per_expiry(&self) -> f64 {
        self.queries.len() as f64 / self.expiries_met().max(1) as f64
    }

    pub(crate) fn commands_per_request(&self) -> f64 {
        self.commands as f64 / self.requests().max(1) as f64
    }

    /// A request needs one command at least; the others are what its expiries cost Redis.
    pub(crate) fn extra_commands_per_expiry(&self) -> f64 {
        self.commands.saturating_sub(self.requests()) as f64 / self.expiries_met().max(1) as f64
    }

    /// What a query took from its beginning to its end, the others beside it.
    pub(crate) fn median_query(&self) -> Duration {
        let mut times: Vec<Duration> = self.queries.iter().map(|query| query.end.saturating_sub(query.begin)).collect();
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }

    pub(crate) fn most_in_flight(&self) -> usize {
        self.in_flight().into_iter().map(|(_, count)| count).max().unwrap_or(0)
    }

    /// How many queries ran at once: each moment at which the number changed, and the number from then on.
    pub(crate) fn in_flight(&self) -> Vec<(Duration, usize)> {
        let mut changes: Vec<(Duration, bool)> =
            self.queries.iter().flat_map(|query| [(query.begin, true), (query.end, false)]).collect();
        // Ends before beginnings of the same moment: two queries that follow each other never ran at once.
        changes.sort_unstable();
        let mut count = 0usize;
        let mut steps = vec![(Duration::ZERO, 0)];
        for (at, begins) in changes {
            count = if begins { count + 1 } else { count.saturating_sub(1) };
            steps.push((at, count));
        }
        steps
    }
}

/// The server counts whole milliseconds and looks at its clock once per turn of its event loop,
/// so an entry may run out a little sooner than a client would think.
const CLOCK_TICK: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn run(queries: &[(u64, u64)], expiries: &[u64]) -> anyhow::Result<Run> {
        let at = Duration::from_millis;
        Ok(Run {
            strategy: Strategy::Plain,
            latencies: crate::demo::herd::empty_histogram()?,
            queries: queries.iter().map(|&(begin, end)| Span { begin: at(begin), end: at(end) }).collect(),
            expiries: expiries.iter().copied().map(at).collect(),
            commands: 0,
            elapsed: at(100),
            expiries_wanted: expiries.len(),
        })
    }

    #[test]
    fn queries_that_overlap_are_in_flight_together() -> anyhow::Result<()> {
        let counts: Vec<usize> = run(&[(10, 30), (20, 40), (40, 50)], &[])?.in_flight().iter().map(|s| s.1).collect();
        assert_eq!(counts, [0, 1, 2, 1, 0, 1, 0]);
        Ok(())
    }

    #[test]
    fn a_query_belongs_to_the_expiry_before_it() -> anyhow::Result<()> {
        let run = run(&[(10, 30), (11, 50), (12, 70), (99, 180)], &[9, 100, 190])?;
        assert_eq!(run.fewest_and_most_queries(), (1, 3));
        assert_eq!(run.queries_per_expiry(), 2.0);
        Ok(())
    }

    #[test]
    fn an_expiry_that_no_request_met_does_not_count() -> anyhow::Result<()> {
        let run = run(&[(10, 30), (60, 80)], &[9, 61, 90])?;
        assert_eq!(run.expiries_met(), 2);
        assert_eq!(run.queries_per_expiry(), 1.0);
        assert!(run.was_cut_short());
        Ok(())
    }
}
