//! How long a value is fresh and how long it is kept for serving afterwards.

use crate::time::UnixMs;

/// What the caller of FILL, SET or TOUCH asked for. Relative times and chance are not resolved yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Freshness {
    pub soft: SoftDeadline,
    pub swr_ms: u64,
    pub sie_ms: u64,
    /// 0 to 100.
    pub jitter_percent: u8,
}

/// When the value becomes stale.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SoftDeadline {
    Never,
    /// ms from now.
    In(u64),
    At(UnixMs),
}

/// Resolved times, the same on every replica.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Times {
    /// The soft deadline: fresh strictly before it.
    pub fresh_until: UnixMs,
    pub windows: Windows,
}

/// How long a stale value may still be served. Both windows begin at the soft deadline (RFC 5861).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Windows {
    /// stale-while-revalidate
    pub swr_ms: u64,
    /// stale-if-error
    pub sie_ms: u64,
}

impl Freshness {
    /// The times from `now` on. `random` in 0..=1 is asked for only where there is jitter; it shortens the fresh time
    /// by up to `jitter_percent`, and by less than all of it: chance alone never makes a fresh value vanish.
    pub fn resolve(&self, now: UnixMs, random: impl FnOnce() -> f64) -> Times {
        let asked = match self.soft {
            SoftDeadline::Never => UnixMs::NEVER,
            SoftDeadline::In(ms) => now.plus(ms),
            SoftDeadline::At(moment) => moment,
        };
        Times { fresh_until: self.jittered(asked, now, random), windows: self.windows() }
    }

    pub const fn windows(&self) -> Windows {
        Windows { swr_ms: self.swr_ms, sie_ms: self.sie_ms }
    }

    fn jittered(&self, asked: UnixMs, now: UnixMs, random: impl FnOnce() -> f64) -> UnixMs {
        if self.jitter_percent == 0 || asked.is_never() || asked <= now {
            return asked;
        }
        let fresh_ms = now.until(asked);
        let share = f64::from(self.jitter_percent.min(100)) / 100.0 * random().clamp(0.0, 1.0);
        // Below 2^53 both conversions are exact.
        let shorter_by = (fresh_ms as f64 * share) as u64;
        now.plus(fresh_ms.saturating_sub(shorter_by).max(1))
    }
}

impl Times {
    /// Until when the value can be of use to anybody.
    pub const fn servable_until(&self) -> UnixMs {
        self.fresh_until.plus(self.windows.longest_ms())
    }
}

impl Windows {
    pub const fn longest_ms(&self) -> u64 {
        if self.swr_ms > self.sie_ms {
            self.swr_ms
        } else {
            self.sie_ms
        }
    }

    pub const fn is_empty(&self) -> bool {
        self.longest_ms() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn freshness(soft: SoftDeadline, jitter_percent: u8) -> Freshness {
        Freshness { soft, swr_ms: 0, sie_ms: 0, jitter_percent }
    }

    #[test]
    fn jitter_only_shortens_and_never_to_nothing() {
        let now = UnixMs::new(1_000_000);
        for (random, left) in [(0.0, 1000), (0.5, 950), (1.0, 900)] {
            let times = freshness(SoftDeadline::In(1000), 10).resolve(now, || random);
            assert_eq!(now.until(times.fresh_until), left);
        }
        let times = freshness(SoftDeadline::In(1000), 100).resolve(now, || 1.0);
        assert_eq!(now.until(times.fresh_until), 1);
    }

    #[test]
    fn a_past_deadline_stays_past() {
        let times = freshness(SoftDeadline::At(UnixMs::new(5)), 50).resolve(UnixMs::new(10), || 0.3);
        assert_eq!(times.fresh_until, UnixMs::new(5));
    }
}
