//! One key at one moment, and everything that can happen to it.
//!
//! One input in, one [`Step`] out: what to reply, what changed, who is to be woken. The caller (the server's shell, a
//! test, a model checker) holds the clock, the chance and the doors.

use std::sync::Arc;

use crate::ask::{Answer, Ask};
use crate::decision::Decision;
use crate::entry::{Entry, Lease};
use crate::room::{Room, WaiterId, Waiters};
use crate::time::UnixMs;
use crate::token::{Mint, Token};

/// One key: its entry (vacant for a missing key), its waiting room, and the moment.
pub struct Key<'a> {
    pub entry: &'a mut Entry,
    pub room: &'a mut Room,
    pub now: UnixMs,
    /// What the key holds if it is no entry, which is then vacant.
    pub other: Option<Other>,
}

/// What a key can hold that is no entry.
#[derive(Clone, PartialEq, Debug)]
pub enum Other {
    /// An ordinary string: everybody's answer is HIT.
    String { value: Arc<[u8]>, fresh_until: UnixMs },
    /// Another type: everybody is refused.
    Foreign,
}

/// What an input led to.
#[derive(PartialEq, Debug)]
pub struct Step<R> {
    pub reply: R,
    pub change: Change,
    /// What else follows, in this order.
    pub effects: Vec<Effect>,
}

/// What became of the entry. Each level includes those above it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Change {
    /// Nothing to store or replicate.
    Nothing,
    /// The lease. Readers see no difference; the key's deadline in Redis is at most moved back.
    Lease,
    /// Times or marks: readers see a difference, and the key's deadline is set anew. The value is the old one.
    Times,
    /// The value too.
    Value,
}

/// Something to be done outside the entry.
#[derive(PartialEq, Debug)]
pub enum Effect {
    /// Answer these waiters, in this order.
    Wake { waiters: Vec<WaiterId>, answer: Answer },
    /// Refuse these waiters: the key holds another type by now.
    Refuse { waiters: Vec<WaiterId> },
    /// A lease was granted.
    Granted { lease: Lease, to: Grantee },
    /// A lease was renewed.
    Renewed { lease: Lease },
    /// A lease ended.
    Ended { lease: Lease, end: LeaseEnd },
}

/// Who was granted a lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grantee {
    /// Whoever asks right now.
    Caller,
    /// A parked client: a handover.
    Waiter(WaiterId),
}

/// The ways a lease can end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeaseEnd {
    /// FILL: the value is stored, all waiters have it.
    Filled,
    /// TOUCH: the old value is fresh again, all waiters have it.
    Touched,
    /// SET: somebody else's value is stored, all waiters have it.
    Replaced,
    /// FAIL: waiters get the old value or the message, nobody tries until the back-off has passed.
    Failed,
    /// PASS: waiters build for themselves.
    Passed,
    /// INVALIDATE: the holder's fill will not be stored; waiters stay with it.
    Invalidated,
    /// RELEASE: handover.
    Released,
    /// The connection of a TIED lease closed, or the grant never reached its client: handover.
    HolderGone,
    /// The deadline passed and somebody else was granted the lease.
    Expired,
}

impl LeaseEnd {
    /// Whether the holder does not know yet that its lease is void, and builds on.
    pub const fn leaves_holder_building(self) -> bool {
        matches!(self, LeaseEnd::Replaced | LeaseEnd::Invalidated)
    }

    /// Whether the rebuild succeeded.
    pub const fn is_with_value(self) -> bool {
        matches!(self, LeaseEnd::Filled | LeaseEnd::Touched)
    }
}

/// What becomes of a caller.
#[derive(Clone, PartialEq, Debug)]
pub enum Asked {
    Answer(Answer),
    /// It is to park behind this lease, or to be told WAIT.
    Behind {
        token: Token,
        deadline: UnixMs,
    },
}

/// Where tokens and chance come from.
pub struct Sources<'a> {
    pub mint: &'a mut Mint,
    /// Microseconds since the epoch.
    pub now_us: u64,
    /// Draws from 0..=1.
    pub random: &'a mut dyn FnMut() -> f64,
    /// The database of the key.
    pub db: u32,
}

