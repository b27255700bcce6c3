//! Values, failures and tags are put into an entry; and whether that may be now.

use alloc::sync::Arc;

use super::{Change, Key, Node, Step, Writes};
use crate::answer::Answer;
use crate::entry::{Entry, Failure};
use crate::error::Error;
use crate::freshness::Times;
use crate::request::Labels;
use crate::tag::{Intern, Tagged};
use crate::time::UnixMs;
use crate::token::Token;

impl Node {
    /// Why nothing at all may change now.
    pub(super) fn may_not_write(&self, key: &Key) -> Option<Error> {
        match self.is_master() {
            false => Some(Error::ReadOnly),
            true => key.is_paused.then_some(Error::Paused),
        }
    }

    /// The server's error, if it would refuse a write now.
    pub(super) fn refused_to_store(&mut self, key: &mut Key) -> Option<Error> {
        match key.environment.writes() {
            Writes::Allowed => None,
            Writes::OutOfMemory(error) | Writes::Refused(error) => Some(Error::Server(error)),
        }
    }

    /// The same of a lease, which is small: no memory refuses none.
    pub(super) fn refused_to_grant(&mut self, key: &mut Key) -> Option<Error> {
        match key.environment.writes() {
            Writes::Allowed | Writes::OutOfMemory(_) => None,
            Writes::Refused(error) => Some(Error::Server(error)),
        }
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

    pub(super) fn tag(&mut self, entry: &mut Entry, tags: &[&[u8]], birth: Token) {
        let tags = tags.iter().map(|name| self.tags.intern(name)).collect();
        entry.set_tagged(Some(Tagged { birth, tags }));
    }

    /// Records a failure of the key: its message, and the back-off, doubled for failures in a row.
    pub(super) fn fail_key(&mut self, key: &mut Key, message: &[u8], backoff_ms: Option<u64>, now: UnixMs) {
        let asked_ms = backoff_ms.unwrap_or(self.settings.backoff_ms);
        let rare = key.entry.rare_or_insert();
        let doublings = rare.failures_in_a_row.min(63);
        rare.failures_in_a_row = rare.failures_in_a_row.saturating_add(1);
        rare.has_failed = true;
        let doubled = asked_ms.saturating_mul(1 << doublings).min(self.settings.backoff_max_ms);
        let until = now.plus(asked_ms.max(doubled));
        rare.failure = Some(Failure { message: message.into(), until });
        self.counters.failures += 1;
    }
}

/// A success: what failures left is forgotten. The floor and the kept version are no failures.
pub(super) fn clear_marks(entry: &mut Entry) {
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
