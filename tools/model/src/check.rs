//! What must hold after each act.

use crate::act::{Act, Kind};
use crate::book::{Book, Circuit, Rule};
use crate::run::{self, Timer};
use crate::search::Situation;
use crate::world::{Does, World};

impl World {
    pub(crate) fn hold_against_book(&mut self, act: Act, before: &Book, parked_before: &[u64]) {
        self.check_values();
        self.check_waiters();
        self.check_bounds();
        self.check_limits();
        if self.run.timer == Timer::Prompt && !self.run.kinds.contains(&Kind::Pause) {
            self.check_queues();
            self.check_joined();
            self.check_listeners();
            if let Act::Text { key } = act {
                self.check_string_woke(key);
            }
        }
        if let Act::Invalidate { key } = act {
            self.check_nobody_woke(key, before, parked_before);
        }
        self.forget_what_is_over();
    }

    /// A value is in a key only if it was there, or was stored by who might.
    fn check_values(&mut self) {
        for key in 0..self.keys.len() {
            let held = self.entry(key).and_then(|entry| entry.value()).cloned();
            let held = held.and_then(|bytes| Some(u64::from_le_bytes((*bytes).try_into().ok()?)));
            let Some(known) = self.book.keys.get_mut(key) else { continue };
            let has_arrived = held.is_some() && held != known.value;
            if held.is_none() {
                known.value = None;
            }
            self.broken.note(Rule::NothingStoredUnderAnOldToken, has_arrived);
        }
    }

    fn check_waiters(&mut self) {
        let parked = self.parked().count() as u64;
        self.broken.note(Rule::EveryWaiterIsAnsweredOnce, self.node.waiters() != parked);
        // Deadlines that fell into a pause are another matter; a limit is not.
        let slack_ms = u64::from(self.run.timer == Timer::Late);
        let steady_ms = self.steady_ms;
        let is_over = |at: u64| at + slack_ms < steady_ms || (slack_ms == 0 && at == steady_ms);
        let waits_on = self.parked().any(|(_, parked)| parked.gives_up_ms.is_some_and(is_over));
        self.broken.note(Rule::NobodyWaitsBeyondItsBlock, waits_on);
        let joined: Vec<_> = self.parked().filter_map(|(_, parked)| Some((parked.key, parked.joined?))).collect();
        let of_two = joined.iter().any(|one| joined.iter().any(|other| other.0 == one.0 && other.1 != one.1));
        self.seen.note(Situation::WaitersOfTwoRebuilds, of_two);
    }

    fn check_bounds(&mut self) {
        for key in 0..self.keys.len() {
            let expires = self.keys.get(key).map(|slot| slot.expires);
            let Some(lease) = self.entry(key).and_then(|entry| entry.lease()) else { continue };
            let is_long = lease.deadline > lease.granted_at.plus(run::LEASE_MAX_MS);
            let is_cut = expires.is_some_and(|expires| expires < lease.kept_until());
            self.broken.note(Rule::NoLeaseIsUnbounded, is_long || is_cut);
        }
    }

    fn check_limits(&mut self) {
        let mut is_beyond = self.node.waiters() > self.run.max_waiters;
        for key in 0..self.keys.len() {
            let here = self.node.audience(0, &[b'a' + key as u8]);
            is_beyond |= u64::from(here.waiters.max(here.listeners)) > self.run.max_waiters_per_key;
        }
        self.broken.note(Rule::NobodyIsParkedBeyondTheLimits, is_beyond);
    }

    /// Who waits for a rebuild asked before it was voided, and it is not over.
    fn check_joined(&mut self) {
        let now_ms = self.wall_ms;
        let mut waiting = self.clients.iter().filter_map(|client| match &client.does {
            Does::Waits(waiter, parked) => Some((self.node.awaits(*waiter)?, parked.asked)),
            _ => None,
        });
        let cannot_count = waiting.any(|(token, asked)| {
            let build = self.book.build(token);
            build.is_none_or(|of| !of.holds_permit(now_ms) || (of.voided > 0 && of.voided < asked))
        });
        self.broken.note(Rule::NobodyWaitsForWhatCannotCount, cannot_count);
    }

    /// Who listens is told as soon as there is something to tell.
    fn check_listeners(&mut self) {
        let (now_ms, steady_ms) = (self.wall_ms, self.steady_ms);
        let mut is_left = false;
        for (key, listens) in &self.book.listening {
            let (group, max) = self.group_of(listens.way);
            let is_closed = self.book.groups.get(group).is_none_or(|of| matches!(of.circuit, Circuit::Closed { .. }));
            let kept = self.book.kept.iter().filter(|(_, of, until_ms)| *of == group && steady_ms < *until_ms).count();
            let is_free = max == 0 || self.book.permits(group, now_ms) + (kept as u64) < max;
            let is_awaited = self.node.audience(0, &[b'a' + *key as u8]).listeners > 0;
            is_left |= listens.joined.is_none() && is_closed && is_free && self.could_be_granted(listens);
            is_left |= !is_awaited;
        }
        self.broken.note(Rule::ListenersAreToldOnce, is_left);
    }

