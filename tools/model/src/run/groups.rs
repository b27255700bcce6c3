//! Limits, circuits, once.

use super::{base, Labelled, Run, Timer, Way, VALUE, WAY};
use crate::act::Kind::*;

pub fn runs() -> Vec<Run> {
    let limited = |lease_ms| Way { lease_ms, group: Some("g"), ..WAY };
    vec![
        // One permit, three keys: leases that end in every way.
        Run {
            name: "a limit",
            keys: 3,
            ways: vec![limited(2), Way { tied: true, ..limited(1) }],
            kinds: vec![Fill, Release, Crash, Invalidate],
            groups: vec!["g max 1"],
            depth: Some(5),
            deeper: Some(7),
            ..base()
        },
        // Who waits for its lease and its permit, while the timer comes late.
        Run {
            name: "a limit, timer late",
            keys: 2,
            ways: vec![limited(1), Way { block_ms: Some(0), ..limited(2) }],
            kinds: vec![Fill, Fail, Delete],
            groups: vec!["g max 1"],
            timer: Timer::Late,
            depth: Some(7),
            deeper: Some(9),
            ..base()
        },
        // Two groups, whose settings change while callers queue.
        Run {
            name: "changing groups",
            keys: 2,
            ways: vec![limited(2), Way { group: Some("h"), ..WAY }],
            kinds: vec![Fill, Release, Configure, Invalidate],
            groups: vec!["g max 1, h max 1", "g max 2", ""],
            depth: Some(7),
            deeper: Some(8),
            ..base()
        },
        // A source that fails, and its trials.
        Run {
            name: "a circuit",
            clients: 2,
            keys: 2,
            ways: vec![Way { block_ms: None, ..limited(2) }, Way { tied: true, ..limited(1) }],
            kinds: vec![Fill, Touch, Fail, Release, Crash, Invalidate],
            groups: vec!["g fails 1 cool-ms 1 backoff-ms 0"],
            depth: Some(7),
            deeper: Some(9),
            ..base()
        },
        // For as many trials as it takes, beside leftovers of before.
        Run {
            name: "trials",
            clients: 2,
            keys: 2,
            ways: vec![Way { block_ms: None, ..limited(2) }],
            kinds: vec![Fail, Release],
            groups: vec!["g fails 1 cool-ms 1 backoff-ms 0"],
            depth: Some(10),
            deeper: Some(12),
            ..base()
        },
        // A limit and a circuit at once.
        Run {
            name: "a limit and a circuit",
            keys: 2,
            ways: vec![limited(2)],
            kinds: vec![Fill, Fail, Release, Delete],
            groups: vec!["g max 1 fails 2 cool-ms 1 backoff-ms 0"],
            depth: Some(8),
            deeper: Some(10),
            ..base()
        },
        // What must not run twice.
        Run {
            name: "once",
            clients: 2,
            ways: vec![
                Way { once_ms: Some(2), lease_ms: 1, tied: true, ..WAY },
                Way { once_ms: Some(0), force: true, block_ms: None, ..limited(1) },
            ],
            values: vec![Labelled { fresh_ms: Some(2), tags: &[0], ..VALUE }],
            kinds: vec![Fill, FillRefused, Fail, Release, Crash, Set, Invalidate, Mark, Delete],
            groups: vec!["g max 1"],
            depth: Some(7),
            deeper: Some(9),
            ..base()
        },
    ]
}
