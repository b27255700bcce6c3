//! Noticing CONFIG RESETSTAT, which tells modules nothing.
//!
//! A hook on every command would notice it at once, and cost every command of a server that may hardly use Corral. But
//! the command also empties the server's own statistics of commands. So one command of ours is the mark: how often it
//! was run is counted here and by the server, and when the two disagree, the server has begun anew. This is looked at
//! before INFO answers and, if anything was counted meanwhile, with the server's housekeeping, some ten times a second.
//! If no command of ours was run since, everything counted before is dropped; if some were, what was counted up to the
//! look before, so that of a busy server's figures a tenth of a second from before the reset can remain.

use std::ffi::{CStr, CString};

use super::state;
use super::stats::{STATS, WAITERS_PEAK};
use super::sys::context::CommandCalls;
use super::sys::Context;

/// The command that serves as the mark. It must never block: the server counts a blocked call when it ends, if ever.
pub const MARK: &CStr = c"CACHE.LEASES";
const MARK_FIELD: &CStr = c"cmdstat_CACHE.LEASES";

#[derive(Default)]
pub struct Resets {
    /// Every command of ours, as the server's statistics name it.
    fields: Vec<CString>,
    /// How often the mark was run since the statistics began. Not known at first, nor after a panic, which can have been
    /// the mark's own.
    marks: Option<u64>,
    /// The sum of all counters when it was last looked.
    sum: u64,
}

/// A command was registered.
pub fn register(command: &'static CStr) {
    // No command's name holds a NUL.
    let field = CString::new([b"cmdstat_", command.to_bytes()].concat()).unwrap_or_default();
    state::with(|state| state.resets.fields.push(field));
}

/// The mark was run, by whomever.
pub fn mark_seen() {
    state::with(|state| state.resets.marks = state.resets.marks.map(|marks| marks + 1));
}

impl Resets {
    /// A panic was caught: the next look takes the server's word for how often the mark was run.
    pub fn distrust(&mut self) {
        self.marks = None;
    }
}

/// With the server's housekeeping: looks, if anything was counted since, and sets a mark if there is none.
pub fn watch(context: &Context) {
    let sum = STATS.sum();
    if state::with(|state| std::mem::replace(&mut state.resets.sum, sum) != sum || state.resets.marks.is_none()) {
        look();
    }
    if state::with(|state| state.resets.marks == Some(0)) && !context.flags().is_loading() {
        context.run(MARK);
    }
}

/// Begins anew if the server has.
pub fn look() {
    let calls = CommandCalls::now();
    let marks = calls.of(MARK_FIELD);
    let before = state::with(|state| state.resets.marks.replace(marks));
    let is_anew = before.is_some_and(|before| before != marks);
    // Taken out and put back: the server is asked outside the closure.
    let fields = state::with(|state| std::mem::take(&mut state.resets.fields));
    let is_unused = is_anew && fields.iter().all(|field| calls.of(field) == 0);
    state::with(|state| state.resets.fields = fields);
    // Each figure is as of the last look, and what was counted since: anew, it is the latter alone.
    if is_unused {
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
