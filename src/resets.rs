//! Noticing CONFIG RESETSTAT, which tells modules nothing.
//!
//! A hook on every command would notice it at once, and cost every command of a server that may hardly use Corral. But
//! the command also empties the server's own statistics of commands. So one command of ours is the mark, CACHE.VERSION,
//! which costs nothing: how often it was run is counted here and by the server, and when the two disagree, the server has
//! begun anew. This is looked at before INFO and CACHE.TOP answer and, if anything was counted meanwhile, with the
//! server's housekeeping, some ten times a second. If no command of ours was run since, everything counted before is
//! dropped; if some were, what was counted up to the look before, so that of a busy server's figures a tenth of a second
//! from before the reset can remain.

use std::ffi::CStr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use corral_core::node::stats::Counters;
use corral_server::figures::CommandCalls;
use corral_server::Context;

use crate::commands;
use crate::memory::{self, Memory};

const MARK_FIELD: &CStr = c"cmdstat_CACHE.VERSION";

/// Hits that did not come to the node.
static HITS: AtomicU64 = AtomicU64::new(0);
/// Panics that were caught: one can hold the node.
static PANICS: AtomicU64 = AtomicU64::new(0);
/// How often the mark was run; [`UNKNOWN`] at first, and after a panic, which can have been the mark's own.
static MARKS: AtomicU64 = AtomicU64::new(UNKNOWN);
const UNKNOWN: u64 = u64::MAX;

#[derive(Default)]
pub struct Resets {
    /// The counters when it was last looked.
    looked: Counters,
    looked_outside: Outside,
    /// What counts as none.
    base: Counters,
    base_outside: Outside,
}

/// What is counted outside the node.
#[derive(Clone, Copy, PartialEq, Default)]
struct Outside {
    hits: u64,
    panics: u64,
}

impl Outside {
    fn now() -> Self {
        Self { hits: HITS.load(Relaxed), panics: PANICS.load(Relaxed) }
    }
}

/// One hit: a load and a store, where `fetch_add` would lock the bus on every hit. Only the main thread counts.
#[inline]
pub fn count_hit() {
    HITS.store(HITS.load(Relaxed).wrapping_add(1), Relaxed);
}

/// The mark was run, by whomever.
pub fn mark_seen() {
    let marks = MARKS.load(Relaxed);
    if marks != UNKNOWN {
        MARKS.store(marks + 1, Relaxed);
    }
}

/// A panic was caught: the next look takes the server's word for how often the mark was run.
pub fn poisoned() {
    PANICS.fetch_add(1, Relaxed);
    MARKS.store(UNKNOWN, Relaxed);
}

/// With the server's housekeeping: looks, if anything was counted since, and sets a mark if there is none.
pub fn watch(context: &Context) {
    let has_counted = memory::with(|memory| {
        memory.resets.looked != memory.node.counters || memory.resets.looked_outside != Outside::now()
    });
    if has_counted || MARKS.load(Relaxed) == UNKNOWN {
        look();
    }
    set_mark(context);
}

/// Looks, and leaves a mark, so that the next reset is seen however soon it comes.
pub fn look_and_mark(context: &Context) {
    look();
    set_mark(context);
}

fn set_mark(context: &Context) {
    if MARKS.load(Relaxed) == 0 && !context.flags().is_loading() {
        context.run(commands::version::NAME);
    }
}

/// Begins anew if the server has.
fn look() {
    let calls = CommandCalls::now();
    let marks = calls.of(MARK_FIELD);
    let before = MARKS.swap(marks, Relaxed);
    let is_anew = before != UNKNOWN && before != marks;
    let is_unused = is_anew && commands::FIELDS.iter().all(|field| calls.of(field) == 0);
    memory::with(|memory| {
        if is_unused {
            memory.settle();
        }
        if is_anew {
            memory.resets.base = memory.resets.looked.clone();
            memory.resets.base_outside = memory.resets.looked_outside;
            memory.builds.reset_stats();
            memory.waits.reset_stats();
            memory.node.reset_stats();
        }
        memory.settle();
    });
}

impl Memory {
    /// What was counted by now is part of the figures.
    fn settle(&mut self) {
        self.resets.looked = self.node.counters.clone();
        self.resets.looked_outside = Outside::now();
        self.builds.look();
        self.waits.look();
        self.node.look_at_stats();
    }
}

impl Resets {
    /// What was counted since the statistics began.
    pub fn counted(&self, counters: &Counters) -> Counters {
        let mut counted = counters.since(&self.base);
        let outside = Outside::now();
        counted.hits += outside.hits.wrapping_sub(self.base_outside.hits);
        counted.panics_caught += outside.panics.wrapping_sub(self.base_outside.panics);
        counted
    }
}
