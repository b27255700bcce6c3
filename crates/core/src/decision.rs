//! What a caller of one key is told, decided step by step.

use alloc::sync::Arc;

use crate::answer::{until, Answer, Payload};
use crate::entry::Entry;
use crate::time::{Clock, UnixMs};

/// The options of a call that its decision depends on.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Ask {
    /// XFetch's beta; 0 turns early refresh off.
    pub early_beta: f64,
    pub class: Class,
}

/// Waiters of one class are decided alike.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
#[cfg_attr(feature = "trace", derive(serde::Serialize, serde::Deserialize))]
pub struct Class {
    /// Never STALE, never an old value with REFRESH.
    pub no_stale: bool,
    /// Ask for the lease although the value is fresh.
    pub force: bool,
}

/// The outcome of one ask, before anything is changed. Values stay in the entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Answer HIT.
    Hit,
    /// Answer STALE.
    Stale { lease_left_ms: u64 },
    /// Answer PASS.
    Pass { left_ms: u64 },
    /// Answer FAIL.
    Fail(Refusal),
    /// Somebody else rebuilds and there is nothing to serve: park, or answer WAIT.
    Behind { lease_left_ms: u64 },
    /// The group is full and there is nothing to serve: park and queue, or answer WAIT.
    Full { left_ms: u64 },
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

/// Nobody is granted the lease for now, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub message: Arc<[u8]>,
    pub until: UnixMs,
}

/// What a caller's group says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Gate {
    Open,
    /// Its circuit is open, or half-open with the trial out.
    Refused(Refusal),
    /// No permit is free, or somebody who asked earlier queues. `left_ms`: until the next of its leases ends.
    Full {
        left_ms: u64,
    },
}

/// The message of a key whose last rebuild must not run twice.
pub const OUTCOME_UNKNOWN: &[u8] = b"outcome unknown";

impl Decision {
    pub const fn grants(&self) -> bool {
        matches!(self, Decision::Lock | Decision::Refresh(_))
    }
}

impl Entry {
    /// Decides one ask. Ordinary strings and foreign types are decided before, by who looks the key up.
    ///
    /// `gate` and `random` (in 0..=1) are asked only where they matter.
    pub fn decide(
        &self,
        ask: Ask,
        clock: Clock,
        mut gate: impl FnMut() -> Gate,
        random: impl FnOnce() -> f64,
    ) -> Decision {
        let now = clock.now;
        let Class { no_stale, force } = ask.class;
        let live_lease = self.live_lease(clock);
        let refusal = self.refusal(clock);
        let mut is_admitted = || live_lease.is_none() && refusal.is_none() && gate() == Gate::Open;
        if let Some(until) = self.passing(now) {
            return match force && is_admitted() {
                true => Decision::Lock,
                false => Decision::Pass { left_ms: now.until(until) },
            };
        }
        let mut serves_old = !no_stale;
        if self.is_fresh(now) {
            let waits_for_refresh = force && no_stale && live_lease.is_some();
            if !waits_for_refresh {
                if force && is_admitted() {
                    return Decision::Refresh(Cause::Forced);
                }
                let may_be_early = ask.early_beta > 0.0 && live_lease.is_none();
                if may_be_early && self.is_due_early(ask.early_beta, now, random) && is_admitted() {
                    return Decision::Refresh(Cause::Early);
                }
                return Decision::Hit;
            }
            serves_old = false;
        }
        let is_within_swr = serves_old && self.is_within_swr(now);
        if let Some(lease) = live_lease {
            let lease_left_ms = now.until(lease.deadline);
            let is_within_sie = serves_old && self.has_failed(clock) && self.is_servable(now);
            return match is_within_swr || is_within_sie {
                true => Decision::Stale { lease_left_ms },
                false => Decision::Behind { lease_left_ms },
            };
        }
        let is_servable = serves_old && self.is_servable(now);
        let gate = gate();
        if let Some(refusal) = self.refused_by(refusal, &gate) {
            return match is_servable {
                true => Decision::Stale { lease_left_ms: 0 },
                false => Decision::Fail(refusal),
            };
        }
        if let Gate::Full { left_ms } = gate {
            return match is_servable {
                true => Decision::Stale { lease_left_ms: 0 },
                false => Decision::Full { left_ms },
            };
        }
        match is_within_swr {
            true => Decision::Refresh(Cause::Stale),
            false => Decision::Lock,
        }
    }

