//! `INFO corral`. Field names are stable; the server puts `corral_` before each.

use std::ffi::{CStr, CString};

use corral_server::info::Section;

use crate::latencies::Latencies;
use crate::{memory, resets};

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
    if for_crash_report {
        if let Some(waiters) = memory::try_with(|memory| memory.node.waiters()) {
            section.number(c"waiters", waiters);
        }
        return;
    }
    resets::look();
    let now = memory::moment().now();
    let (gauges, counters, groups, times) = memory::with(|memory| {
        let node = &memory.node;
        let gauges = [
            (c"waiters", node.waiters()),
            (c"live_leases", node.live_leases()),
            (c"listeners", node.listeners()),
            (c"waiters_peak", node.waiters_peak()),
            (c"tags", node.tags_kept()),
            (c"tag_floor", node.tag_floor_token()),
        ];
        let counters: Vec<(&str, u64)> =
            memory.resets.counted(&node.counters).list().map(|(name, value, _)| (name, value)).collect();
        (gauges, counters, node.groups(now), [BUILDS.of(&memory.builds), WAITS.of(&memory.waits)])
    });
    for (name, value) in gauges {
        section.number(name, value);
    }
    for (name, value) in counters {
        if let Ok(name) = CString::new(name) {
            section.number(&name, value);
        }
    }
    times.into_iter().for_each(|times| times.show(section));
    for group in groups {
        let (Ok(name), Ok(circuit)) = (CString::new(format!("group_{}", group.name)), CString::new(group.circuit))
        else {
            continue;
        };
        section.dictionary(&name, |section| {
            section.number(c"live", group.live);
            section.number(c"permits", group.permits as u64);
            section.number(c"queued", group.queued as u64);
            section.number(c"granted", group.granted);
            section.number(c"refused", group.refused);
            section.text(c"circuit", &circuit);
        });
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
