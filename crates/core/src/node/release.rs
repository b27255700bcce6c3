//! Answers go out to parked clients, as many as the turn allows.

use super::leases::ClientId;
use super::name::Name;
use super::outbox::{Outcome, Source};
use super::rooms::WaiterId;
use super::top::Added;
use super::Node;
use crate::answer::Answer;
use crate::time::Moment;

/// One client that may be released now.
#[derive(Clone, PartialEq, Debug)]
pub struct Released {
    pub waiter: WaiterId,
    pub outcome: Outcome,
    pub client: ClientId,
    /// When it was parked, in microseconds of the clock that is never set.
    pub since_us: u64,
}

impl Node {
    /// Whether answers are on their way.
    pub fn has_answers(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// The server's memory must be known before [`Node::begin_release`].
    pub fn wants_memory(&self) -> bool {
        self.outbox.wants_memory()
    }

    /// Begins to release parked clients; `is_turn`: in the timer's turn, with what it has left of its budget.
    pub fn begin_release(&mut self, moment: Moment, used: Option<u64>, is_turn: bool) {
        self.outbox.begin(moment, used, is_turn);
    }

    /// The next client to be released with its answer, and the key it waited for, whose permission is to be asked again;
    /// `None` when the turn is over.
    pub fn next_release(&mut self, moment: Moment) -> Option<(Released, Option<(u32, Name)>)> {
        loop {
            let (number, batch) = self.outbox.turn()?;
            let (source, build_ms) = (batch.source, batch.build_ms);
            let cohort = match source {
                Source::Cohort(cohort) => Some(cohort),
                Source::Room(room) => self.rooms.any_cohort(room),
            };
            let first = cohort.and_then(|cohort| self.rooms.first(cohort));
            let Some((id, waiter)) = first else {
                match (source, cohort) {
                    (Source::Room(_), Some(cohort)) if self.rooms.drop_if_empty(cohort) => {}
                    (Source::Room(room), _) => {
                        self.rooms.close_left(room);
                        self.outbox.done(number);
                    }
                    (Source::Cohort(cohort), _) => {
                        self.rooms.drop_detached(cohort);
                        self.outbox.done(number);
                    }
                }
                continue;
            };
            let outcome = if waiter.ask.class.no_stale { &batch.strict } else { &batch.lenient };
            let mut outcome = outcome.clone();
            if waiter.gives_up <= moment.steady() && matches!(outcome, Outcome::Answer(_)) {
                outcome = Outcome::Answer(Answer::Wait { left_ms: 0 });
            }
            let room = self.rooms.get(waiter.room).map(|room| (room.db, room.name.clone()));
            let room_id = waiter.room;
            let (waiter, _) = self.rooms.take(id)?;
            if let (Source::Cohort(_), Some(cohort)) = (source, cohort) {
                if self.rooms.first(cohort).is_none() {
                    self.rooms.drop_detached(cohort);
                    self.outbox.done(number);
                }
            }
            self.outbox.released(number, outcome.size());
            self.count_release(&outcome, build_ms, room.as_ref(), moment.steady_us.saturating_sub(waiter.since_us));
            self.rooms.close_if_empty(room_id);
            let released = Released { waiter: id, outcome, client: waiter.client, since_us: waiter.since_us };
            return Some((released, room));
        }
    }

    fn count_release(&mut self, outcome: &Outcome, build_ms: u32, room: Option<&(u32, Name)>, waited_us: u64) {
        let mut added = Added { wait_ms: waited_us / 1000, ..Added::default() };
        match outcome {
            Outcome::Answer(Answer::Wait { .. }) => self.counters.waiters_timed_out += 1,
            // Builds for itself: served, but nothing saved.
            Outcome::Answer(Answer::Pass { .. }) => self.counters.waiters_served += 1,
            Outcome::Answer(_) => {
                self.counters.waiters_served += 1;
                self.counters.rebuilds_saved += 1;
                self.counters.build_ms_saved += u64::from(build_ms);
                added.saved = 1;
            }
            Outcome::Error(_) => {}
        }
        if let Some((db, name)) = room {
            self.top.add(*db, name, added);
        }
    }

    pub fn end_release(&mut self, moment: Moment) {
        if self.outbox.end(moment) {
            self.counters.wake_batches += 1;
        }
    }
}
