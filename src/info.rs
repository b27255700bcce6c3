//! `INFO corral`. Field names are stable; the server puts `corral_` before each.

use std::ffi::CString;

use corral_core::fields::{self, Percentiles, INFO_BUILDS, INFO_WAITS};
use corral_server::info::Section;

use crate::latencies::Latencies;
use crate::{memory, resets};

/// A crash report asks too, possibly from the middle of one of our own callbacks or of the server's: then as little as
/// possible is touched.
pub fn report(section: &Section, for_crash_report: bool) {
    if for_crash_report {
        if let Some(waiters) = memory::try_with(|memory| memory.node.waiters()) {
            section.number(fields::INFO_WAITERS.name, waiters);
        }
        return;
    }
    resets::look_and_mark(&section.context());
    let now = memory::moment().now();
    let (gauges, counters, groups, times) = memory::with(|memory| {
        let node = &memory.node;
        let gauges = [
            (fields::INFO_WAITERS, node.waiters()),
            (fields::INFO_LIVE_LEASES, node.live_leases()),
            (fields::INFO_LISTENERS, node.listeners()),
            (fields::INFO_WAITERS_PEAK, node.waiters_peak()),
            (fields::INFO_TAGS, node.tags_kept()),
            (fields::INFO_TAG_FLOOR, node.tag_floor_token()),
        ];
        let counters: Vec<(&str, u64)> =
            memory.resets.counted(&node.counters).list().map(|(name, value, _)| (name, value)).collect();
        (
            gauges,
            counters,
            node.groups(now),
            [Figures::of(&INFO_BUILDS, &memory.builds), Figures::of(&INFO_WAITS, &memory.waits)],
        )
    });
    for (gauge, value) in gauges {
        section.number(gauge.name, value);
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
            section.number(fields::LIVE.name, group.live);
            section.number(fields::PERMITS.name, group.permits as u64);
            section.number(fields::QUEUED.name, group.queued as u64);
            section.number(fields::GRANTED.name, group.granted);
            section.number(fields::REFUSED.name, group.refused);
            section.text(fields::CIRCUIT.name, &circuit);
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

impl Figures {
    fn of(named: &'static Percentiles, times: &Latencies) -> Self {
        let at = named.at.map(|(_, quantile)| times.at(quantile));
        Self { of: named, measured: times.len(), at, longest: times.longest() }
    }

    fn show(&self, section: &Section) {
        section.number(self.of.measured.name, self.measured);
        let fields = self.of.at.iter().map(|(field, _)| field).chain([&self.of.longest]);
        for (field, us) in fields.zip(self.at.into_iter().chain([self.longest])) {
            // As text: the server prints doubles with 17 digits.
            if let Ok(ms) = CString::new(format!("{}.{:03}", us / 1000, us % 1000)) {
                section.text(field.name, &ms);
            }
        }
    }
}
