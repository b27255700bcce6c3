//! Queues that end, and what is voided under them.

use super::{base, Labelled, Run, Way, VALUE, WAY};
use crate::act::Kind::*;

pub fn runs() -> Vec<Run> {
    let limited = |lease_ms| Way { lease_ms, group: Some("g"), ..WAY };
    vec![
        // Who queues until its own limit, and comes back to its place.
        Run {
            name: "a queue and its limits",
            keys: 2,
            ways: vec![limited(2), Way { block_ms: Some(1), ..limited(3) }],
            kinds: vec![Fill, Release, Crash],
            groups: vec!["g max 1"],
            deeper: Some(9),
            ..base()
        },
        // Whoever holds a lease of a full group asks for another.
        Run {
            name: "nested asks",
            clients: 2,
            keys: 2,
            ways: vec![limited(2), Way { block_ms: None, ..limited(1) }],
            kinds: vec![Fill, Release, Crash, Invalidate, Nest],
            groups: vec!["g max 1", "g max 2"],
            deeper: Some(9),
            ..base()
        },
        // Marks and flushes under a limit and a trial.
        Run {
            name: "flushes under a limit",
            keys: 2,
            ways: vec![limited(2), Way { block_ms: None, key: Some(0), ..limited(1) }],
            values: vec![Labelled { tags: &[0], fresh_ms: Some(3), ..VALUE }],
            kinds: vec![Fill, Fail, Mark, Flush],
            groups: vec!["g max 1 fails 1 cool-ms 1 backoff-ms 0"],
            depth: Some(8),
            deeper: Some(9),
            ..base()
        },
        // The same under ONCE.
        Run {
            name: "flushes under once",
            clients: 2,
            ways: vec![Way { once_ms: Some(2), ..WAY }],
            values: vec![Labelled { tags: &[0], fresh_ms: Some(2), ..VALUE }],
            kinds: vec![Fill, Release, Mark, Flush, Invalidate],
            depth: Some(8),
            deeper: Some(10),
            ..base()
        },
    ]
}
