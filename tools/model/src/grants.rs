//! Who is granted a lease: once, in order, by its group and its circuit.

use corral_core::time::UnixMs;
use corral_core::token::Token;

use crate::book::{Build, Circuit, Parked, Rule, GROUPS};
use crate::search::Situation;
use crate::world::{Does, Holds, World, REFUSED};

impl World {
    /// The number of a way's group, and its limit.
    pub(crate) fn group_of(&self, way: usize) -> (usize, u64) {
        let name = self.run.ways.get(way).and_then(|way| way.group);
        let number = GROUPS.iter().position(|group| *group == name).unwrap_or(0);
        (number, self.book.groups.get(number).map_or(0, |group| group.max))
    }

    pub(crate) fn granted(&mut self, client: u64, asker: &Parked, token: Token, waited: bool) {
        let now_ms = self.wall_ms;
        let Some(way) = self.run.ways.get(asker.way).copied() else { return };
        let (group, max) = self.group_of(asker.way);
        self.broken.note(Rule::AtMostOneLiveLeasePerKey, self.book.live(asker.key, now_ms).is_some());
        self.broken.note(Rule::NobodyIsGrantedWhileWritesAreRefused, self.writes == REFUSED);
        self.check_kept(asker, group, max);
        self.broken.note(Rule::TokensOnlyGrow, token.get() <= self.book.largest);
        self.broken.note(Rule::PermitsNeverExceedTheLimit, max > 0 && self.book.permits(group, now_ms) >= max);
        let known = self.book.keys.get(asker.key).cloned().unwrap_or_default();
        self.broken.note(Rule::AnUnknownOutcomeIsNeverRunAgain, now_ms < known.unknown_until_ms);
        self.check_order(asker, group, max);
        self.check_circuit(group, token);
        let lease = self.entry(asker.key).and_then(|entry| entry.lease()).filter(|lease| lease.token == token);
        let deadline = lease.and_then(|lease| lease.deadline.get());
        let is_as_asked = lease.is_none_or(|lease| {
            lease.is_tied == way.tied
                && u64::from(lease.length_ms) == way.lease_ms
                && deadline == Some(now_ms + way.lease_ms)
                && lease.once_ms() == way.once_ms
        });
        self.broken.note(Rule::ALeaseHasItsFullLength, !is_as_asked);
        self.seen.note(Situation::AWaiterIsPromoted, waited);
        self.seen.note(Situation::AQueueHasItsTurn, waited && max > 0 && asker.joined.is_none());
        for build in self.book.builds.iter_mut().filter(|build| build.key == asker.key) {
            build.is_current = false;
        }
        self.book.largest = self.book.largest.max(token.get());
        self.book.builds.push(Build {
            token,
            key: asker.key,
            group,
            client,
            began: self.book.now,
            deadline_ms: now_ms + way.lease_ms,
            length_ms: way.lease_ms,
            is_tied: way.tied,
            once_ms: way.once_ms,
            is_current: true,
            is_over: false,
            is_late: false,
            has_arrived: false,
            voided: 0,
            source: known.source,
            known: if now_ms < known.floor_until_ms { known.floor } else { 0 },
        });
        self.join(asker.key, token);
    }

    /// Who waits for nothing else waits for this lease of the key.
    pub(crate) fn join(&mut self, key: usize, token: Token) {
        let waiting = self.clients.iter_mut().filter_map(|client| match &mut client.does {
            Does::Waits(_, parked) => Some(parked),
            _ => None,
        });
        for parked in waiting.chain(self.book.listening.values_mut()) {
            if parked.key == key && parked.joined.is_none() {
                parked.joined = Some(token);
            }
        }
    }

    /// A permit that is kept for who listened is nobody else's, and goes with the first ask of its key that is granted.
    pub(crate) fn check_kept(&mut self, asker: &Parked, group: usize, max: u64) {
        let steady_ms = self.steady_ms;
        self.book.kept.retain(|(key, _, until_ms)| *key != asker.key && steady_ms < *until_ms);
        let kept = self.book.kept.iter().filter(|(_, of, _)| *of == group).count() as u64;
        let is_taken = max > 0 && kept > 0 && self.book.permits(group, self.wall_ms) + kept >= max;
        self.broken.note(Rule::AListenersPermitIsKept, is_taken);
    }

    /// Nobody who asked earlier, and would be granted now, is passed over.
    pub(crate) fn check_order(&mut self, asker: &Parked, group: usize, max: u64) {
        let class = |way: usize| self.run.ways.get(way).map(|way| (way.no_stale, way.force, way.early));
        let is_alike = |way: usize| class(way) == class(asker.way);
        let mut is_passed_over = (false, false);
        for client in &self.clients {
            let Does::Waits(waiter, other) = &client.does else { continue };
            if other.joined.is_some() || other.place >= asker.place || self.node.is_answered(*waiter) {
                continue;
            }
            let is_same_key = other.key == asker.key;
            if max == 0 {
                is_passed_over.0 |= is_same_key && is_alike(other.way) && self.group_of(other.way).1 == 0;
            } else if self.group_of(other.way).0 == group && !self.has_passed(other) {
                is_passed_over.1 |= is_same_key || self.could_be_granted(other);
            }
        }
        self.broken.note(Rule::TheLongestWaitingIsPromoted, is_passed_over.0 && self.knows_the_order);
        let is_exact = self.knows_the_order;
        self.broken.note(Rule::WhoAskedFirstInTheGroupIsNext, is_passed_over.1 && is_exact);
    }

    pub(crate) fn has_passed(&self, parked: &Parked) -> bool {
        parked.gives_up_ms.is_some_and(|at| at <= self.steady_ms)
    }

    /// Nothing about the key itself keeps anybody from being granted.
    pub(crate) fn could_be_granted(&self, parked: &Parked) -> bool {
        let key = parked.key;
        let no_stale = self.run.ways.get(parked.way).is_some_and(|way| way.no_stale);
        let now = UnixMs::new(self.wall_ms);
        let is_free = match self.keys.get(key).map(|slot| &slot.held) {
            Some(Holds::Nothing) | None => true,
            Some(Holds::Entry(entry)) => {
                entry.backing_off(now).is_none()
                    && entry.passing(now).is_none()
                    && !(if no_stale { entry.is_fresh(now) } else { entry.is_servable(now) })
            }
            Some(Holds::Text | Holds::Foreign) => false,
        };
        let unknown = self.book.keys.get(key).is_some_and(|known| self.wall_ms < known.unknown_until_ms);
        is_free && !unknown && self.book.live(key, self.wall_ms).is_none()
    }

    pub(crate) fn check_circuit(&mut self, group: usize, token: Token) {
        let now_ms = self.wall_ms;
        let Some(of) = self.book.groups.get_mut(group) else { return };
        let is_open = match of.circuit {
            Circuit::Closed { .. } => false,
            Circuit::Open { until_ms, .. } => now_ms < until_ms,
            Circuit::Trying { trial, .. } => trial.is_some(),
        };
        if let Circuit::Open { cool_ms, .. } | Circuit::Trying { cool_ms, .. } = of.circuit {
            of.circuit = Circuit::Trying { trial: Some(token), last: Some(token), cool_ms };
        }
        self.broken.note(Rule::AnOpenCircuitGrantsNobody, is_open);
        let is_trial = matches!(of.circuit, Circuit::Trying { .. });
        self.seen.note(Situation::ACircuitIsTried, is_trial);
    }
}