impl<R> Step<R> {
    pub(crate) const fn new(reply: R) -> Self {
        Self { reply, change: Change::Nothing, effects: Vec::new() }
    }

    pub(crate) fn raise(&mut self, change: Change) {
        self.change = self.change.max(change);
    }

    pub(crate) fn wake(&mut self, waiters: Waiters, answer: impl FnOnce() -> Answer) {
        if !waiters.is_empty() {
            self.effects.push(Effect::Wake { waiters: waiters.into_keys().collect(), answer: answer() });
        }
    }
}

impl Key<'_> {
    /// Answers a caller whose ask was decided `decision`.
    ///
    /// If a lease's deadline passed and *advance* has not run yet, it runs first and the caller is decided anew: the
    /// lease goes to who has waited longest, not to who happens to ask next.
    pub fn ask(&mut self, ask: &Ask, decision: Decision, from: &mut Sources) -> Step<Asked> {
        let mut decision = decision;
        let mut step = Step::new(());
        if self.room.is_due(self.now) {
            step = self.advance(from);
            decision = self.entry.decide(ask, self.now, &mut *from.random);
        }
        let asked = match decision {
            Decision::Lock | Decision::Refresh(_) => {
                Asked::Answer(self.grant_to(Grantee::Caller, ask, from, &mut step))
            }
            Decision::Behind { .. } => self.entry.behind(self.now),
            other => Asked::Answer(self.entry.answer(other, self.now)),
        };
        Step { reply: asked, change: step.change, effects: step.effects }
    }

    /// *advance*: does what has come due here. Runs at the room's next moment; harmless at any other.
    pub fn advance(&mut self, from: &mut Sources) -> Step<()> {
        let mut step = Step::new(());
        for (id, lease_left_ms) in self.room.take_given_up(self.now) {
            step.effects.push(Effect::Wake { waiters: vec![id], answer: Answer::Wait { lease_left_ms } });
        }
        let ended = self.room.due_tokens(self.now);
        self.ask_again(ended, from, &mut step);
        step
    }

    /// Ends the lease of `token` without a verdict; those that joined it ask again at once. Replies whether the token
    /// was the entry's current one.
    pub fn end(&mut self, token: Token, end: LeaseEnd, from: &mut Sources) -> Step<bool> {
        let mut step = Step::new(());
        let held = self.end_lease(token, end, &mut step);
        let mut ended = self.room.due_tokens(self.now);
        ended.push(token);
        self.ask_again(ended, from, &mut step);
        Step { reply: held, change: step.change, effects: step.effects }
    }

    /// Takes the lease from the entry if `token` is its current one.
    pub(crate) fn end_lease<R>(&mut self, token: Token, end: LeaseEnd, step: &mut Step<R>) -> bool {
        let Some(lease) = self.entry.lease().copied().filter(|lease| lease.token == token) else { return false };
        if self.entry.void_lease() {
            step.raise(Change::Lease);
            step.effects.push(Effect::Ended { lease, end });
        }
        true
    }

    /// Takes whatever lease there is: its holder's fill will not be stored.
    pub(crate) fn void_lease<R>(&mut self, end: LeaseEnd, step: &mut Step<R>) {
        if let Some(token) = self.entry.lease().map(|lease| lease.token) {
            self.end_lease(token, end, step);
        }
    }

    /// Decides everybody that joined one of `ended` like a new call, the longest-waiting first. After a lease that
    /// ended without a fill that is the handover: the first is granted, the rest find a live lease and join it.
    ///
    /// Leases that ended together are one handover. One by one, whose lease is the older would be promoted before who
    /// has waited longer: waiters that asked again carry their age into the group of a younger token.
    fn ask_again(&mut self, ended: Vec<Token>, from: &mut Sources, step: &mut Step<()>) {
        let mut gathered = None;
        for token in ended {
            match self.entry.live_lease(self.now) {
                // Renewed behind the room's back (it is told of every renewal on this server): wait on.
                Some(lease) if lease.token == token => self.room.renew(token, lease.deadline),
                _ => {
                    if let Some(older) = gathered.replace(token) {
                        self.room.merge(older, token, self.now);
                    }
                }
            }
        }
        let Some(token) = gathered else { return };
        if let Some(other) = &self.other {
            let waiters = self.room.take_joined(token);
            match other {
                Other::String { value, fresh_until } => {
                    step.wake(waiters, || Answer::hit(value.clone(), *fresh_until, self.now));
                }
                Other::Foreign if waiters.is_empty() => {}
                Other::Foreign => step.effects.push(Effect::Refuse { waiters: waiters.into_keys().collect() }),
            }
            return;
        }
        while let Some((id, waiter)) = self.room.take_first(token) {
            let answer = match self.entry.decide(&waiter.ask, self.now, &mut *from.random) {
                Decision::Lock | Decision::Refresh(_) => self.grant_to(Grantee::Waiter(id), &waiter.ask, from, step),
                Decision::Behind { .. } => {
                    if let Some(lease) = self.entry.live_lease(self.now) {
                        self.room.join(lease.token, lease.deadline, id, waiter);
                        if lease.token == token {
                            // Past the last token there is no larger one: the rest wait for the right one already, and
                            // asking them again would go round for ever.
                            return;
                        }
                    }
                    self.rejoin_the_rest(token);
                    continue;
                }
                other => self.entry.answer(other, self.now),
            };
            step.effects.push(Effect::Wake { waiters: vec![id], answer });
            self.rejoin_the_rest(token);
        }
    }

    /// With a live lease out and nothing to serve, everybody else that joined `token` would be told to wait as well.
    fn rejoin_the_rest(&mut self, token: Token) {
        if self.entry.is_fresh(self.now) || self.entry.is_within_swr(self.now) {
            return;
        }
        if let Some(lease) = self.entry.live_lease(self.now) {
            self.room.merge(token, lease.token, lease.deadline);
        }
    }

    fn grant_to(&mut self, to: Grantee, ask: &Ask, from: &mut Sources, step: &mut Step<()>) -> Answer {
        self.void_lease(LeaseEnd::Expired, step);
        let token = from.mint.next(from.now_us);
        let lease = Lease {
            token,
            granted_at: self.now,
            deadline: self.now.plus(ask.lease_ms),
            length_ms: ask.lease_ms,
            tied: ask.tied,
            db: from.db,
        };
        self.entry.rebuild_or_insert().lease = Some(lease);
        step.raise(Change::Lease);
        step.effects.push(Effect::Granted { lease, to });
        let serves_old = self.entry.is_fresh(self.now) || (!ask.no_stale && self.entry.is_within_swr(self.now));
        match self.entry.value() {
            Some(value) if serves_old => Answer::Refresh { value: value.clone(), token },
            _ => Answer::Lock { token },
        }
    }
}

