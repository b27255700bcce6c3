//! How long builds and waits take, as percentiles for INFO.

use hdrhistogram::Histogram;

/// The times since the server's statistics began.
#[derive(Default)]
pub struct Latencies {
    /// Up to the last look whether they began anew (see `resets`).
    settled: Times,
    /// Since then.
    recent: Times,
}

/// Times in microseconds, each kept within one percent of what it was.
#[derive(Default)]
struct Times {
    /// Made with the first time: a module that is loaded and not used takes no 25 KB for each.
    histogram: Option<Histogram<u64>>,
    longest_us: u64,
}

impl Latencies {
    pub fn record(&mut self, us: u64) {
        self.recent.record(us);
    }

    /// What was measured before the last look counts no more.
    pub fn reset_stats(&mut self) {
        self.settled = Times::default();
    }

    /// From here on everything measured by now is part of the figures.
    pub fn look(&mut self) {
        self.settled.take_over(&mut self.recent);
    }

    /// How many were measured up to the last look.
    pub fn len(&self) -> u64 {
        self.settled.histogram.as_ref().map_or(0, Histogram::len)
    }

    /// The time, in microseconds, that `quantile` (0..=1) of them did not exceed; 0 if none was measured.
    pub fn at(&self, quantile: f64) -> u64 {
        let us = self.settled.histogram.as_ref().map_or(0, |histogram| histogram.value_at_quantile(quantile));
        us.min(self.settled.longest_us)
    }

    /// The longest, in microseconds.
    pub const fn longest(&self) -> u64 {
        self.settled.longest_us
    }
}

impl Times {
    fn record(&mut self, us: u64) {
        self.longest_us = self.longest_us.max(us);
        if let Some(histogram) = self.histogram() {
            // Longer ones count as that long.
            histogram.saturating_record(us);
        }
    }

    fn take_over(&mut self, others: &mut Self) {
        let Some(taken) = others.histogram.as_mut().filter(|taken| !taken.is_empty()) else { return };
        if let Some(histogram) = self.histogram() {
            // Both have the same bounds: nothing of one is out of the other's range.
            let _ = histogram.add(&*taken);
        }
        taken.reset();
        self.longest_us = self.longest_us.max(std::mem::take(&mut others.longest_us));
    }

    fn histogram(&mut self) -> Option<&mut Histogram<u64>> {
        if self.histogram.is_none() {
            self.histogram = Histogram::new_with_bounds(1, LONGEST_KEPT_US, DIGITS).ok();
        }
        self.histogram.as_mut()
    }
}

/// A day, the longest lease there can be: a wait that took longer is no measurement any more.
const LONGEST_KEPT_US: u64 = 86_400_000_000;

/// Significant decimal digits: two are within a percent, and take an eighth of the memory of three.
const DIGITS: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_a_percent_and_the_longest_is_exact() {
        let mut times = Latencies::default();
        times.look();
        assert_eq!((times.len(), times.at(0.5), times.longest()), (0, 0, 0));
        for ms in 1..=1000 {
            times.record(ms * 1000);
        }
        times.look();
        for (quantile, expected) in [(0.5, 500_000.0), (0.99, 990_000.0), (0.999, 999_000.0)] {
            let found = times.at(quantile) as f64;
            assert!((found - expected).abs() <= expected / 100.0, "{quantile}: {found}");
        }
        assert_eq!((times.len(), times.longest()), (1000, 1_000_000));
        times.record(u64::MAX);
        times.look();
        assert_eq!((times.len(), times.longest()), (1001, u64::MAX));
    }

    #[test]
    fn beginning_anew_keeps_what_came_after_the_last_look() {
        let mut times = Latencies::default();
        times.record(9_000);
        times.look();
        times.record(5_000);
        times.reset_stats();
        times.look();
        assert_eq!((times.len(), times.longest(), times.at(0.5)), (1, 5_000, 5_000));
    }
}
