//! What a holder says with its token: FILL, TOUCH, FAIL, PASS, RELEASE, RENEW.

use alloc::sync::Arc;

use super::groups::GroupId;
use super::sieve::Sieve;
use super::tags::Tags;
use super::top::Added;
use super::writing::clear_marks;
use super::{Caller, Change, Effect, Held, Key, Node, Reply, Step, Word};
use crate::answer::Answer;
use crate::decision::Refusal;
use crate::error::Error;
use crate::lease::LeaseEnd;
use crate::policy::Policy;
use crate::request::Labels;
use crate::time::{Clock, UnixMs};
use crate::token::Token;

impl Node {
    /// CACHE.FILL: stores the value and ends the lease if `token` is current.
    pub fn fill(&mut self, key: &mut Key, token: Token, value: &[u8], labels: &Labels) -> Step {
        let mut step = Step::new();
        let clock = self.clock(key.moment, key.is_paused);
        if let Some(error) = self.may_not_write(key) {
            return Step::refused(error);
        }
        self.settle(key, clock, &mut step);
        let policy = self.policy_of(key, token);
        let defaults = self.settings.freshness(&policy);
        let times = labels.freshness.resolve(clock.now, defaults, || key.environment.random());
        let value: Arc<[u8]> = value.into();
        let answer = Answer::hit(value.clone(), times.fresh_until, clock.now);
        let tags = labels.tags.as_deref().unwrap_or(&[]);
        let since = self.marks_count_from(key, token);
        let by_marks = self.tags.voids(since, tags).then_some(since);
        let by_version = Sieve::by_version(key.entry, labels.version, clock.now);
        let sieve = Sieve { token, answer: answer.clone(), by_marks, by_version };
        if !is_current(key, token) {
            self.counters.void_fills += 1;
            self.spoken_in_vain(key.db, key.name, token, LeaseEnd::Filled, b"", clock.now);
            self.sift(key, sieve, clock, &mut step);
            step.reply = Reply::Nil;
            return self.finish(key, step);
        }
        if let Some(void) = sieve.voids(key.entry, clock.now) {
            self.fill_in_vain(key, void, sieve, clock, &mut step);
            step.reply = Reply::Nil;
            return self.finish(key, step);
        }
        if let Some(error) = self.refused_to_store(key) {
            self.refuse_verdict(key, token, LeaseEnd::Filled, Word::Fill, &mut step);
            self.answer_waiters(key, answer.clone(), answer);
            step.reply = Reply::Error(error);
            return self.finish(key, step);
        }
        let ended = self.end_lease(key, token, LeaseEnd::Filled, b"", &mut step);
        let build_ms = ended.map_or(0, |lease| lease.granted_at.until(clock.now));
        key.entry.build_ms = u32::try_from(build_ms).unwrap_or(u32::MAX);
        self.count_build(key, build_ms, &mut step);
        self.store(key, value, times, labels, token, &mut step);
        self.counters.fills += 1;
        step.reply = Reply::Ok;
        step.tell_end(Some(Word::Fill));
        self.finish(key, step)
    }

