//! Fills that are void: of those who joined the rebuild, some get its value and the others are decided again.

use alloc::vec::Vec;

use super::outbox::{Outcome, Source};
use super::rooms::CohortKey;
use super::slab::{Id, NIL};
use super::{Change, Key, Node, Step, Word};
use crate::answer::{Answer, State};
use crate::entry::Entry;
use crate::lease::LeaseEnd;
use crate::time::{Clock, UnixMs};
use crate::token::Token;

/// The message of a fill older than the source is known to be.
pub const BEHIND: &[u8] = b"the source is behind";

/// Waiters sifted one by one in one go; the rest on the next turn.
const SIFTED_AT_ONCE: usize = 150;

/// Why a fill is not stored although its token is the current one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Void {
    /// One of its tags was marked since its grant.
    Tagged,
    /// It is older than the source is known to be; `at_grant`: and was when the lease was granted.
    Behind { at_grant: bool },
}

/// Who among those that joined a void rebuild gets its value all the same.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Sieve {
    pub(super) token: Token,
    pub(super) answer: Answer,
    /// Marks count, from this token on: who asked after one is decided again.
    pub(super) by_marks: Option<u64>,
    /// Versions count: who asked when the source was known to have more is decided again.
    pub(super) by_version: Option<Option<u64>>,
}

impl Node {
    /// The current lease ends by a fill that is void: of those who joined it, some get the value and the others are
    /// decided again, keeping their ask.
    pub(super) fn fill_in_vain(&mut self, key: &mut Key, void: Void, sieve: Sieve, clock: Clock, step: &mut Step) {
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
                if sieve.by_marks.is_none() && sieve.by_version.is_none() {
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
}

impl Sieve {
    /// Void or not, and whatever else it is void by, a fill is no answer for who asked when the source was known to have more.
    pub(super) fn by_version(entry: &Entry, version: Option<u64>, now: UnixMs) -> Option<Option<u64>> {
        entry.known_version(now).map(|_| version)
    }

    /// Why a fill with the current token is void, if it is.
    pub(super) fn voids(&self, entry: &Entry, now: UnixMs) -> Option<Void> {
        match self.by_marks {
            Some(_) => Some(Void::Tagged),
            None => behind(entry, self.by_version?, self.token, now),
        }
    }

    /// Whether who asked when this was the last mark, and this the known version, gets the value.
    fn is_for(&self, last_mark: u64, known_version: Option<u64>) -> bool {
        let before_marks = self.by_marks.is_none_or(|since| last_mark <= since);
        let new_enough = match self.by_version {
            None => true,
            Some(version) => known_version.is_none() || version >= known_version,
        };
        before_marks && new_enough
    }
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