impl Entry {
    /// The answer to a decision that grants nothing; WAIT to one that would grant or park.
    pub fn answer(&self, decision: Decision, now: UnixMs) -> Answer {
        let value = || self.value.clone().unwrap_or_else(nothing);
        match decision {
            Decision::Hit { stale_in_ms } => Answer::Hit { value: value(), stale_in_ms },
            Decision::Stale { lease_left_ms } => Answer::Stale { value: value(), lease_left_ms },
            Decision::Pass { left_ms } => Answer::Pass { left_ms },
            Decision::Fail { retry_in_ms } => {
                let message = self.failure().map_or_else(nothing, |failure| failure.message.clone());
                Answer::Fail { message, retry_in_ms }
            }
            Decision::Behind { lease_left_ms } => Answer::Wait { lease_left_ms },
            Decision::Lock | Decision::Refresh(_) => {
                Answer::Wait { lease_left_ms: self.live_lease(now).map_or(0, |lease| now.until(lease.deadline)) }
            }
        }
    }

    /// Whom a caller waits behind, whose ask was decided [`Decision::Behind`].
    pub fn behind(&self, now: UnixMs) -> Asked {
        match self.live_lease(now) {
            Some(lease) => Asked::Behind { token: lease.token, deadline: lease.deadline },
            None => Asked::Answer(Answer::Wait { lease_left_ms: 0 }),
        }
    }
}

fn nothing() -> Arc<[u8]> {
    Arc::from(&[][..])
}