    /// CACHE.TOUCH: the old value is fresh again.
    pub fn touch(&mut self, key: &mut Key, token: Token, labels: &Labels) -> Step {
        let mut step = Step::new();
        let clock = self.clock(key.moment, key.is_paused);
        if let Some(error) = self.may_not_write(key) {
            return Step::refused(error);
        }
        self.settle(key, clock, &mut step);
        step.reply = Reply::Nil;
        if !is_current(key, token) {
            self.in_vain(key, token, LeaseEnd::Touched, clock, &mut step);
            return self.finish(key, step);
        }
        let Some(value) = key.entry.value().cloned().filter(|_| key.entry.is_servable(clock.now)) else {
            return self.finish(key, step);
        };
        let policy = self.policy_of(key, token);
        let defaults = self.settings.freshness(&policy);
        let times = labels.freshness.resolve(clock.now, defaults, || key.environment.random());
        let answer = Answer::hit(value, times.fresh_until, clock.now);
        let since = self.marks_count_from(key, token);
        let is_void = match &labels.tags {
            Some(tags) => self.tags.voids(since, tags),
            None => key.entry.tagged().is_some_and(|tagged| self.tags.voids_kept(since, tagged)),
        };
        let by_marks = is_void.then_some(since);
        let by_version = Sieve::by_version(key.entry, labels.version, clock.now);
        let sieve = Sieve { token, answer: answer.clone(), by_marks, by_version };
        if let Some(void) = sieve.voids(key.entry, clock.now) {
            self.fill_in_vain(key, void, sieve, clock, &mut step);
            return self.finish(key, step);
        }
        if let Some(error) = self.refused_to_store(key) {
            self.refuse_verdict(key, token, LeaseEnd::Touched, Word::Fill, &mut step);
            self.answer_waiters(key, answer.clone(), answer);
            step.reply = Reply::Error(error);
            return self.finish(key, step);
        }
        let ended = self.end_lease(key, token, LeaseEnd::Touched, b"", &mut step);
        let build_ms = ended.map_or(0, |lease| lease.granted_at.until(clock.now));
        self.count_build(key, build_ms, &mut step);
        key.entry.set_times(times);
        match &labels.tags {
            Some(tags) => self.tag(key.entry, tags, token),
            None => key.entry.set_birth(token),
        }
        if labels.version.is_some() {
            key.entry.set_version(labels.version);
        }
        clear_marks(key.entry);
        step.raise(Change::Renewed);
        self.answer_waiters(key, answer.clone(), answer);
        self.counters.fills += 1;
        step.reply = Reply::Ok;
        step.tell_end(Some(Word::Fill));
        self.finish(key, step)
    }

    /// See [`Tags::counted_from`]. A lease that is none any more is remembered by its record, if at all.
    fn marks_count_from(&self, key: &Key, token: Token) -> u64 {
        let has_arrived = match key.entry.lease().filter(|lease| lease.token == token) {
            Some(lease) => lease.has_arrived,
            None => {
                let record = self.leases.find(key.db, key.name, token).and_then(|id| self.leases.get(id));
                record.is_some_and(|record| record.has_arrived)
            }
        };
        Tags::counted_from(token, has_arrived)
    }

    /// CACHE.FAIL: records the failure and ends the lease. Replies what a waiter gets.
    pub fn fail(&mut self, key: &mut Key, token: Token, message: &[u8], backoff_ms: Option<u64>) -> Step {
        let mut step = Step::new();
        let clock = self.clock(key.moment, key.is_paused);
        if let Some(error) = self.may_not_write(key) {
            return Step::refused(error);
        }
        self.settle(key, clock, &mut step);
        step.reply = Reply::Nil;
        if !is_current(key, token) {
            self.spoken_in_vain(key.db, key.name, token, LeaseEnd::Failed, message, clock.now);
            self.ask_again(key.db, key.name, token);
            self.attend(key, clock, &mut step);
            return self.finish(key, step);
        }
        let policy = self.policy_of(key, token);
        if let Some(error) = self.refused_to_store(key) {
            self.refuse_verdict(key, token, LeaseEnd::Failed, Word::Fail, &mut step);
            let asked_ms = backoff_ms.or(policy.backoff_ms).unwrap_or(self.settings.backoff_ms);
            let refusal = Refusal { message: message.into(), until: clock.now.plus(asked_ms) };
            self.answer_failure(key, &refusal, clock.now);
            step.reply = Reply::Error(error);
            return self.finish(key, step);
        }
        let group = self.group_of(key, token);
        self.end_lease(key, token, LeaseEnd::Failed, message, &mut step);
        self.fail_key(key, message, backoff_ms.or(policy.backoff_ms), clock.now);
        if let Some(rare) = key.entry.rare_mut() {
            rare.broken_ties = 0;
        }
        step.raise(Change::Times);
        let mut refusal = self.present_failure(key);
        // It may have opened its group's circuit: the later of the two counts.
        if let Some(open) = self.groups.get(group).and_then(|group| group.circuit.refusal(clock)) {
            refusal.until = refusal.until.max(open.until);
        }
        step.reply = Reply::Answer(key.entry.after_failure(false, &refusal, clock.now));
        self.answer_failure(key, &refusal, clock.now);
        step.tell_end(Some(Word::Fail));
        self.finish(key, step)
    }