    /// A plain SET over an entry is the answer for all who wait for it.
    fn check_string_woke(&mut self, key: usize) {
        let waits_on = self.parked().any(|(_, parked)| parked.key == key);
        self.broken.note(Rule::APlainSetWakesThoseWhoWait, self.was_entry && waits_on);
    }

    /// Nobody is left waiting who would be granted now.
    pub(crate) fn check_queues(&mut self) {
        if self.run.kinds.contains(&Kind::Pause) {
            return;
        }
        let (now_ms, steady_ms) = (self.wall_ms, self.steady_ms);
        let kept = |group: usize| {
            let kept = self.book.kept.iter().filter(|(_, of, until_ms)| *of == group && steady_ms < *until_ms);
            kept.count() as u64
        };
        let mut is_left = (false, false);
        for (_, parked) in self.parked() {
            let (group, max) = self.group_of(parked.way);
            let is_closed = self.book.groups.get(group).is_none_or(|of| match of.circuit {
                Circuit::Closed { .. } => true,
                Circuit::Open { until_ms, .. } => until_ms <= now_ms,
                Circuit::Trying { trial, .. } => trial.is_none(),
            });
            let waits_for_nothing = parked.joined.is_none() && is_closed && self.could_be_granted(parked);
            match max {
                0 => is_left.0 |= waits_for_nothing,
                max => is_left.1 |= waits_for_nothing && self.book.permits(group, now_ms) + kept(group) < max,
            }
        }
        self.broken.note(Rule::ALeaseWithoutAFillIsHandedOver, is_left.0);
        self.broken.note(Rule::AFreePermitAndAQueueNeverLastTogether, is_left.1);
    }

    /// Those who wait stay with their holder.
    fn check_nobody_woke(&mut self, key: usize, before: &Book, parked_before: &[u64]) {
        let had_unknown = before.keys.iter().any(|known| known.unknown_until_ms > self.wall_ms);
        let is_queued = self.book.groups.iter().any(|group| group.max > 0);
        let now: Vec<u64> = self.parked().map(|(client, _)| client).collect();
        let woke = parked_before.iter().any(|client| !now.contains(client));
        let has_build = before.live(key, self.wall_ms).is_some();
        let joined = has_build && !self.was_due;
        self.broken.note(Rule::OneAnswerWakesThoseItIsFor, woke && joined && !had_unknown && !is_queued);
        self.seen.note(Situation::WaitersOutliveAnInvalidation, !now.is_empty());
    }

    /// What can make no difference any more goes from the book.
    fn forget_what_is_over(&mut self) {
        let now_ms = self.wall_ms;
        let held = self.clients.iter().filter_map(|client| match client.does {
            Does::Builds(token) => Some(token),
            _ => None,
        });
        let held: Vec<_> = held.collect();
        let book = &mut self.book;
        book.builds.retain(|build| held.contains(&build.token) || build.holds_permit(now_ms));
        let dumped = self.dumped.iter().filter_map(|dumped| dumped.known.value);
        let kept: Vec<u64> = book.keys.iter().filter_map(|known| known.value).chain(dumped).collect();
        book.values.retain(|value, _| kept.contains(value));
        let asked = self.clients.iter().filter_map(|client| match &client.does {
            Does::Waits(_, parked) => Some(parked.asked),
            _ => None,
        });
        let began = book.builds.iter().map(|build| build.began);
        let oldest = asked.chain(began).chain(book.values.values().map(|built| built.began)).min().unwrap_or(u64::MAX);
        book.marks.retain(|at| *at > oldest);
        for at in &mut book.marked {
            *at = if *at > oldest { *at } else { 0 };
        }
        for known in &mut book.keys {
            if known.invalidated <= oldest {
                known.invalidated = 0;
            }
            if known.floor_until_ms <= now_ms {
                (known.floor, known.floor_at, known.floor_until_ms) = (0, 0, 0);
            }
            if known.unknown_until_ms <= now_ms {
                known.unknown_until_ms = 0;
            }
        }
        let steady_ms = self.steady_ms;
        book.places.retain(|_, (_, _, until_ms)| steady_ms < *until_ms);
        book.kept.retain(|(_, _, until_ms)| steady_ms < *until_ms);
    }
}
