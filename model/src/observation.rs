//! What one step of the core did, held against what was expected of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use corral_lease::ask::{Answer, Ask};
use corral_lease::entry::{Entry, Lease};
use corral_lease::key::{Effect, Grantee, LeaseEnd};
use corral_lease::room::WaiterId;
use corral_lease::time::UnixMs;
use corral_lease::token::Token;

use crate::book::{Book, Broken, Parked, Rule};
use crate::run::LEASE_MAX_MS;
use crate::search::{Seen, Situation};
use crate::world::{Client, Holding};

/// What a step must lead to, as far as the book can tell.
#[derive(Default)]
pub struct Expected {
    /// These, and nobody else, may be woken...
    pub allowed: BTreeSet<WaiterId>,
    /// ...and these must be.
    pub required: BTreeSet<WaiterId>,
    /// These ask again.
    pub askers: BTreeSet<WaiterId>,
    /// The lease that this step ends without a verdict.
    pub ended: Option<Token>,
    /// What those who are woken get, if it is one value for all.
    pub value: Option<Arc<[u8]>>,
    /// What may be in the key afterwards, besides what was there.
    pub stored: Option<Arc<[u8]>>,
    /// What the caller asked for.
    pub caller: Option<Ask>,
}

/// What a grant takes the next of.
#[derive(Clone, Copy)]
pub struct Counts {
    /// The largest token given out or seen.
    pub largest: u64,
    /// Rebuilds begun.
    pub rebuilds: u32,
}

/// One step as it is gone through: its effects one by one, then all of it.
pub struct Observation<'a> {
    key: usize,
    now: UnixMs,
    expected: &'a Expected,
    seen: &'a Seen,
    pub broken: Broken,
    pub counts: Counts,
    /// What has become of the clients that were answered.
    pub moved: Vec<(usize, Client)>,
    woken: BTreeSet<WaiterId>,
    grants: usize,
    promoted: Option<(WaiterId, Lease)>,
}

impl<'a> Observation<'a> {
    pub fn new(
        key: usize,
        now: UnixMs,
        expected: &'a Expected,
        counts: Counts,
        seen: &'a Seen,
        broken: Broken,
    ) -> Self {
        let (moved, woken) = (Vec::new(), BTreeSet::new());
        Self { key, now, expected, seen, broken, counts, moved, woken, grants: 0, promoted: None }
    }

    /// Enters one effect into the book, and notes what is wrong with it.
    pub fn take(&mut self, effect: Effect, book: &mut Book) {
        match effect {
            Effect::Ended { lease, end } => self.ended(&lease, end, book),
            Effect::Renewed { lease } => self.renewed(lease, book),
            Effect::Granted { lease, to } => self.granted(lease, to, book),
            Effect::Wake { waiters, answer } => self.answered(&waiters, &answer, book),
            Effect::Refuse { waiters } => {
                for id in waiters {
                    self.seen.note(Situation::AWaiterMeetsAnotherType, true);
                    if let Some(parked) = self.wake(id, book) {
                        self.moved.push((parked.client, Client::Idle));
                    }
                }
            }
        }
    }

    fn ended(&mut self, lease: &Lease, end: LeaseEnd, book: &mut Book) {
        let out = book.out.map(|lease| lease.token);
        // A live lease ends by its holder's word or with its value, never because another wants it.
        let taken = end == LeaseEnd::Expired && self.now < lease.deadline;
        self.broken.note(Rule::AtMostOneLiveLeasePerKey, taken);
        self.broken.note(Rule::AtMostOneLiveLeasePerKey, out != Some(lease.token));
        book.forget_lease();
    }

    fn renewed(&mut self, lease: Lease, book: &mut Book) {
        let out = book.out.map(|lease| lease.token);
        self.broken.note(Rule::AtMostOneLiveLeasePerKey, out != Some(lease.token));
        let latest = lease.granted_at.plus(LEASE_MAX_MS.max(lease.length_ms));
        self.broken.note(Rule::NoLeaseIsUnbounded, lease.deadline > latest);
        book.out = Some(lease);
        if let Some(deadline) = book.deadlines.get_mut(&lease.token) {
            *deadline = lease.deadline;
            self.seen.note(Situation::WaitersWaitForARenewal, true);
        }
    }

    fn granted(&mut self, lease: Lease, to: Grantee, book: &mut Book) {
        self.broken.note(Rule::AtMostOneLiveLeasePerKey, book.out.is_some());
        self.broken.note(Rule::TokensOnlyGrow, lease.token.get() <= self.counts.largest);
        self.counts.largest = self.counts.largest.max(lease.token.get());
        let ask = match to {
            Grantee::Caller => self.expected.caller,
            Grantee::Waiter(id) => book.parked.get(&id).map(|parked| parked.ask),
        };
        let now = self.now;
        self.broken.note(Rule::ALeaseHasItsFullLength, ask.is_none_or(|ask| !is_full(&lease, &ask, now)));
        self.counts.rebuilds += 1;
        (book.out, book.current) = (Some(lease), Some(self.counts.rebuilds));
        self.grants += 1;
        if let Grantee::Waiter(id) = to {
            self.promoted = Some((id, lease));
        }
    }