    /// CACHE.PASS: the result must not be shared.
    pub fn pass(&mut self, key: &mut Key, token: Token, pass_ms: Option<u64>) -> Step {
        let mut step = Step::new();
        let clock = self.clock(key.moment, key.is_paused);
        if let Some(error) = self.may_not_write(key) {
            return Step::refused(error);
        }
        self.settle(key, clock, &mut step);
        step.reply = Reply::Nil;
        if !is_current(key, token) {
            self.in_vain(key, token, LeaseEnd::Passed, clock, &mut step);
            return self.finish(key, step);
        }
        let pass_ms = pass_ms.unwrap_or(self.settings.pass_ms);
        let answer = Answer::Pass { left_ms: pass_ms };
        if let Some(error) = self.refused_to_store(key) {
            self.refuse_verdict(key, token, LeaseEnd::Passed, Word::Pass, &mut step);
            self.answer_waiters(key, answer.clone(), answer);
            step.reply = Reply::Error(error);
            return self.finish(key, step);
        }
        self.end_lease(key, token, LeaseEnd::Passed, b"", &mut step);
        clear_marks(key.entry);
        key.entry.drop_value();
        key.entry.rare_or_insert().pass_until = clock.now.plus(pass_ms);
        step.raise(Change::Value);
        self.answer_waiters(key, answer.clone(), answer);
        self.counters.passes += 1;
        step.reply = Reply::Ok;
        step.tell_end(Some(Word::Pass));
        self.finish(key, step)
    }

    /// CACHE.RELEASE: the work was not begun, or is given up without a verdict.
    pub fn release(&mut self, key: &mut Key, token: Token) -> Step {
        let mut step = Step::new();
        let clock = self.clock(key.moment, key.is_paused);
        if let Some(error) = self.may_not_write(key) {
            return Step::refused(error);
        }
        self.settle(key, clock, &mut step);
        let is_held = is_current(key, token);
        if is_held {
            let refused = self.refused_to_store(key);
            self.end_lease(key, token, LeaseEnd::Released, b"", &mut step);
            step.tell_end(Some(Word::Release));
            step.reply = refused.map_or(Reply::Number(1), Reply::Error);
        } else {
            self.spoken_in_vain(key.db, key.name, token, LeaseEnd::Released, b"", clock.now);
            step.reply = Reply::Number(0);
        }
        self.ask_again(key.db, key.name, token);
        self.do_what_is_due(key, clock, &mut step);
        self.finish(key, step)
    }

