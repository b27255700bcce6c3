//! `INFO corral`. Field names are stable; the server puts `corral_` before each.

use std::ffi::CStr;

use super::state;
use super::stats::{Counter, STATS};
use super::sys::info::Section;

/// Every counted field, in the order it is shown.
static COUNTED: [(&CStr, &Counter); 18] = [
    (c"hits", &STATS.hits),
    (c"stale_hits", &STATS.stale_hits),
    (c"misses", &STATS.misses),
    (c"leases_granted", &STATS.leases_granted),
    (c"leases_expired", &STATS.leases_expired),
    (c"handovers", &STATS.handovers),
    (c"fills", &STATS.fills),
    (c"void_fills", &STATS.void_fills),
    (c"failures", &STATS.failures),
    (c"passes", &STATS.passes),
    (c"early_refreshes", &STATS.early_refreshes),
    (c"rebuilds_saved", &STATS.rebuilds_saved),
    (c"waiters_peak", &STATS.waiters_peak),
    (c"waiters_served", &STATS.waiters_served),
    (c"waiters_timed_out", &STATS.waiters_timed_out),
    (c"waiters_refused", &STATS.waiters_refused),
    (c"wake_batches", &STATS.wake_batches),
    (c"panics_caught", &STATS.panics_caught),
];

pub fn report(section: &Section) {
    // A crash report asks too, possibly from the middle of one of our own callbacks: then the state is left alone.
    if let Some((waiters, live_leases)) = state::try_with(|state| (state.waiting.len(), state.ledger.len())) {
        section.number(c"waiters", waiters as u64);
        section.number(c"live_leases", live_leases as u64);
    }
    for (field, counter) in &COUNTED {
        section.number(field, counter.get());
    }
}
