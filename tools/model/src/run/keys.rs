//! One key, or two: who is promoted, and what wakes whom.

use super::{base, Labelled, Run, Timer, Way, VALUE, WAY};
use crate::act::Kind::*;

pub fn runs() -> Vec<Run> {
    vec![
        // Who is promoted, for how long, and who is not forgotten; the timer comes late.
        Run {
            name: "handover",
            ways: vec![WAY, Way { lease_ms: 1, block_ms: Some(1), tied: true, ..WAY }, Way { block_ms: None, ..WAY }],
            kinds: vec![Fill, Release, Renew, Crash],
            timer: Timer::Late,
            depth: Some(8),
            deeper: Some(12),
            ..base()
        },
        // Rebuilds that are overtaken while others wait for them.
        Run {
            name: "invalidation",
            ways: vec![WAY, Way { lease_ms: 1, block_ms: None, ..WAY }],
            values: vec![Labelled { swr_ms: 1, ..VALUE }],
            kinds: vec![Fill, Touch, Release, Crash, Set, Invalidate, Delete],
            depth: Some(8),
            deeper: Some(11),
            ..base()
        },
        // Every verdict, every window, every way to ask.
        Run {
            name: "verdicts",
            clients: 2,
            ways: vec![
                WAY,
                Way { lease_ms: 1, block_ms: Some(1), no_stale: true, ..WAY },
                Way { lease_ms: 1, block_ms: None, force: true, ..WAY },
                Way { block_ms: None, early: true, tied: true, ..WAY },
            ],
            values: vec![
                Labelled { swr_ms: 1, sie_ms: 2, ..VALUE },
                Labelled { fresh_ms: Some(0), ..VALUE },
                Labelled { fresh_ms: None, ..VALUE },
            ],
            kinds: vec![Fill, FillRefused, Touch, Fail, Pass, Renew, Release, Crash, Set, Invalidate],
            depth: Some(6),
            deeper: Some(9),
            ..base()
        },
        // What other commands leave in the key under waiting clients.
        Run {
            name: "other commands",
            ways: vec![Way { lease_ms: 1, ..WAY }, Way { block_ms: Some(2), no_stale: true, tied: true, ..WAY }],
            values: vec![Labelled { swr_ms: 1, ..VALUE }],
            kinds: vec![Fill, Fail, Crash, Delete, Retype, Flush],
            deeper: Some(10),
            ..base()
        },
        // One key's waiters, leases and tokens are nothing to another's; what is due waits for its turn.
        Run {
            name: "two keys",
            keys: 2,
            ways: vec![Way { lease_ms: 1, ..WAY }],
            kinds: vec![Fill, Release, Crash, Invalidate],
            timer: Timer::Late,
            depth: Some(8),
            deeper: Some(10),
            ..base()
        },
        // Nothing can be written for a while.
        Run {
            name: "pauses",
            clients: 2,
            ways: vec![Way { tied: true, ..WAY }, Way { block_ms: Some(1), ..WAY }],
            kinds: vec![Fill, Release, Crash, Pause],
            depth: Some(8),
            deeper: Some(12),
            ..base()
        },
        // Told by a message instead of being parked.
        Run {
            name: "listeners",
            clients: 2,
            keys: 2,
            ways: vec![Way { block_ms: None, notify: true, group: Some("g"), ..WAY }, Way { group: Some("g"), ..WAY }],
            kinds: vec![Fill, Fail, Release, Invalidate],
            groups: vec!["g max 1"],
            depth: Some(7),
            deeper: Some(10),
            ..base()
        },
    ]
}