    /// CACHE.RENEW: moves the lease's deadline to `ms` from now, but never past the longest lease after its grant.
    /// `is_tied`: the caller holds it from now on, and it is tied to its connection.
    pub fn renew(&mut self, key: &mut Key, token: Token, ms: u64, caller: Caller, is_tied: bool) -> Step {
        let tied_to = is_tied.then_some(caller.client);
        let mut step = Step::new();
        let clock = self.clock(key.moment, key.is_paused);
        if let Some(error) = self.may_not_write(key) {
            return Step::refused(error);
        }
        if tied_to == Some(0) {
            step.reply = Reply::Error(Error::TiedWithoutConnection);
            return step;
        }
        if let Some(error) = self.refused_to_store(key) {
            return Step::refused(error);
        }
        self.settle(key, clock, &mut step);
        step.reply = Reply::Nil;
        if !is_current(key, token) {
            return self.finish(key, step);
        }
        let lease_max_ms = self.settings.lease_max_ms;
        let Some(lease) = key.entry.lease.as_deref_mut() else { return self.finish(key, step) };
        let latest = lease.granted_at.plus(lease_max_ms);
        // A lease at the end of its life is not cut short when the limit was lowered meanwhile.
        let deadline = clock.now.plus(ms).min(latest.max(lease.deadline));
        step.reply = Reply::Number(clock.now.until(deadline));
        if deadline <= clock.now {
            return self.finish(key, step);
        }
        let is_moved = deadline != lease.deadline || (tied_to.is_some() && !lease.is_tied);
        lease.deadline = deadline;
        lease.is_tied |= tied_to.is_some();
        let lease = lease.clone();
        if is_moved {
            step.raise(Change::Lease);
        }
        // Struck off the table long after its deadline: who renews it holds it.
        let held_by = self.holder(key.db, key.name, token).unwrap_or(caller.client);
        self.refile(key.db, key.name, &lease, tied_to.unwrap_or(held_by));
        self.finish(key, step)
    }

    /// A holder's word with a token that is not current: who joined it is decided again at once.
    fn in_vain(&mut self, key: &mut Key, token: Token, end: LeaseEnd, clock: Clock, step: &mut Step) {
        self.spoken_in_vain(key.db, key.name, token, end, b"", clock.now);
        self.ask_again(key.db, key.name, token);
        self.attend(key, clock, step);
    }

    /// The server stores nothing now: the lease ends all the same, and nothing else is written. A ONCE lease stays, so
    /// that the fill can be tried again; for its group the source has answered all the same.
    fn refuse_verdict(&mut self, key: &mut Key, token: Token, end: LeaseEnd, word: Word, step: &mut Step) {
        let once = key.entry.lease().filter(|lease| lease.once_ms().is_some() && end == LeaseEnd::Filled);
        if let Some(group) = once.map(|lease| lease.group().cloned()) {
            let group = self.groups.of(group.as_deref());
            self.note(group, token, end, b"", key.moment.now());
            return;
        }
        self.end_lease(key, token, end, b"", step);
        step.tell_end(Some(word));
    }

    fn answer_failure(&mut self, key: &Key, refusal: &Refusal, now: UnixMs) {
        let lenient = key.entry.after_failure(false, refusal, now);
        let strict = key.entry.after_failure(true, refusal, now);
        self.answer_waiters(key, lenient, strict);
    }

    fn present_failure(&self, key: &Key) -> Refusal {
        let failure = key.entry.failure();
        failure.map_or(Refusal { message: Arc::from(&b""[..]), until: UnixMs::EPOCH }, |failure| Refusal {
            message: failure.message.clone(),
            until: failure.until,
        })
    }

    /// The policy of the group that a key's lease is of.
    pub(super) fn policy_of(&mut self, key: &Key, token: Token) -> Policy {
        let group = self.group_of(key, token);
        self.groups.get(group).map_or(Policy::NONE, |group| group.policy.clone())
    }

    fn group_of(&mut self, key: &Key, token: Token) -> GroupId {
        let lease = key.entry.lease().filter(|lease| lease.token == token);
        self.groups.of(lease.and_then(|lease| lease.group()).map(|group| &**group))
    }

    fn count_build(&mut self, key: &Key, build_ms: u64, step: &mut Step) {
        step.effects.push(Effect::Built { us: build_ms.saturating_mul(1000) });
        self.top.add(key.db, key.name, Added { build_ms, ..Added::default() });
    }
}

/// Whether the key's lease, live or late, is of this token.
fn is_current(key: &Key, token: Token) -> bool {
    matches!(key.held, Held::Entry) && key.entry.lease().is_some_and(|lease| lease.token == token)
}