    fn answered(&mut self, waiters: &[WaiterId], answer: &Answer, book: &mut Book) {
        let is_grant = answer.granted().is_some();
        self.broken.note(Rule::AtMostOneLiveLeasePerKey, is_grant && waiters.len() != 1);
        if let (Some(value), Some(payload)) = (&self.expected.value, answer.payload()) {
            self.broken.note(Rule::OneAnswerWakesThoseItIsFor, !std::ptr::eq(&**value, payload));
        }
        let given = matches!(answer, Answer::Hit { .. });
        self.broken.note(Rule::OneAnswerWakesThoseItIsFor, self.expected.value.is_some() && !given);
        for id in waiters {
            let Some(Parked { client, ask, .. }) = self.wake(*id, book) else { continue };
            let next = match answer.granted() {
                Some(token) => {
                    let own = self.promoted.is_some_and(|(to, lease)| (to, lease.token) == (*id, token));
                    self.broken.note(Rule::AtMostOneLiveLeasePerKey, !own);
                    let rebuild = self.counts.rebuilds;
                    Client::Holding(Holding { key: self.key, token, rebuild, tied: ask.tied })
                }
                None => Client::Idle,
            };
            self.moved.push((client, next));
        }
    }

    fn wake(&mut self, id: WaiterId, book: &mut Book) -> Option<Parked> {
        let parked = book.parked.remove(&id);
        self.broken.note(Rule::EveryWaiterIsAnsweredOnce, parked.is_none());
        self.woken.insert(id);
        parked
    }

    /// Looks at the step as a whole. `before` and `after`: the entry; `is_other`: the key holds another type.
    pub fn conclude(&mut self, before: &Entry, after: &Entry, is_other: bool, book: &mut Book) {
        let Self { expected, woken, .. } = self;
        self.broken.note(Rule::OneAnswerWakesThoseItIsFor, !woken.is_subset(&expected.allowed));
        self.broken.note(Rule::OneAnswerWakesThoseItIsFor, !expected.required.is_subset(woken));

        // Nobody who asked again and is still there has waited longer than who was promoted.
        let first_left = expected.askers.iter().find(|id| !woken.contains(id));
        if let (Some((promoted, _)), Some(left)) = (self.promoted, first_left) {
            self.broken.note(Rule::TheLongestWaitingIsPromoted, *left < promoted);
        }
        self.broken.note(Rule::ALeaseWithoutAFillIsHandedOverToOne, self.grants > 1);
        if let Some(first) = expected.askers.first() {
            self.handed_over(*first, before, is_other, book);
        }
        if let Some(now_there) = after.value() {
            let allowed = [self.expected.stored.as_ref(), before.value()];
            let known = allowed.into_iter().flatten().any(|value| Arc::ptr_eq(value, now_there));
            self.broken.note(Rule::NothingStoredUnderAnOldToken, !known);
        }
    }

    /// A lease ended without a verdict, and waiters asked again, `first` before the others.
    fn handed_over(&mut self, first: WaiterId, before: &Entry, is_other: bool, book: &mut Book) {
        let Self { now, expected, promoted, .. } = *self;
        // Their lease ended; somebody else's can be live, if theirs was void.
        let another = before.live_lease(now).is_some_and(|lease| Some(lease.token) != expected.ended);
        let open = !is_other
            && !another
            && before.passing(now).is_none()
            && before.backing_off(now).is_none()
            && !before.is_fresh(now);
        if open {
            self.seen.note(Situation::AWaiterIsPromoted, promoted.is_some());
            self.seen.note(Situation::OthersWaitOnAfterAHandover, !book.parked.is_empty());
            self.broken.note(Rule::ALeaseWithoutAFillIsHandedOverToOne, promoted.is_none());
            let first_one = promoted.is_none_or(|(id, _)| id == first);
            self.broken.note(Rule::TheLongestWaitingIsPromoted, !first_one);
        }
        let unanswered = is_other && !expected.askers.is_subset(&self.woken);
        self.broken.note(Rule::EveryWaiterIsAnsweredOnce, unanswered);
        for id in &expected.askers {
            let Some(parked) = book.parked.get_mut(id) else { continue };
            // Who asked again and was not answered waits for the lease that is live.
            match book.out.filter(|lease| now < lease.deadline) {
                Some(lease) => {
                    parked.joined = lease.token;
                    book.deadlines.insert(lease.token, lease.deadline);
                }
                None => self.broken.note(Rule::ALeaseWithoutAFillIsHandedOverToOne, true),
            }
        }
    }
}

fn is_full(lease: &Lease, ask: &Ask, now: UnixMs) -> bool {
    lease.granted_at == now
        && lease.deadline == now.plus(ask.lease_ms)
        && lease.length_ms == ask.lease_ms
        && lease.tied == ask.tied
}
