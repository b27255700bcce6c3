//! How a rebuild ends: what a holder says with its token, and what others do to the key without one.

use std::sync::Arc;

use crate::ask::Answer;
use crate::entry::Failure;
use crate::freshness::Times;
use crate::key::{Change, Effect, Key, LeaseEnd, Sources, Step};
use crate::room::Waiters;
use crate::time::UnixMs;
use crate::token::Token;

/// Whether the server has memory for another value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Memory {
    Free,
    /// Over `maxmemory` with nothing to evict.
    Full,
}

/// What became of a fill.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filled {
    Stored,
    /// The token was not current: nothing is stored.
    Void,
    /// No memory: the waiters have the value, nothing is stored, the lease has ended.
    OutOfMemory,
}

impl Key<'_> {
    /// CACHE.FILL: stores the value and ends the lease if `token` is current.
    pub fn fill(&mut self, token: Token, value: Arc<[u8]>, times: Times, memory: Memory) -> Step<Filled> {
        let mut step = Step::new(Filled::Void);
        let granted_at = self.entry.lease().map(|lease| lease.granted_at);
        if !self.end_lease(token, LeaseEnd::Filled, &mut step) {
            // Those that joined asked before the invalidation: for them it is the value they asked for.
            let joined = self.room.take_joined(token);
            step.wake(joined, || Answer::hit(value, times.fresh_until, self.now));
            return step;
        }
        if memory == Memory::Full {
            step.reply = Filled::OutOfMemory;
            let everybody = self.room.take_all();
            step.wake(everybody, || Answer::hit(value, times.fresh_until, self.now));
            return step;
        }
        step.reply = Filled::Stored;
        let build_ms = granted_at.map_or(0, |granted_at| granted_at.until(self.now));
        self.entry.build_ms = u32::try_from(build_ms).unwrap_or(u32::MAX);
        self.store(value, times, &mut step);
        step
    }

    /// CACHE.SET: stores the value whoever holds the lease, and voids it.
    pub fn set(&mut self, value: Arc<[u8]>, times: Times) -> Step<()> {
        let mut step = Step::new(());
        self.void_lease(LeaseEnd::Replaced, &mut step);
        self.store(value, times, &mut step);
        step
    }

    /// CACHE.TOUCH: the old value is fresh again. Replies whether the token was current and there is a value; if not,
    /// a current lease stays as it is.
    pub fn touch(&mut self, token: Token, times: Times, from: &mut Sources) -> Step<bool> {
        let held = self.entry.lease().is_some_and(|lease| lease.token == token);
        let Some(value) = self.entry.value().cloned().filter(|_| held) else {
            return if held { Step::new(false) } else { self.end(token, LeaseEnd::Touched, from) };
        };
        let mut step = Step::new(true);
        self.end_lease(token, LeaseEnd::Touched, &mut step);
        self.entry.set_times(times);
        self.clear_marks();
        step.raise(Change::Times);
        let everybody = self.room.take_all();
        step.wake(everybody, || Answer::hit(value, times.fresh_until, self.now));
        step
    }

    /// CACHE.FAIL: records the failure and ends the lease. Replies what a waiter gets; `None` if the token was not
    /// current (then those that joined it ask again).
    pub fn fail(
        &mut self,
        token: Token,
        message: Arc<[u8]>,
        backoff_ms: u64,
        from: &mut Sources,
    ) -> Step<Option<Answer>> {
        let mut step = Step::new(None);
        if !self.end_lease(token, LeaseEnd::Failed, &mut step) {
            let Step { change, effects, .. } = self.end(token, LeaseEnd::Failed, from);
            return Step { reply: None, change, effects };
        }
        self.entry.rebuild_or_insert().failure = Some(Failure { message, until: self.now.plus(backoff_ms) });
        step.raise(Change::Times);
        step.reply = self.entry.after_failure(false, self.now);
        let (no_stale, others): (Waiters, Waiters) =
            self.room.take_all().into_iter().partition(|(_, waiter)| waiter.ask.no_stale);
        for (waiters, no_stale) in [(others, false), (no_stale, true)] {
            if let Some(answer) = self.entry.after_failure(no_stale, self.now) {
                step.wake(waiters, || answer);
            }
        }
        step
    }

    /// CACHE.PASS: the result must not be shared. Replies whether the token was current.
    pub fn pass(&mut self, token: Token, pass_ms: u64, from: &mut Sources) -> Step<bool> {
        let mut step = Step::new(false);
        if !self.end_lease(token, LeaseEnd::Passed, &mut step) {
            return self.end(token, LeaseEnd::Passed, from);
        }
        step.reply = true;
        self.clear_marks();
        self.entry.drop_value();
        self.entry.rebuild_or_insert().pass_until = self.now.plus(pass_ms);
        step.raise(Change::Value);
        let everybody = self.room.take_all();
        step.wake(everybody, || Answer::Pass { left_ms: pass_ms });
        step
    }

    /// CACHE.RENEW: moves the lease's deadline to `ms` from now, but never past `lease_max_ms` after its grant.
    /// Replies the ms now left, `None` if the token is not current.
    pub fn renew(&mut self, token: Token, ms: u64, lease_max_ms: u64) -> Step<Option<u64>> {
        let now = self.now;
        let mut step = Step::new(None);
        let Some(lease) = self.entry.rebuild_mut().and_then(|rebuild| rebuild.lease.as_mut()) else { return step };
        if lease.token != token {
            return step;
        }
        let latest = lease.granted_at.plus(lease_max_ms);
        // A lease at the end of its life is not cut short when the limit was lowered meanwhile.
        let deadline = now.plus(ms).min(latest.max(lease.deadline));
        step.reply = Some(now.until(deadline));
        if deadline != lease.deadline {
            lease.deadline = deadline;
            let lease = *lease;
            self.room.renew(token, deadline);
            step.raise(Change::Lease);
            step.effects.push(Effect::Renewed { lease });
        }
        step
    }

    /// CACHE.INVALIDATE: the value is stale from now on, the lease is void. Replies whether there was an entry.
    ///
    /// A failure's back-off stays: it protects the source, which is no healthier for it.
    pub fn invalidate(&mut self) -> Step<bool> {
        let mut step = Step::new(!self.entry.is_vacant(self.now));
        // Also in the key's last millisecond: a late fill would still count in it.
        self.void_lease(LeaseEnd::Invalidated, &mut step);
        if !step.reply {
            return step;
        }
        if self.entry.value().is_some() {
            let times = self.entry.times();
            self.entry.fresh_until = times.fresh_until.min(self.now);
            if !self.entry.is_servable(self.now) {
                self.entry.drop_value();
            }
        }
        if let Some(rebuild) = self.entry.rebuild_mut() {
            rebuild.pass_until = UnixMs::EPOCH;
        }
        self.entry.drop_idle();
        step.raise(Change::Value);
        step
    }

    fn store(&mut self, value: Arc<[u8]>, times: Times, step: &mut Step<impl Sized>) {
        let everybody = self.room.take_all();
        step.wake(everybody, || Answer::hit(value.clone(), times.fresh_until, self.now));
        self.clear_marks();
        self.entry.value = Some(value);
        self.entry.set_times(times);
        self.entry.fills = self.entry.fills.saturating_add(1);
        if !self.entry.is_servable(self.now) {
            // Stale already, with no window left: of no use to anybody.
            self.entry.drop_value();
        }
        step.raise(Change::Value);
    }

    fn clear_marks(&mut self) {
        if let Some(rebuild) = self.entry.rebuild_mut() {
            rebuild.failure = None;
            rebuild.pass_until = UnixMs::EPOCH;
        }
        self.entry.drop_idle();
    }
}
