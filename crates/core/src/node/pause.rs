//! The clock of leases. While the server holds writes back, and for a moment after, deadlines wait: the fills that it
//! held back come first.

use super::turn::AT_ONCE;
use super::Node;
use crate::time::{Clock, Moment, SteadyMs, UnixMs};

/// Whether the server holds writes back, and since when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Pause {
    pub(super) is_on: bool,
    /// Just behind the last moment seen outside a pause: what falls due from there on waits.
    pub(super) held_from: UnixMs,
    /// When it is over: when deadlines that fell into it count again. While it is on: when to see whether it still is.
    pub(super) resumes_at: Option<SteadyMs>,
}

/// Nobody tells when a pause ends. Often enough that a handover after it is not noticed, in ms.
const LOOK_AGAIN_MS: u64 = 20;

/// How long after a pause the fills that the server held back come first, in ms.
const AFTER_PAUSE_MS: u64 = 10;

impl Node {
    /// Now, as far as leases are concerned; notes whether the server is paused.
    pub(super) fn clock(&mut self, moment: Moment, is_paused: bool) -> Clock {
        let now = moment.now();
        let steady = moment.steady();
        if is_paused {
            // Held from the last moment outside: a deadline between the two may have fallen into the pause.
            (self.pause.is_on, self.pause.resumes_at) = (true, Some(steady.plus(LOOK_AGAIN_MS)));
        } else if core::mem::take(&mut self.pause.is_on) {
            self.pause.resumes_at = Some(steady.plus(AFTER_PAUSE_MS));
        }
        if !self.pause.is_on && self.pause.resumes_at.is_some_and(|at| at <= steady) {
            self.pause.resumes_at = None;
        }
        if self.pause.resumes_at.is_some() {
            return Clock { now, held_from: self.pause.held_from };
        }
        // What falls due at this very moment is seen to have passed, and stays so.
        self.pause.held_from = now.plus(1);
        Clock::at(now)
    }

    /// The same, as it was last noted.
    pub(super) fn noted_clock(&self, moment: Moment) -> Clock {
        match self.pause.resumes_at {
            None => Clock::at(moment.now()),
            Some(_) => Clock { now: moment.now(), held_from: self.pause.held_from },
        }
    }

    /// Rooms that a pause has kept undecided.
    pub(super) fn end_stalls(&mut self) {
        for _ in 0..AT_ONCE {
            let Some(room) = self.stalled.pop_first() else { return };
            self.visit_room(room);
        }
    }
}

impl Default for Pause {
    fn default() -> Self {
        Self { is_on: false, held_from: UnixMs::EPOCH, resumes_at: None }
    }
}
