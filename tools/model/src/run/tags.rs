//! Tags, versions, restarts.

use super::{base, Labelled, Run, Version, Way, VALUE, WAY};
use crate::act::Kind::*;

pub fn runs() -> Vec<Run> {
    let tagged = Labelled { fresh_ms: Some(3), ..VALUE };
    vec![
        // Invalidation before, during and after rebuilds whose tags nobody knows; two keys, two tags, two clients.
        Run {
            name: "tags",
            clients: 2,
            keys: 2,
            ways: vec![WAY],
            values: vec![Labelled { tags: &[0], ..tagged }, Labelled { tags: &[0, 1], ..tagged }],
            kinds: vec![Fill, Mark],
            depth: Some(7),
            deeper: Some(10),
            ..base()
        },
        // The same with room for one mark: forgetting only invalidates more.
        Run {
            name: "forgotten tags",
            clients: 2,
            ways: vec![WAY],
            values: vec![Labelled { tags: &[0], ..tagged }, Labelled { tags: &[1], ..tagged }],
            kinds: vec![Fill, Touch, Mark, Flush],
            max_tags: 1,
            depth: Some(7),
            deeper: Some(10),
            ..base()
        },
        // Marks faster than a build, and three who wait: the last of them must not be passed over twice.
        Run {
            name: "tags under waiters",
            clients: 4,
            ways: vec![Way { lease_ms: 3, no_stale: true, ..WAY }],
            values: vec![Labelled { tags: &[0], swr_ms: 1, ..tagged }],
            kinds: vec![Fill, Touch, Release, Mark, Invalidate],
            depth: Some(10),
            deeper: Some(13),
            ..base()
        },
        // Marks before, during and after a rebuild, and the server is started again.
        Run {
            name: "a restart",
            clients: 2,
            keys: 2,
            ways: vec![Way { group: Some("g"), ..WAY }, Way { lease_ms: 3, block_ms: None, tied: true, ..WAY }],
            values: vec![Labelled { tags: &[0], swr_ms: 1, ..tagged }],
            kinds: vec![Fill, Touch, Mark, Invalidate, Restart],
            groups: vec!["g max 1"],
            depth: Some(6),
            deeper: Some(8),
            ..base()
        },
        // A key that goes to another server and comes back, with what it had then.
        Run {
            name: "a key that comes back",
            clients: 2,
            ways: vec![WAY, Way { lease_ms: 1, block_ms: None, tied: true, ..WAY }],
            values: vec![Labelled { tags: &[0], ..tagged }, Labelled { tags: &[], ..tagged }],
            kinds: vec![Fill, Release, Mark, Migrate],
            deeper: Some(9),
            ..base()
        },
        // A source that moves on, and one that lags.
        Run {
            name: "versions",
            ways: vec![WAY, Way { block_ms: None, ..WAY }],
            values: vec![
                Labelled { version: Version::Primary, ..tagged },
                Labelled { version: Version::Lagging, swr_ms: 1, ..tagged },
                tagged,
            ],
            kinds: vec![Fill, Touch, Outdate, Invalidate],
            depth: Some(6),
            deeper: Some(12),
            ..base()
        },
    ]
}
