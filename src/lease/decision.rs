//! What a caller is told, decided step by step.

use crate::ask::{Answer, Ask};
use crate::entry::Entry;
use crate::time::UnixMs;

/// The outcome of one CACHE.GETORLOCK, before anything is changed. Values stay in the entry: a hit copies nothing but
/// its reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Answer HIT.
    Hit { stale_in_ms: Option<u64> },
    /// Answer STALE.
    Stale { lease_left_ms: u64 },
    /// Answer PASS.
    Pass { left_ms: u64 },
    /// Answer FAIL.
    Fail { retry_in_ms: u64 },
    /// Somebody else rebuilds and there is nothing to serve: park, or answer WAIT.
    Behind { lease_left_ms: u64 },
    /// Grant the lease and answer LOCK.
    Lock,
    /// Grant the lease and answer REFRESH.
    Refresh(Cause),
}

/// Why a value is refreshed while it serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// It is stale, within SWR.
    Stale,
    /// It is fresh, and XFetch's draw fell on this caller.
    Early,
    /// It is fresh, and the caller said FORCE.
    Forced,
}

impl Entry {
    /// Decides one ask at `now`. Ordinary strings and foreign types are decided before, by who looks the key up.
    ///
    /// `random`, in 0..=1, is asked for only when an early refresh is possible.
    pub fn decide(&self, ask: &Ask, now: UnixMs, random: impl FnOnce() -> f64) -> Decision {
        if let Some(until) = self.passing(now) {
            return Decision::Pass { left_ms: now.until(until) };
        }
        let live_lease = self.live_lease(now);
        let failure = self.backing_off(now);
        if self.is_fresh(now) {
            if live_lease.is_none() && failure.is_none() {
                if ask.force {
                    return Decision::Refresh(Cause::Forced);
                }
                if ask.early_beta > 0.0 && self.is_due_early(ask.early_beta, now, random()) {
                    return Decision::Refresh(Cause::Early);
                }
            }
            return Decision::Hit { stale_in_ms: self.stale_in_ms(now) };
        }
        let serve_stale = !ask.no_stale && self.is_within_swr(now);
        if let Some(lease) = live_lease {
            let lease_left_ms = now.until(lease.deadline);
            return match serve_stale {
                true => Decision::Stale { lease_left_ms },
                false => Decision::Behind { lease_left_ms },
            };
        }
        if let Some(failure) = failure {
            return match !ask.no_stale && self.is_servable(now) {
                true => Decision::Stale { lease_left_ms: 0 },
                false => Decision::Fail { retry_in_ms: now.until(failure.until) },
            };
        }
        match serve_stale {
            true => Decision::Refresh(Cause::Stale),
            false => Decision::Lock,
        }
    }

    /// What CACHE.GET answers: grants nothing, and shows any value still kept.
    pub fn peek(&self, now: UnixMs) -> Answer {
        if let Some(until) = self.passing(now) {
            return Answer::Pass { left_ms: now.until(until) };
        }
        let lease_left_ms = self.live_lease(now).map_or(0, |lease| now.until(lease.deadline));
        match (&self.value, self.backing_off(now)) {
            (Some(value), _) if now < self.fresh_until => Answer::hit(value.clone(), self.fresh_until, now),
            (Some(value), _) => Answer::Stale { value: value.clone(), lease_left_ms },
            (None, Some(failure)) => {
                Answer::Fail { message: failure.message.clone(), retry_in_ms: now.until(failure.until) }
            }
            (None, None) => Answer::Miss { lease_left_ms },
        }
    }

    /// What a failed rebuild leaves for a caller: STALE if there is a value to serve, else FAIL.
    /// `None` if no failure is recorded.
    pub fn after_failure(&self, no_stale: bool, now: UnixMs) -> Option<Answer> {
        let failure = self.failure()?;
        match &self.value {
            Some(value) if !no_stale && self.is_servable(now) => {
                Some(Answer::Stale { value: value.clone(), lease_left_ms: 0 })
            }
            _ => Some(Answer::Fail { message: failure.message.clone(), retry_in_ms: now.until(failure.until) }),
        }
    }

    /// ms until the fresh value turns stale; `None` for never.
    pub fn stale_in_ms(&self, now: UnixMs) -> Option<u64> {
        (!self.fresh_until.is_never()).then(|| now.until(self.fresh_until))
    }

    /// XFetch (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention, VLDB 2015):
    /// a value that took long to build is refreshed earlier, and of many callers about one goes first.
    fn is_due_early(&self, beta: f64, now: UnixMs, random: f64) -> bool {
        if self.build_ms == 0 || self.fresh_until.is_never() {
            return false;
        }
        let left_ms = now.until(self.fresh_until) as f64;
        // `ln` of 0 is minus infinity, which would make every such draw refresh: the formula's random is above 0.
        let gap_ms = -f64::from(self.build_ms) * beta * random.clamp(f64::MIN_POSITIVE, 1.0).ln();
        gap_ms >= left_ms
    }
}
