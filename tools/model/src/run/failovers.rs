//! A replica takes over.

use super::{base, Failover, Labelled, Run, Way, VALUE, WAY};
use crate::act::Kind::*;

pub fn runs() -> Vec<Run> {
    let run = Run {
        clients: 2,
        ways: vec![Way { group: Some("g"), ..WAY }, Way { lease_ms: 1, block_ms: None, tied: true, ..WAY }],
        values: vec![Labelled { fresh_ms: Some(2), tags: &[0], ..VALUE }],
        kinds: vec![Fill, Release, Invalidate, Mark],
        groups: vec!["g max 1"],
        depth: Some(7),
        deeper: Some(9),
        ..base()
    };
    vec![
        // A replica takes over that has seen everything, but whose clock is behind: tokens grow all the same.
        Run { name: "failover, clock behind", failover: Some(Failover { lags: false, behind_ms: 2 }), ..run.clone() },
        // A replica takes over that has missed what came last.
        Run { name: "failover, lagging", failover: Some(Failover { lags: true, behind_ms: 0 }), ..run },
    ]
}
