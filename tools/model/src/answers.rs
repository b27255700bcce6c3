//! What an answer must be: fresh, of its key, with a reason; and messages to those who listen.

use corral_core::answer::{Answer, State};
use corral_core::decision::OUTCOME_UNKNOWN;
use corral_core::error::Error;
use corral_core::node::Message;
use corral_core::time::UnixMs;
use corral_core::token::Token;

use crate::book::{Circuit, Parked, Rule};
use crate::run::Timer;
use crate::search::Situation;
use crate::verdicts::number_of;
use crate::world::{World, REFUSED};

impl World {
    /// Somebody has an answer. The token, if it is granted the lease.
    pub(crate) fn answered(&mut self, client: u64, asker: &Parked, answer: &Answer, waited: bool) -> Option<Token> {
        match answer.state() {
            State::Hit => self.served_fresh(asker, answer),
            State::Wait if waited => self.kept_place(client, asker),
            _ => {}
        }
        self.seen.note(Situation::AWaiterGivesUp, waited && answer.state() == State::Wait);
        self.seen.note(Situation::AFillAnswersWaiters, waited && answer.state() == State::Hit);
        let no_stale = self.run.ways.get(asker.way).is_some_and(|way| way.no_stale);
        let is_old = matches!(answer.state(), State::Stale | State::Refresh)
            && !self.entry(asker.key).is_some_and(|entry| entry.is_fresh(UnixMs::new(self.wall_ms)));
        self.broken.note(Rule::WhoSaidNostaleGetsNoOldValue, no_stale && is_old);
        if let Answer::Fail { message, .. } = answer {
            self.failed(asker, message);
        }
        let token = answer.granted()?;
        self.granted(client, asker, token, waited);
        Some(token)
    }

    /// Nobody is told that an outcome is unknown, or a circuit open, which is not so.
    pub(crate) fn failed(&mut self, asker: &Parked, message: &[u8]) {
        let known = self.book.keys.get(asker.key).cloned().unwrap_or_default();
        let is_known = message == OUTCOME_UNKNOWN && known.unknown_until_ms <= self.wall_ms;
        let circuit = self.book.groups.get(self.group_of(asker.way).0).map(|group| group.circuit);
        let is_closed = match circuit {
            Some(Circuit::Open { until_ms, .. }) => until_ms <= self.wall_ms,
            Some(Circuit::Trying { trial, .. }) => trial.is_none(),
            _ => true,
        };
        let is_unfounded = message.starts_with(b"circuit open") && is_closed;
        // A late timer comes to what has ended later than the book does.
        let is_prompt = self.run.timer == Timer::Prompt;
        self.broken.note(Rule::NobodyIsRefusedWithoutReason, is_prompt && (is_known || is_unfounded));
    }

    pub(crate) fn served_fresh(&mut self, asker: &Parked, answer: &Answer) {
        let Some(built) = answer.payload().and_then(number_of).and_then(|value| self.book.values.get(&value)) else {
            return;
        };
        self.broken.note(Rule::AnAnswerIsOfItsOwnKey, built.key != asker.key);
        let known = self.book.keys.get(asker.key).cloned().unwrap_or_default();
        let is_overtaken = |at: u64| built.began < at && at < asker.asked;
        let marks = || built.tags.iter().filter_map(|tag| self.book.marked.get(*tag)).filter(|at| is_overtaken(**at));
        let (is_marked, is_forgotten) = (marks().next().is_some(), marks().any(|at| self.is_forgotten(*at)));
        self.broken.note(Rule::AnInvalidatedValueIsNeverFresh, is_overtaken(known.invalidated) || is_marked);
        self.broken.note(Rule::ForgettingOnlyInvalidatesMore, is_forgotten);
        let asked_after = known.floor_at > 0 && known.floor_at < asker.asked && self.wall_ms < known.floor_until_ms;
        let is_behind = built.version.is_none_or(|version| version < known.floor);
        self.broken.note(Rule::ServedVersionsNeverGoBack, asked_after && is_behind);
    }

    /// A mark that the node has no room for any more: another came after it.
    pub(crate) fn is_forgotten(&self, mark: u64) -> bool {
        self.run.max_tags < 2 && self.book.marked.iter().any(|at| *at > mark)
    }

    /// Whose BLOCK ran out in a queue may come back to its place for a second.
    pub(crate) fn kept_place(&mut self, client: u64, asker: &Parked) {
        // A limit goes before a deadline of the same moment: then it waited for a lease to the last.
        if asker.joined.is_none() && asker.left_ms != self.steady_ms {
            let until_ms = self.steady_ms + 1000;
            self.book.places.insert(client, (asker.key, asker.place, until_ms));
        }
    }

    /// The server's own error is for when it refuses writes, and no other time.
    pub(crate) fn refused(&mut self, error: &Error) {
        if let Error::Server(_) = error {
            self.seen.note(Situation::AWaiterIsRefused, true);
            self.broken.note(Rule::NobodyIsRefusedWithoutReason, self.writes != REFUSED);
        }
    }

    /// Beyond the limit nobody listens.
    pub(crate) fn has_ears_for(&self, key: usize) -> bool {
        self.run.max_waiters_per_key > 0 && self.node.audience(0, &[b'a' + key as u8]).listeners > 0
    }

    /// Who listens to a key is told, once, and a permit is kept for its next ask if it queued.
    pub(crate) fn published(&mut self, message: &Message) {
        self.seen.note(Situation::AListenerIsTold, true);
        let key = self.slot_of(&message.name);
        let listened = self.book.listening.remove(&key);
        self.broken.note(Rule::ListenersAreToldOnce, listened.is_none());
        let Some(listened) = listened else { return };
        let (group, max) = self.group_of(listened.way);
        let queued = listened.joined.is_none() && listened.left != self.book.now;
        if message.state == State::Wait && max > 0 && queued {
            self.book.kept.push((key, group, self.steady_ms + 100));
        }
    }
}
