//! Moments on the server's clock. Arithmetic saturates: no input wraps a deadline into the past.

use core::cmp::Ordering;

use crate::steps::step;

/// A moment, in milliseconds since the Unix epoch, or [`UnixMs::NEVER`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "trace", derive(serde::Serialize, serde::Deserialize))]
pub struct UnixMs(u64);

/// The largest number of milliseconds any option or sum may reach: 2^53 - 1, exact in every client's number type,
/// and far below the point where Redis's own signed arithmetic could overflow.
pub const MAX_MS: u64 = (1 << 53) - 1;

impl UnixMs {
    /// Before every moment; the deadline of what is not kept at all.
    pub const EPOCH: Self = Self(0);
    /// After every moment.
    pub const NEVER: Self = Self(u64::MAX);
    /// The last moment that is not "never".
    pub const LAST: Self = Self(MAX_MS);

    /// The moment `ms` after the epoch, held at [`UnixMs::LAST`].
    pub const fn new(ms: u64) -> Self {
        if ms > MAX_MS {
            Self::LAST
        } else {
            Self(ms)
        }
    }

    /// The moment `us` microseconds after the epoch.
    pub const fn from_micros(us: u64) -> Self {
        Self::new(us / 1000)
    }

    /// Milliseconds since the epoch; `None` for [`UnixMs::NEVER`].
    pub const fn get(self) -> Option<u64> {
        if self.is_never() {
            None
        } else {
            Some(self.0)
        }
    }

    pub const fn is_never(self) -> bool {
        self.0 == u64::MAX
    }

    /// `ms` later. Never stays never; anything else stays a moment, at most [`UnixMs::LAST`].
    #[must_use]
    pub const fn plus(self, ms: u64) -> Self {
        if self.is_never() {
            self
        } else {
            Self::new(self.0.saturating_add(ms))
        }
    }

    /// `ms` earlier, at the earliest [`UnixMs::EPOCH`]. Never stays never.
    #[must_use]
    pub const fn minus(self, ms: u64) -> Self {
        if self.is_never() {
            self
        } else {
            Self(self.0.saturating_sub(ms))
        }
    }

    /// Milliseconds from here until `later`; 0 if that has passed. Asking for the time until never gives [`MAX_MS`].
    pub const fn until(self, later: Self) -> u64 {
        let ms = later.0.saturating_sub(self.0);
        if ms > MAX_MS {
            MAX_MS
        } else {
            ms
        }
    }
}

/// One reading of the server's two clocks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "trace", derive(serde::Serialize, serde::Deserialize))]
pub struct Moment {
    /// Microseconds since the Unix epoch, by the clock that deadlines are on and that an operator can set.
    pub wall_us: u64,
    /// Microseconds of the clock that is never set: how long somebody waits at most is measured by it.
    pub steady_us: u64,
}

impl Moment {
    pub const fn now(self) -> UnixMs {
        UnixMs::from_micros(self.wall_us)
    }

    pub const fn steady(self) -> SteadyMs {
        SteadyMs(self.steady_us / 1000)
    }
}

/// Now, as far as leases are concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clock {
    pub now: UnixMs,
    /// Deadlines from here on have not passed, whatever `now` says: they fell into a pause, and the fills that the
    /// server held back meanwhile come first.
    pub held_from: UnixMs,
}

impl Clock {
    pub const fn at(now: UnixMs) -> Self {
        Self { now, held_from: UnixMs::NEVER }
    }

    pub fn has_passed(self, deadline: UnixMs) -> bool {
        deadline <= self.now && deadline < self.held_from
    }
}

/// A moment of the clock that is never set, in milliseconds, or [`SteadyMs::NEVER`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "trace", derive(serde::Serialize, serde::Deserialize))]
pub struct SteadyMs(pub u64);

impl SteadyMs {
    /// After every moment.
    pub const NEVER: Self = Self(u64::MAX);

    /// `ms` later; never stays never.
    #[must_use]
    pub const fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds until `later`; 0 if that has passed.
    pub const fn until(self, later: Self) -> u64 {
        later.0.saturating_sub(self.0)
    }
}

impl PartialOrd for UnixMs {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for UnixMs {
    fn cmp(&self, other: &Self) -> Ordering {
        step();
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for SteadyMs {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SteadyMs {
    fn cmp(&self, other: &Self) -> Ordering {
        step();
        self.0.cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_saturate_and_never_stays_never() {
        assert_eq!(UnixMs::new(5).plus(u64::MAX), UnixMs::LAST);
        assert_eq!(UnixMs::NEVER.plus(1), UnixMs::NEVER);
        assert_eq!(UnixMs::new(u64::MAX), UnixMs::LAST);
        assert!(UnixMs::LAST < UnixMs::NEVER);
        assert_eq!((UnixMs::new(5).minus(3), UnixMs::new(5).minus(6)), (UnixMs::new(2), UnixMs::EPOCH));
        assert_eq!(UnixMs::NEVER.minus(1), UnixMs::NEVER);
        assert_eq!(UnixMs::new(9).until(UnixMs::new(4)), 0);
        assert_eq!(UnixMs::new(9).until(UnixMs::NEVER), MAX_MS);
    }
}
