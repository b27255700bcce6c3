//! What is due outside a call: deadlines, BLOCK limits, ties, messages. Each piece is bounded, and what is left
//! is due on the next turn; what has a deadline in ms goes before what has none.

use alloc::vec::Vec;

use super::leases::{Record, RecordState};
use super::name::Name;
use super::slab::Id;
use super::{Node, Step};
use crate::codec::MarksRecord;
use crate::time::{Moment, SteadyMs, UnixMs};

/// Pieces of each kind per turn: some microseconds each.
pub(super) const AT_ONCE: usize = 200;

/// When the node is due next, by either clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// Work is waiting.
    Now,
    /// At the earlier of the two; `None`: by that clock, never.
    At { wall: Option<UnixMs>, steady: Option<SteadyMs> },
}

impl Node {
    /// One turn: what is due without looking at a key. Keys that must be looked at are had by [`Node::next_visit`].
    pub fn turn(&mut self, moment: Moment, is_paused: bool) -> Step {
        let mut step = Step::new();
        let clock = self.clock(moment, is_paused);
        self.outbox.begin_turn(moment);
        self.drain();
        self.end_limits(moment, &mut step);
        for _ in 0..AT_ONCE {
            if !step.has_room() {
                break;
            }
            let Some(record) = self.leases.due(clock) else { break };
            self.end_by_deadline(record, clock, &mut step);
        }
        self.end_places(moment.steady());
        self.end_reservations(moment.steady());
        self.outlive(clock.now);
        self.try_again(clock.now);
        self.take_up_postponed(moment.steady());
        // As deadlines: the fills that the server held back come first.
        if !is_paused && self.pause.resumes_at.is_none() {
            self.end_ties();
        }
        self.publish(&mut step);
        self.clean();
        step
    }

    /// What nobody waits for: records of flushed databases, marks beyond the limit, memory of flushed marks.
    fn clean(&mut self) {
        self.take_over();
        if let Some(chunk) = self.sweep {
            let (records, more) = self.leases.sweep(chunk, |id, _| self.leases.is_floored(id));
            for id in records {
                match self.leases.get(id).map(|record| (self.is_idle(id, record), record.state, record.until)) {
                    Some((true, ..)) => self.forget_record(id),
                    Some((false, RecordState::Live, until)) => self.retire(id, RecordState::Void, until),
                    _ => {}
                }
            }
            self.sweep = more.then_some(chunk + 1);
        }
        if self.is_master() {
            self.tags.trim(self.settings.max_tags);
        }
        self.tags.free_slice();
        if let Some(husks) = self.flushed_husks.last_mut() {
            let is_empty = (0..AT_ONCE).any(|_| husks.pop_first().is_none());
            if is_empty {
                self.flushed_husks.pop();
            }
        }
    }

    /// A record that was voided without a word, that nobody waits for and no group counts: those of a group without a
    /// limit count too, since it can be given one.
    pub(super) fn is_idle(&self, id: Id, record: &Record) -> bool {
        self.leases.is_floored(id) && !record.is_awaited && !record.is_tied && !record.has_permit
    }

    /// The floor of all tags, where replicas and the AOF are yet to be told. Not to be asked while the server is paused.
    pub fn take_floor(&mut self) -> Vec<MarksRecord> {
        match self.is_master() {
            true => self.tags.take_news(),
            false => Vec::new(),
        }
    }

    /// When there is something to do.
    pub fn next_due(&self) -> Option<Due> {
        let writes = self.is_master() && !self.pause.is_on;
        let is_now = self.draining.is_some()
            || !self.outbox.is_empty()
            || !self.messages.is_empty()
            || self.sweep.is_some()
            || self.takeover.is_some()
            || self.tags.has_garbage()
            || (self.is_master() && self.tags.is_beyond(self.settings.max_tags))
            || !self.flushed_husks.is_empty()
            || (!self.pause.is_on && !self.visits.is_empty())
            || (self.pause.resumes_at.is_none() && !self.gone.is_empty())
            || (writes && (self.tags.has_news() || !(self.stalled.is_empty() && self.due_groups.is_empty())));
        if is_now {
            return Some(Due::Now);
        }
        // Around a pause, deadlines that fell into it wait for its end.
        let lease = self.leases.next_moment().filter(|_| self.pause.resumes_at.is_none());
        let husk = self.husks.first_end().filter(|_| writes);
        let circuit = self.circuits_due().filter(|_| writes);
        let wall = [lease, husk, circuit].into_iter().flatten().min();
        let place = self.places_by_end.first().map(|(until, _)| *until);
        let reservation = self.reservations.first().map(|(until, _)| *until);
        let postponed = self.postponed.first().map(|(at, ..)| *at);
        let steady = [self.rooms.next_limit(), place, reservation, postponed, self.pause.resumes_at];
        let steady = steady.into_iter().flatten().min();
        (wall.is_some() || steady.is_some()).then_some(Due::At { wall, steady })
    }

    /// Rooms that somebody waits in, a slice of them: their slots may have moved away.
    pub fn rooms_after(&self, from: Option<(u32, Name)>, count: usize) -> Vec<(u32, Name)> {
        let mut found = Vec::new();
        let mut from = from;
        while found.len() < count {
            let Some((name, _)) = self.rooms.next_named(from) else { break };
            found.push(name.clone());
            from = Some(name);
        }
        found
    }
}
