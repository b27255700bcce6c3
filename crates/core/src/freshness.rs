//! How long a value is fresh and how long it is kept for serving afterwards.

use crate::time::UnixMs;

/// What the caller of FILL, SET or TOUCH asked for. Defaults, relative times and chance are not resolved yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "trace", derive(serde::Serialize, serde::Deserialize))]
pub struct Freshness {
    pub soft: SoftDeadline,
    pub swr_ms: Option<u64>,
    pub sie_ms: Option<u64>,
    /// 0 to 100.
    pub jitter_percent: Option<u8>,
}

/// What stands for the options that a call leaves out: the group's policy, then the settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FreshnessDefaults {
    pub swr_ms: u64,
    pub sie_ms: u64,
    pub jitter_percent: u8,
}

/// When the value becomes stale.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "trace", derive(serde::Serialize, serde::Deserialize))]
pub enum SoftDeadline {
    Never,
    /// ms from now.
    In(u64),
    At(UnixMs),
}

/// Resolved times, the same on every replica.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Times {
    /// The soft deadline: fresh strictly before it.
    pub fresh_until: UnixMs,
    pub windows: Windows,
}

/// How long a stale value may still be served. Both windows begin at the soft deadline (RFC 5861).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Windows {
    /// stale-while-revalidate
    pub swr_ms: u64,
    /// stale-if-error
    pub sie_ms: u64,
}

impl Freshness {
    /// Fresh for ever, with the windows left to the defaults.
    pub const FOR_EVER: Self = Self { soft: SoftDeadline::Never, swr_ms: None, sie_ms: None, jitter_percent: None };

    /// The times from `now` on. `random` in 0..=1 is asked for only where there is jitter; it shortens the fresh time
    /// by up to that share, and by less than all of it: chance alone never makes a fresh value vanish.
    pub fn resolve(&self, now: UnixMs, defaults: FreshnessDefaults, random: impl FnOnce() -> f64) -> Times {
        let asked = match self.soft {
            SoftDeadline::Never => UnixMs::NEVER,
            SoftDeadline::In(ms) => now.plus(ms),
            SoftDeadline::At(moment) => moment,
        };
        let windows =
            Windows { swr_ms: self.swr_ms.unwrap_or(defaults.swr_ms), sie_ms: self.sie_ms.unwrap_or(defaults.sie_ms) };
        let percent = self.jitter_percent.unwrap_or(defaults.jitter_percent);
        Times { fresh_until: jittered(asked, percent, now, random), windows }
    }
}

fn jittered(asked: UnixMs, percent: u8, now: UnixMs, random: impl FnOnce() -> f64) -> UnixMs {
    if percent == 0 || asked.is_never() || asked <= now {
        return asked;
    }
    let fresh_ms = now.until(asked);
    let share = f64::from(percent.min(100)) / 100.0 * random().clamp(0.0, 1.0);
    // Below 2^53 both conversions are exact.
    let shorter_by = (fresh_ms as f64 * share) as u64;
    now.plus(fresh_ms.saturating_sub(shorter_by).max(1))
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

    /// Both windows, neither longer than `ms`.
    #[must_use]
    pub fn capped(self, ms: u64) -> Self {
        Self { swr_ms: self.swr_ms.min(ms), sie_ms: self.sie_ms.min(ms) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: FreshnessDefaults = FreshnessDefaults { swr_ms: 0, sie_ms: 0, jitter_percent: 0 };

    fn freshness(soft: SoftDeadline, jitter_percent: u8) -> Freshness {
        Freshness { soft, jitter_percent: Some(jitter_percent), ..Freshness::FOR_EVER }
    }

    #[test]
    fn jitter_only_shortens_and_never_to_nothing() {
        let now = UnixMs::new(1_000_000);
        for (random, left) in [(0.0, 1000), (0.5, 950), (1.0, 900)] {
            let times = freshness(SoftDeadline::In(1000), 10).resolve(now, NONE, || random);
            assert_eq!(now.until(times.fresh_until), left);
        }
        let times = freshness(SoftDeadline::In(1000), 100).resolve(now, NONE, || 1.0);
        assert_eq!(now.until(times.fresh_until), 1);
    }

    #[test]
    fn a_past_deadline_stays_past() {
        let times = freshness(SoftDeadline::At(UnixMs::new(5)), 50).resolve(UnixMs::new(10), NONE, || 0.3);
        assert_eq!(times.fresh_until, UnixMs::new(5));
    }

    #[test]
    fn what_a_call_leaves_out_comes_from_the_defaults() {
        let defaults = FreshnessDefaults { swr_ms: 7, sie_ms: 8, jitter_percent: 0 };
        let times = Freshness { sie_ms: Some(0), ..Freshness::FOR_EVER }.resolve(UnixMs::new(10), defaults, || 0.0);
        assert_eq!(times.windows, Windows { swr_ms: 7, sie_ms: 0 });
    }
}
