//! Servers that refuse, users who may not, limits, answers that take their time.

use super::{base, Labelled, Run, Timer, Way, VALUE, WAY};
use crate::act::Kind::*;

pub fn runs() -> Vec<Run> {
    vec![
        // A disk that refuses writes, a memory that is full, now and then.
        Run {
            name: "refused writes",
            clients: 2,
            ways: vec![WAY, Way { lease_ms: 1, block_ms: Some(2), no_stale: true, tied: true, ..WAY }],
            values: vec![Labelled { swr_ms: 1, sie_ms: 2, ..VALUE }],
            kinds: vec![Fill, Touch, Fail, Pass, Release, Crash, Invalidate, Refuse],
            depth: Some(8),
            deeper: Some(9),
            ..base()
        },
        // Users who lose their rights while they wait.
        Run {
            name: "permissions",
            ways: vec![WAY, Way { lease_ms: 1, block_ms: Some(2), no_stale: true, ..WAY }],
            values: vec![Labelled { swr_ms: 1, ..VALUE }],
            kinds: vec![Fill, Fail, Release, Crash, Forbid],
            deeper: Some(9),
            ..base()
        },
        // Leases that do not reach whom they are handed to.
        Run {
            name: "lost grants",
            keys: 2,
            ways: vec![
                Way { group: Some("g"), ..WAY },
                Way { tied: true, once_ms: Some(2), lease_ms: 1, key: Some(0), group: Some("g"), ..WAY },
            ],
            kinds: vec![Fill, Release, Crash, Lose],
            groups: vec!["g max 1 fails 1 cool-ms 1 backoff-ms 0"],
            depth: Some(7),
            deeper: Some(8),
            ..base()
        },
        // Answers that go out one by one, while limits pass, connections close and others come.
        Run {
            name: "paced answers",
            ways: vec![WAY, Way { lease_ms: 1, block_ms: Some(1), no_stale: true, ..WAY }],
            values: vec![Labelled { swr_ms: 1, sie_ms: 2, ..VALUE }],
            kinds: vec![Fill, Fail, Crash, Invalidate, Forbid],
            timer: Timer::Late,
            is_paced: true,
            deeper: Some(8),
            ..base()
        },
        // The same of two keys: an answer is for those who waited for its key.
        Run {
            name: "paced answers of two keys",
            keys: 2,
            clients: 2,
            ways: vec![WAY],
            kinds: vec![Fill, Crash, Invalidate],
            timer: Timer::Late,
            is_paced: true,
            depth: Some(10),
            deeper: Some(11),
            ..base()
        },
        // More who would wait, or listen, than may.
        Run {
            name: "limits",
            ways: vec![WAY, Way { block_ms: None, notify: true, ..WAY }],
            kinds: vec![Fill, Release, Crash],
            max_waiters: 1,
            keys: 2,
            deeper: Some(9),
            ..base()
        },
        // The same of one key.
        Run {
            name: "limits of a key",
            ways: vec![WAY, Way { block_ms: None, notify: true, ..WAY }],
            kinds: vec![Fill, Release, Crash],
            max_waiters_per_key: 1,
            depth: Some(8),
            deeper: Some(10),
            ..base()
        },
    ]
}
