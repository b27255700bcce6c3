//! `INFO corral`. Field names are stable; the server puts `corral_` before each.

use std::ffi::{CStr, CString};

use super::latencies::Latencies;
use super::stats::{Counter, STATS, WAITERS_PEAK};
use super::sys::info::Section;
use super::{resets, state};

/// Every counted field, in the order it is shown.
static COUNTED: [(&CStr, &Counter); 17] = [
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
    (c"waiters_served", &STATS.waiters_served),
    (c"waiters_timed_out", &STATS.waiters_timed_out),
    (c"waiters_refused", &STATS.waiters_refused),
    (c"wake_batches", &STATS.wake_batches),
    (c"panics_caught", &STATS.panics_caught),
];

/// The percentiles of a kind of time, in milliseconds.
struct Percentiles {
    measured: &'static CStr,
    at: [(&'static CStr, f64); 3],
    longest: &'static CStr,
}

static BUILDS: Percentiles = Percentiles {
    measured: c"builds_measured",
    at: [(c"build_ms_p50", 0.5), (c"build_ms_p99", 0.99), (c"build_ms_p999", 0.999)],
    longest: c"build_ms_max",
};

static WAITS: Percentiles = Percentiles {
    measured: c"waits_measured",
    at: [(c"wait_ms_p50", 0.5), (c"wait_ms_p99", 0.99), (c"wait_ms_p999", 0.999)],
    longest: c"wait_ms_max",
};

/// A crash report asks too, possibly from the middle of one of our own callbacks or of the server's: then as little as
/// possible is touched.
pub fn report(section: &Section, for_crash_report: bool) {
    if !for_crash_report {
        resets::look();
    }
    let now = state::try_with(|state| (state.waiting.len(), state.ledger.len()));
    if let Some((waiters, live_leases)) = now {
        section.number(c"waiters", waiters as u64);
        section.number(c"live_leases", live_leases as u64);
    }
    section.number(c"waiters_peak", WAITERS_PEAK.get());
    for (field, counter) in &COUNTED {
        section.number(field, counter.get());
    }
    if !for_crash_report {
        let times = state::with(|state| [BUILDS.of(&state.builds), WAITS.of(&state.waits)]);
        times.into_iter().for_each(|times| times.show(section));
    }
}

/// The figures of one [`Percentiles`], in microseconds but for the count.
struct Figures {
    of: &'static Percentiles,
    measured: u64,
    at: [u64; 3],
    longest: u64,
}

impl Percentiles {
    fn of(&'static self, times: &Latencies) -> Figures {
        let at = self.at.map(|(_, quantile)| times.at(quantile));
        Figures { of: self, measured: times.len(), at, longest: times.longest() }
    }
}

impl Figures {
    fn show(&self, section: &Section) {
        section.number(self.of.measured, self.measured);
        let names = self.of.at.iter().map(|(name, _)| *name).chain([self.of.longest]);
        for (name, us) in names.zip(self.at.into_iter().chain([self.longest])) {
            // As text: the server prints doubles with 17 digits.
            if let Ok(ms) = CString::new(format!("{}.{:03}", us / 1000, us % 1000)) {
                section.text(name, &ms);
            }
        }
    }
}
