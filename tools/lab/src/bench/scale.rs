//! How much of everything a run of the benchmark does.

use std::time::Duration;

use super::cold_start::Size;

pub(crate) struct Scale {
    /// Every measurement of a time is taken so often, in turns with what it is compared with.
    pub(crate) repeats: usize,
    /// How long one measurement of throughput lasts.
    pub(crate) slice: Duration,
    /// Commands under callgrind: the first count is subtracted from three times as many.
    pub(crate) counted: usize,
    pub(crate) waiters: Vec<usize>,
    /// Rebuilds that each strategy goes through with a thousand clients.
    pub(crate) expiries: usize,
    /// How long each strategy runs on the mix of keys.
    pub(crate) mix: Duration,
    /// Keys in the keyspace, and waiters parked elsewhere, while the instructions of a hit are counted.
    pub(crate) keyspaces: Vec<usize>,
    pub(crate) crowds: Vec<usize>,
    /// Entries with tags, a hundredth as many as which there are tags.
    pub(crate) tagged: usize,
    /// How much of a large site's life is simulated.
    pub(crate) site: Duration,
    /// Unless the command line says otherwise.
    pub(crate) cold_start: Size,
}

impl Scale {
    /// For three minutes.
    pub(crate) fn quick() -> Self {
        Self {
            repeats: 5,
            slice: Duration::from_millis(250),
            counted: 5_000,
            waiters: vec![100, 1_000, 10_000],
            expiries: 5,
            mix: Duration::from_secs(3),
            keyspaces: vec![100, 10_000],
            crowds: vec![0, 1_000],
            tagged: 100_000,
            site: Duration::from_secs(10),
            cold_start: Size { keys: 2_000, callers: 1_000, limit: Duration::from_secs(20) },
        }
    }

    /// For an hour.
    pub(crate) fn full() -> Self {
        Self {
            repeats: 9,
            slice: Duration::from_millis(1500),
            counted: 20_000,
            waiters: vec![100, 1_000, 10_000],
            expiries: 20,
            mix: Duration::from_secs(12),
            keyspaces: vec![100, 10_000, 1_000_000],
            crowds: vec![0, 1_000, 10_000],
            tagged: 1_000_000,
            site: Duration::from_secs(60),
            cold_start: Size { keys: 100_000, callers: 2_000, limit: Duration::from_secs(480) },
        }
    }
}
