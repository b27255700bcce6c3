//! Runs: how many clients and keys, and what they may do. Each is a search of its own, since everything at once would
//! be too much: a run leaves out what the others look at.

use corral_lease::ask::Ask;
use corral_lease::freshness::{Freshness, SoftDeadline};
use corral_lease::time::UnixMs;

use crate::act::Kind::{self, *};

#[derive(Clone, Debug)]
pub struct Run {
    pub name: &'static str,
    pub clients: usize,
    pub keys: usize,
    pub ways: Vec<Way>,
    pub times: Vec<Freshness>,
    pub kinds: Vec<Kind>,
    pub failover: Option<Failover>,
    /// Steps from the beginning; `None` searches everything that can be reached.
    pub depth: Option<usize>,
}

/// One way to ask.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    pub ask: Ask,
    /// `None` does not block, 0 has no limit of its own.
    pub block_ms: Option<u64>,
}

/// How a replica takes over.
#[derive(Clone, Copy, Debug)]
pub struct Failover {
    /// It may have missed what came last.
    pub lags: bool,
    /// How far its clock can be behind.
    pub behind_ms: u64,
}

/// `corral.lease-max-ms`, CACHE.RENEW's and the other times: as small as they can be and still differ.
pub const LEASE_MAX_MS: u64 = 3;
pub const RENEW_MS: u64 = 2;
pub const BACKOFF_MS: u64 = 1;
pub const PASS_MS: u64 = 1;

/// The thorough search: minutes, in release mode. To the end where there is one within reach.
pub fn thorough() -> Vec<Run> {
    let deeper = |run: Run| {
        let depth = match run.name {
            "invalidation" => None,
            "verdicts" => Some(15),
            "handover" => Some(20),
            _ => Some(18),
        };
        Run { depth, ..run }
    };
    quick().into_iter().map(deeper).collect()
}

/// The bounded search of the ordinary tests: seconds.
pub fn quick() -> Vec<Run> {
    vec![
        // Who is promoted, for how long, and who is not forgotten.
        Run {
            name: "handover",
            clients: 3,
            keys: 1,
            ways: vec![
                Way { block_ms: Some(0), ask: ask(2) },
                Way { block_ms: Some(1), ask: Ask { tied: true, ..ask(1) } },
                Way { block_ms: None, ask: ask(2) },
            ],
            times: vec![fresh_for(1, 0, 0)],
            kinds: vec![Fill, Release, Renew, Crash],
            failover: None,
            depth: Some(10),
        },
        // Rebuilds that are overtaken while others wait for them.
        Run {
            name: "invalidation",
            clients: 3,
            keys: 1,
            ways: vec![Way { block_ms: Some(0), ask: ask(2) }, Way { block_ms: None, ask: ask(1) }],
            times: vec![fresh_for(1, 1, 0)],
            kinds: vec![Fill, Touch, Release, Crash, Set, Invalidate, Delete],
            failover: None,
            depth: Some(8),
        },
        // Every verdict, every window, every way to ask.
        Run {
            name: "verdicts",
            clients: 2,
            keys: 1,
            ways: vec![
                Way { block_ms: Some(0), ask: ask(2) },
                Way { block_ms: Some(1), ask: Ask { no_stale: true, ..ask(1) } },
                Way { block_ms: None, ask: Ask { force: true, ..ask(1) } },
                Way { block_ms: None, ask: Ask { early_beta: 1e6, tied: true, ..ask(2) } },
            ],
            times: vec![fresh_for(1, 1, 2), over_already(), for_ever()],
            kinds: vec![Fill, FillWithoutMemory, Touch, Fail, Pass, Renew, Release, Crash, Set, Invalidate],
            failover: None,
            depth: Some(7),
        },
        // What other commands leave in the key under waiting clients.
        Run {
            name: "other commands",
            clients: 3,
            keys: 1,
            ways: vec![
                Way { block_ms: Some(0), ask: ask(1) },
                Way { block_ms: Some(2), ask: Ask { no_stale: true, tied: true, ..ask(2) } },
            ],
            times: vec![fresh_for(1, 1, 0)],
            kinds: vec![Fill, Fail, Crash, Delete, Overwrite, Retype],
            failover: None,
            depth: Some(8),
        },
        // One key's waiters, leases and tokens are nothing to another's; the mint is shared.
        Run {
            name: "two keys",
            clients: 3,
            keys: 2,
            ways: vec![Way { block_ms: Some(0), ask: Ask { tied: true, ..ask(1) } }],
            times: vec![fresh_for(1, 0, 0)],
            kinds: vec![Fill, Release, Crash, Invalidate],
            failover: None,
            depth: Some(9),
        },
        // A replica takes over that has seen everything, but whose clock is behind: tokens grow all the same.
        Run { name: "failover, clock behind", failover: Some(Failover { lags: false, behind_ms: 2 }), ..failover() },
        // A replica takes over that has missed what came last.
        Run { name: "failover, lagging", failover: Some(Failover { lags: true, behind_ms: 0 }), ..failover() },
        // Both: the one case in which a token can be given twice. See `search::Property::by_identity`.
        Run { name: "failover, both", failover: Some(Failover { lags: true, behind_ms: 2 }), ..failover() },
    ]
}

fn failover() -> Run {
    Run {
        name: "",
        clients: 2,
        keys: 1,
        ways: vec![Way { block_ms: Some(0), ask: ask(2) }, Way { block_ms: None, ask: ask(1) }],
        times: vec![fresh_for(1, 0, 0)],
        kinds: vec![Fill, Release, Invalidate],
        failover: None,
        depth: Some(9),
    }
}

fn ask(lease_ms: u64) -> Ask {
    Ask { lease_ms, early_beta: 0.0, no_stale: false, force: false, tied: false }
}

fn fresh_for(ms: u64, swr_ms: u64, sie_ms: u64) -> Freshness {
    Freshness { soft: SoftDeadline::In(ms), swr_ms, sie_ms, jitter_percent: 0 }
}

/// Of no use to anybody but those who wait.
fn over_already() -> Freshness {
    Freshness { soft: SoftDeadline::At(UnixMs::new(1)), swr_ms: 0, sie_ms: 0, jitter_percent: 0 }
}

fn for_ever() -> Freshness {
    Freshness { soft: SoftDeadline::Never, swr_ms: 0, sie_ms: 0, jitter_percent: 0 }
}
