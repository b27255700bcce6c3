//! Noticing CONFIG RESETSTAT, which tells modules nothing.
//!
//! A hook on every command would notice it at once, and cost every command of a server that may hardly use Corral. But
//! the command also empties the server's own statistics of commands. So one command of ours is the mark: how often it
//! was run is counted here and by the server, and when the two disagree, the server has begun anew. This is looked at
//! before INFO answers and, if anything was counted meanwhile, with the server's housekeeping, some ten times a second.
//! If no command of ours was run since, everything counted before is dropped; if some were, what was counted up to the
//! look before, so that of a busy server's figures a tenth of a second from before the reset can remain.

use std::ffi::CStr;

use super::state;
use super::stats::{STATS, WAITERS_PEAK};
use super::sys::{context, Context};

/// The command that serves as the mark. It must never block: the server counts a blocked call when it ends, if ever.
pub const MARK: &CStr = c"CACHE.LEASES";

#[derive(Default)]
pub struct Resets {
    /// Every command of ours.
    commands: Vec<&'static CStr>,
    /// How often the mark was run since the statistics began.
    marks: u64,
    /// The sum of all counters when it was last looked.
    sum: u64,
}

/// A command was registered.
pub fn register(command: &'static CStr) {
    state::with(|state| state.resets.commands.push(command));
}

/// The mark was run, by whomever.
pub fn mark_seen() {
    state::with(|state| state.resets.marks += 1);
}

/// With the server's housekeeping: looks, if anything was counted since, and sets a mark if there is none.
pub fn watch(context: &Context) {
    let sum = STATS.sum();
    if state::with(|state| std::mem::replace(&mut state.resets.sum, sum) != sum) {
        look();
    }
    if state::with(|state| state.resets.marks == 0) && !context.flags().is_loading() {
        context.run(MARK);
    }
}

/// Begins anew if the server has.
pub fn look() {
    let commands = state::with(|state| state.resets.commands.clone());
    let calls = context::calls_of(&commands);
    let is_unused = calls.iter().all(|calls| *calls == 0);
    let marks =
        commands.iter().zip(calls).find_map(|(command, calls)| (*command == MARK).then_some(calls)).unwrap_or(0);
    let is_anew = state::with(|state| std::mem::replace(&mut state.resets.marks, marks) != marks);
    // Each figure is as of the last look, and what was counted since: anew, it is the latter alone.
    if is_anew && is_unused {
        settle();
    }
    if is_anew {
        STATS.begin_anew();
        state::with(|state| {
            state.builds.begin_anew();
            state.waits.begin_anew();
            WAITERS_PEAK.begin_anew(state.waiting.len() as u64);
        });
    }
    settle();
}

/// What was counted by now is part of the figures.
fn settle() {
    STATS.look();
    state::with(|state| {
        state.builds.look();
        state.waits.look();
    });
}