    /// Why the key itself lets nobody have the lease.
    pub fn refusal(&self, clock: Clock) -> Option<Refusal> {
        let failure = self.backing_off(clock.now);
        let failure = failure.map(|failure| Refusal { message: failure.message.clone(), until: failure.until });
        let unknown = self.unknown_until(clock).map(|until| Refusal { message: OUTCOME_UNKNOWN.into(), until });
        match (unknown, failure) {
            (Some(unknown), Some(failure)) => Some(Refusal { until: unknown.until.max(failure.until), ..unknown }),
            (one, other) => one.or(other),
        }
    }

    /// The key's own refusal, or its group's; of both the later end, and the key's last message if it has one.
    fn refused_by(&self, key: Option<Refusal>, gate: &Gate) -> Option<Refusal> {
        match (key, gate) {
            (Some(key), Gate::Refused(group)) => Some(Refusal { until: key.until.max(group.until), ..key }),
            (None, Gate::Refused(group)) => {
                let own = self.failure().map(|failure| failure.message.clone());
                Some(Refusal { message: own.unwrap_or_else(|| group.message.clone()), until: group.until })
            }
            (key, _) => key,
        }
    }

    /// What CACHE.GET answers: grants nothing, and shows a value within its windows.
    pub fn peek(&self, clock: Clock) -> Answer {
        let now = clock.now;
        if let Some(until) = self.passing(now) {
            return Answer::Pass { left_ms: now.until(until) };
        }
        let lease_left_ms = self.live_lease(clock).map_or(0, |lease| now.until(lease.deadline));
        match &self.value {
            Some(value) if self.is_fresh(now) => return Answer::hit(value.clone(), self.fresh_until, now),
            Some(value) if self.is_servable(now) => {
                return Answer::Stale { value: Payload::Bytes(value.clone()), lease_left_ms }
            }
            _ => {}
        }
        match self.refusal(clock).filter(|_| lease_left_ms == 0) {
            Some(refusal) => refusal.answer(now),
            None => Answer::Miss { lease_left_ms },
        }
    }

    /// What a failed rebuild leaves for a caller: the value, fresh or (unless `no_stale`) within its windows, as STALE,
    /// else the message.
    pub fn after_failure(&self, no_stale: bool, refusal: &Refusal, now: UnixMs) -> Answer {
        match &self.value {
            Some(value) if self.is_fresh(now) || (!no_stale && self.is_servable(now)) => {
                Answer::Stale { value: Payload::Bytes(value.clone()), lease_left_ms: 0 }
            }
            _ => refusal.answer(now),
        }
    }

    /// The answer to a decision that grants nothing and parks nobody.
    pub fn answer(&self, decision: &Decision, now: UnixMs) -> Answer {
        let value = || Payload::Bytes(self.value.clone().unwrap_or_else(nothing));
        match decision {
            Decision::Hit => Answer::Hit { value: value(), stale_in_ms: until(now, self.fresh_until) },
            Decision::Stale { lease_left_ms } => Answer::Stale { value: value(), lease_left_ms: *lease_left_ms },
            Decision::Pass { left_ms } => Answer::Pass { left_ms: *left_ms },
            Decision::Fail(refusal) => refusal.answer(now),
            Decision::Behind { lease_left_ms: left_ms } | Decision::Full { left_ms } => {
                Answer::Wait { left_ms: *left_ms }
            }
            Decision::Lock | Decision::Refresh(_) => Answer::Wait { left_ms: 0 },
        }
    }

    /// XFetch (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention, VLDB 2015):
    /// a value that took long to build is refreshed earlier, and of many callers about one goes first.
    fn is_due_early(&self, beta: f64, now: UnixMs, random: impl FnOnce() -> f64) -> bool {
        if self.build_ms == 0 || self.fresh_until.is_never() {
            return false;
        }
        let left_ms = now.until(self.fresh_until) as f64;
        // `log` of 0 is minus infinity, which would make every such draw refresh: the formula's random is above 0.
        let gap_ms = -f64::from(self.build_ms) * beta * libm::log(random().clamp(f64::MIN_POSITIVE, 1.0));
        gap_ms >= left_ms
    }
}

impl Refusal {
    pub fn answer(&self, now: UnixMs) -> Answer {
        Answer::Fail { message: self.message.clone(), retry_in_ms: until(now, self.until) }
    }
}

fn nothing() -> Arc<[u8]> {
    Arc::from(&[][..])
}
