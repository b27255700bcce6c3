//! What a holder says with its token: FILL, TOUCH, FAIL, PASS, RELEASE, RENEW.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::outbox::{Outcome, Source};
use super::rooms::CohortKey;
use super::slab::{Id, NIL};
use super::{Caller, Change, Effect, Held, Key, Node, Reply, Step, Word, Writes};
use crate::answer::{Answer, State};
use crate::decision::Refusal;
use crate::entry::Entry;
use crate::error::Error;
use crate::freshness::Times;
use crate::lease::LeaseEnd;
use crate::policy::Policy;
use crate::request::Labels;
use crate::tag::{Intern, Tagged};
use crate::time::{Clock, UnixMs};
use crate::token::Token;

/// The message of a fill older than the source is known to be.
pub const BEHIND: &[u8] = b"the source is behind";

/// Waiters sifted one by one in one go; the rest on the next turn.
const SIFTED_AT_ONCE: usize = 150;

/// Why a fill is not stored although its token is the current one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Void {
    /// One of its tags was marked since its grant.
    Tagged,
    /// It is older than the source is known to be; `at_grant`: and was when the lease was granted.
    Behind { at_grant: bool },
}

/// Who among those that joined a void rebuild gets its value all the same.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Sieve {
    token: Token,
    answer: Answer,
    /// Marks count: who asked after one is decided again.
    by_marks: bool,
    /// Versions count: who asked when the source was known to have more is decided again.
    by_version: Option<Option<u64>>,
}

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
        let is_marked = self.tags.voids(token, tags);
        if !is_current(key, token) {
            self.counters.void_fills += 1;
            self.spoken_in_vain(key.db, key.name, token, LeaseEnd::Filled, b"", clock.now);
            // Void or not, it is no answer for who asked when the source was known to have more.
            let by_version = key.entry.known_version(clock.now).map(|_| labels.version);
            self.sift(key, Sieve { token, answer, by_marks: is_marked, by_version }, clock, &mut step);
            step.reply = Reply::Nil;
            return self.finish(key, step);
        }
        let void = match is_marked {
            true => Some(Void::Tagged),
            false => behind(key.entry, labels.version, token, clock.now),
        };
        if let Some(void) = void {
            let by_marks = void == Void::Tagged;
            // A void by a tag is no less behind for it.
            let by_version = key.entry.known_version(clock.now).map(|_| labels.version);
            self.fill_in_vain(key, void, Sieve { token, answer, by_marks, by_version }, clock, &mut step);
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
        let is_marked = match &labels.tags {
            Some(tags) => self.tags.voids(token, tags),
            None => key.entry.tagged().is_some_and(|tagged| self.tags.voids_kept(token, tagged)),
        };
        let void = match is_marked {
            true => Some(Void::Tagged),
            false => behind(key.entry, labels.version, token, clock.now),
        };
        if let Some(void) = void {
            let by_marks = void == Void::Tagged;
            // A void by a tag is no less behind for it.
            let by_version = key.entry.known_version(clock.now).map(|_| labels.version);
            self.fill_in_vain(key, void, Sieve { token, answer, by_marks, by_version }, clock, &mut step);
            return self.finish(key, step);
        }
        if let Some(error) = self.refused_to_end(key) {
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
        if let Some(error) = self.refused_to_end(key) {
            self.refuse_verdict(key, token, LeaseEnd::Failed, Word::Fail, &mut step);
            let asked_ms = backoff_ms.or(policy.backoff_ms).unwrap_or(self.settings.backoff_ms);
            let refusal = Refusal { message: message.into(), until: clock.now.plus(asked_ms) };
            self.answer_failure(key, &refusal, clock.now);
            step.reply = Reply::Error(error);
            return self.finish(key, step);
        }
        self.end_lease(key, token, LeaseEnd::Failed, message, &mut step);
        self.fail_key(key, message, backoff_ms.or(policy.backoff_ms), clock.now);
        if let Some(rare) = key.entry.rare_mut() {
            rare.broken_ties = 0;
        }
        step.raise(Change::Times);
        let refusal = self.present_failure(key);
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
        if let Some(error) = self.refused_to_end(key) {
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
            let refused = self.refused_to_end(key);
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
    /// `tied_to`: the connection that holds it from now on, and that it is tied to.
    pub fn renew(&mut self, key: &mut Key, token: Token, ms: u64, caller: Caller, ties: bool) -> Step {
        let tied_to = ties.then_some(caller.client);
        let mut step = Step::new();
        let clock = self.clock(key.moment, key.is_paused);
        if let Some(error) = self.may_not_write(key) {
            return Step::refused(error);
        }
        if tied_to == Some(0) {
            step.reply = Reply::Error(Error::TiedWithoutConnection);
            return step;
        }
        if let Some(error) = self.refused_to_end(key) {
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

    /// Files a known lease anew: its permit, its holder and its deadline all change places.
    pub(super) fn refile(&mut self, db: u32, name: &[u8], lease: &crate::lease::Lease, holder: super::ClientId) {
        let group = self.groups.of(lease.group().map(|group| &**group));
        let found = self.leases.find(db, name, lease.token);
        let is_awaited = found.and_then(|id| self.leases.get(id)).is_some_and(|record| record.is_awaited);
        if let Some(id) = found {
            self.forget_record(id);
        }
        let id = self.enter_lease(db, name, lease, group, holder);
        if is_awaited {
            self.leases.await_end(id);
        }
        if let Some(of) = self.groups.get_mut(group) {
            of.renew(lease.token, lease.deadline);
        }
    }

    /// A holder's word with a token that is not current: who joined it is decided again at once.
    fn in_vain(&mut self, key: &mut Key, token: Token, end: LeaseEnd, clock: Clock, step: &mut Step) {
        self.spoken_in_vain(key.db, key.name, token, end, b"", clock.now);
        self.ask_again(key.db, key.name, token);
        self.attend(key, clock, step);
    }

    /// The current lease ends by a fill that is void: of those who joined it, some get the value and the others are
    /// decided again, keeping their ask.
    fn fill_in_vain(&mut self, key: &mut Key, void: Void, sieve: Sieve, clock: Clock, step: &mut Step) {
        let token = sieve.token;
        match void {
            Void::Tagged => {
                self.counters.void_fills += 1;
                self.end_lease(key, token, LeaseEnd::Filled, b"", step);
                step.tell_end(Some(Word::Release));
            }
            Void::Behind { at_grant } => {
                self.counters.behind_fills += 1;
                let policy = self.policy_of(key, token);
                self.end_lease(key, token, LeaseEnd::Behind, b"", step);
                if at_grant {
                    self.fail_key(key, BEHIND, policy.backoff_ms, clock.now);
                    step.raise(Change::Times);
                }
                step.tell_end(Some(if at_grant { Word::Fail } else { Word::Release }));
            }
        }
        self.sift(key, sieve, clock, step);
    }

    /// Gives a void rebuild's value to those of who joined it that it is for, and has the others decided again.
    pub(super) fn sift(&mut self, key: &mut Key, sieve: Sieve, clock: Clock, step: &mut Step) {
        if let Some(room) = self.rooms.find(key.db, key.name) {
            let cohorts: Vec<Id> = self.rooms.cohorts_of(room, Some(sieve.token)).collect();
            let mut left = SIFTED_AT_ONCE;
            for cohort in cohorts {
                if !sieve.by_marks && sieve.by_version.is_none() {
                    // They all asked before the invalidation: for them it is the value they asked for.
                    self.answer_cohort(cohort, Outcome::Answer(sieve.answer.clone()), key.entry.build_ms());
                    continue;
                }
                self.sift_cohort(key, cohort, &sieve, &mut left);
            }
            if left == 0 {
                // Who is not reached stays with the token: the visit goes on with them.
                if let Some(open) = self.rooms.get_mut(room) {
                    open.sieves.push(sieve.clone());
                }
                self.visit_room(room);
            }
            // Who queues in its group has its turn there, and a permit then.
            let listening = self.rooms.get(room).and_then(|open| open.listening);
            if listening.is_some_and(|of| !of.is_queued) && key.entry.live_lease(clock).is_none() {
                self.tell_listeners(room, State::Wait, 0);
            }
        }
        self.attend(key, clock, step);
    }

    /// Goes on where [`Node::sift`] stopped.
    pub(super) fn sift_on(&mut self, key: &mut Key, room: Id, clock: Clock, step: &mut Step) {
        let next = self.rooms.get_mut(room).filter(|open| !open.sieves.is_empty()).map(|open| open.sieves.remove(0));
        if let Some(sieve) = next {
            self.sift(key, sieve, clock, step);
        }
    }

    fn sift_cohort(&mut self, key: &Key, cohort: Id, sieve: &Sieve, left: &mut usize) {
        let Some(of) = self.rooms.cohort(cohort).map(|open| open.key) else { return };
        let mut given = NIL;
        while *left > 0 {
            let Some((_, waiter)) = self.rooms.first(cohort) else { break };
            let gets_it = sieve.is_for(waiter.ask.last_mark, waiter.ask.known_version);
            *left -= 1;
            let to = match gets_it {
                true if given == NIL => {
                    given = self.rooms.detached(CohortKey { token: None, ..of });
                    given
                }
                true => given,
                false => self.rooms.undecided(of),
            };
            self.rooms.move_first(cohort, to);
        }
        self.rooms.drop_if_empty(cohort);
        if given != NIL {
            let outcome = Outcome::Answer(sieve.answer.clone());
            self.outbox.push(Source::Cohort(given), outcome.clone(), outcome, key.entry.build_ms());
        }
    }

    /// Why nothing at all may change now.
    pub(super) fn may_not_write(&self, key: &Key) -> Option<Error> {
        match self.is_master() {
            false => Some(Error::ReadOnly),
            true => key.is_paused.then_some(Error::Paused),
        }
    }

    /// The server's error, if it would refuse to store a value now.
    pub(super) fn refused_to_store(&mut self, key: &mut Key) -> Option<Error> {
        match key.environment.writes() {
            Writes::Allowed => None,
            Writes::OutOfMemory(error) | Writes::Refused(error) => Some(Error::Server(error)),
        }
    }

    /// The same of what needs no memory.
    pub(super) fn refused_to_end(&mut self, key: &mut Key) -> Option<Error> {
        match key.environment.writes() {
            Writes::Allowed | Writes::OutOfMemory(_) => None,
            Writes::Refused(error) => Some(Error::Server(error)),
        }
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

    pub(super) fn answer_waiters(&mut self, key: &Key, lenient: Answer, strict: Answer) {
        if let Some(room) = self.rooms.find(key.db, key.name) {
            self.answer_room(room, lenient, strict, key.entry.build_ms());
        }
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
        let lease = key.entry.lease().filter(|lease| lease.token == token);
        let group = self.groups.of(lease.and_then(|lease| lease.group()).map(|group| &**group));
        self.groups.get(group).map_or(Policy::NONE, |group| group.policy.clone())
    }

    fn count_build(&mut self, key: &Key, build_ms: u64, step: &mut Step) {
        step.effects.push(Effect::Built { us: build_ms.saturating_mul(1000) });
        self.top.add(key.db, key.name, super::top::Added { build_ms, ..super::top::Added::default() });
    }

    /// Puts a value and all that belongs to it into the entry, and answers everybody with it.
    pub(super) fn store(
        &mut self,
        key: &mut Key,
        value: Arc<[u8]>,
        times: Times,
        labels: &Labels,
        birth: Token,
        step: &mut Step,
    ) {
        let now = key.moment.now();
        let answer = Answer::hit(value.clone(), times.fresh_until, now);
        self.answer_waiters(key, answer.clone(), answer);
        clear_marks(key.entry);
        key.entry.value = Some(value);
        key.entry.set_times(times);
        key.entry.fills = key.entry.fills.saturating_add(1);
        self.tag(key.entry, labels.tags.as_deref().unwrap_or(&[]), birth);
        key.entry.set_version(labels.version);
        // Stale already, with no window left: of no use to anybody.
        key.entry.drop_unservable(now);
        step.raise(Change::Value);
    }

    fn tag(&mut self, entry: &mut Entry, tags: &[&[u8]], birth: Token) {
        let tags = tags.iter().map(|name| self.tags.intern(name)).collect();
        entry.set_tagged(Some(Tagged { birth, tags }));
    }
}

impl Sieve {
    /// Whether who asked when this was the last mark, and this the known version, gets the value.
    fn is_for(&self, last_mark: u64, known_version: Option<u64>) -> bool {
        let before_marks = !self.by_marks || last_mark <= self.token.get();
        let new_enough = match self.by_version {
            None => true,
            Some(version) => known_version.is_none() || version >= known_version,
        };
        before_marks && new_enough
    }
}

/// Whether the key's lease, live or late, is of this token.
fn is_current(key: &Key, token: Token) -> bool {
    matches!(key.held, Held::Entry) && key.entry.lease().is_some_and(|lease| lease.token == token)
}

/// Whether a value of this version is older than the source is known to be.
pub(super) fn is_behind(entry: &Entry, version: Option<u64>, now: UnixMs) -> bool {
    let below_floor = entry.floor(now).is_some_and(|floor| version.is_none_or(|version| version < floor.version));
    let below_kept = match (version, entry.version()) {
        (Some(version), Some(kept)) => version < kept,
        _ => false,
    };
    below_floor || below_kept
}

fn behind(entry: &Entry, version: Option<u64>, token: Token, now: UnixMs) -> Option<Void> {
    if !is_behind(entry, version, now) {
        return None;
    }
    let below = |known: u64| version.is_none_or(|version| version < known);
    let floor_at_grant = entry.floor(now).is_some_and(|floor| below(floor.version) && floor.raised_by < token);
    let kept_at_grant = version.is_some() && entry.version().is_some_and(below);
    Some(Void::Behind { at_grant: floor_at_grant || kept_at_grant })
}

/// A success: what failures left is forgotten. The floor and the kept version are no failures.
fn clear_marks(entry: &mut Entry) {
    if let Some(rare) = entry.rare_mut() {
        rare.failure = None;
        rare.failures_in_a_row = 0;
        rare.has_failed = false;
        rare.broken_ties = 0;
        rare.pass_until = UnixMs::EPOCH;
        rare.unknown_until = UnixMs::EPOCH;
    }
    entry.drop_idle();
}
