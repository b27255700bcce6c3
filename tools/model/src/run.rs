//! Runs: how many clients and keys, and what they may do. Each is a search of its own, since everything at once would
//! be too much: a run leaves out what the others look at.

use crate::act::Kind::{self, *};

#[derive(Clone, Debug)]
pub struct Run {
    pub name: &'static str,
    pub clients: usize,
    pub keys: usize,
    pub ways: Vec<Way>,
    pub values: Vec<Labelled>,
    pub kinds: Vec<Kind>,
    /// What `corral.groups` is, and can become.
    pub groups: Vec<&'static str>,
    pub max_tags: u64,
    pub max_waiters: u64,
    pub max_waiters_per_key: u64,
    pub timer: Timer,
    /// Answers go out one by one, each an act of its own.
    pub is_paced: bool,
    pub failover: Option<Failover>,
    /// Steps from the beginning, in the bounded search and in the thorough one; `None` searches everything that can be
    /// reached.
    pub depth: Option<usize>,
    pub deeper: Option<usize>,
}

/// One way to ask.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    pub lease_ms: u64,
    /// `None` does not block, 0 has no limit of its own.
    pub block_ms: Option<u64>,
    pub no_stale: bool,
    pub force: bool,
    pub early: bool,
    pub tied: bool,
    pub notify: bool,
    pub group: Option<&'static str>,
    pub once_ms: Option<u64>,
    /// The key that is asked for so; `None` for any.
    pub key: Option<usize>,
}

/// What a fill says of its value.
#[derive(Clone, Copy, Debug)]
pub struct Labelled {
    /// `None`: fresh for ever; 0: over already.
    pub fresh_ms: Option<u64>,
    pub swr_ms: u64,
    pub sie_ms: u64,
    pub tags: &'static [usize],
    pub version: Version,
}

/// How new the source was that a builder read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// It does not say.
    Unsaid,
    /// As new as when its lease was granted.
    Primary,
    /// One version behind that.
    Lagging,
}

/// When the timer does what is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timer {
    /// After each act.
    Prompt,
    /// Whenever it comes to it, at most a millisecond late, one turn or key at a time.
    Late,
}

/// How a replica takes over.
#[derive(Clone, Copy, Debug)]
pub struct Failover {
    /// It may have missed what came last.
    pub lags: bool,
    /// How far its clock is behind.
    pub behind_ms: u64,
}

/// `corral.lease-max-ms`, CACHE.RENEW's and the other times: as small as they can be and still differ.
pub const LEASE_MAX_MS: u64 = 3;
pub const RENEW_MS: u64 = 2;
pub const BACKOFF_MS: u64 = 1;
pub const PASS_MS: u64 = 1;
pub const FLOOR_MS: u64 = 4;
/// Versions of a source that are told apart.
pub const VERSIONS: u64 = 2;
pub const TAGS: [&[u8]; 2] = [b"red", b"blue"];

const WAY: Way = Way {
    lease_ms: 2,
    block_ms: Some(0),
    no_stale: false,
    force: false,
    early: false,
    tied: false,
    notify: false,
    group: None,
    once_ms: None,
    key: None,
};

const VALUE: Labelled = Labelled { fresh_ms: Some(1), swr_ms: 0, sie_ms: 0, tags: &[], version: Version::Unsaid };

impl Run {
    /// With a late timer, a deadline, a tie or a limit counts from when the node comes to it; a permit can be kept for
    /// one who listened: then the order is not told from outside.
    pub fn knows_the_order(&self) -> bool {
        let is_plain = |way: &Way| !way.tied && way.block_ms != Some(1);
        let is_prompt = self.timer == Timer::Prompt && !self.kinds.contains(&Pause);
        let listens = self.ways.iter().any(|way| way.notify);
        !listens && (is_prompt || self.ways.iter().all(is_plain))
    }
}

fn base() -> Run {
    Run {
        name: "",
        clients: 3,
        keys: 1,
        ways: Vec::new(),
        values: vec![VALUE],
        kinds: Vec::new(),
        groups: vec![""],
        max_tags: 100,
        max_waiters: 100,
        max_waiters_per_key: 100,
        timer: Timer::Prompt,
        is_paced: false,
        failover: None,
        depth: Some(7),
        deeper: Some(10),
    }
}

/// Every run, bounded as in the ordinary tests: seconds.
pub fn quick() -> Vec<Run> {
    [key_runs(), trouble_runs(), tag_runs(), group_runs(), queue_runs(), failover_runs()].concat()
}

/// The thorough search: minutes, in release mode.
pub fn thorough() -> Vec<Run> {
    quick().into_iter().map(|run| Run { depth: run.deeper, ..run }).collect()
}

fn key_runs() -> Vec<Run> {
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

fn trouble_runs() -> Vec<Run> {
    vec![
        // A disk that refuses writes, a memory that is full, now and then.
        Run {
            name: "refused writes",
            clients: 2,
            ways: vec![WAY, Way { lease_ms: 1, block_ms: Some(2), no_stale: true, tied: true, ..WAY }],
            values: vec![Labelled { swr_ms: 1, sie_ms: 2, ..VALUE }],
            kinds: vec![Fill, Touch, Fail, Pass, Release, Crash, Invalidate, Refuse],
            depth: Some(7),
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
            depth: Some(7),
            deeper: Some(9),
            ..base()
        },
        // More who would wait, or listen, than may.
        Run {
            name: "limits",
            ways: vec![WAY, Way { block_ms: None, notify: true, ..WAY }],
            kinds: vec![Fill, Release, Crash],
            max_waiters: 2,
            max_waiters_per_key: 1,
            keys: 2,
            clients: 4,
            depth: Some(7),
            deeper: Some(9),
            ..base()
        },
    ]
}

fn tag_runs() -> Vec<Run> {
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
        // Marks faster than a build, and three who wait.
        Run {
            name: "tags under waiters",
            clients: 3,
            ways: vec![Way { lease_ms: 3, no_stale: true, ..WAY }],
            values: vec![Labelled { tags: &[0], swr_ms: 1, ..tagged }],
            kinds: vec![Fill, Touch, Release, Mark, Invalidate],
            depth: Some(9),
            deeper: Some(13),
            ..base()
        },
        // Marks before, during and after a rebuild, and the server is started again.
        Run {
            name: "a restart",
            clients: 2,
            ways: vec![Way { group: Some("g"), ..WAY }, Way { lease_ms: 1, block_ms: None, tied: true, ..WAY }],
            values: vec![Labelled { tags: &[0], swr_ms: 1, ..tagged }],
            kinds: vec![Fill, Touch, Mark, Invalidate, Restart],
            groups: vec!["g max 1"],
            deeper: Some(9),
            ..base()
        },
        // A key that goes to another server and comes back, with what it had then.
        Run {
            name: "a key that comes back",
            clients: 2,
            ways: vec![WAY, Way { lease_ms: 1, block_ms: None, tied: true, ..WAY }],
            values: vec![Labelled { tags: &[0], ..tagged }],
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

fn group_runs() -> Vec<Run> {
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
        // The same on one key, for as many trials as it takes.
        Run {
            name: "trials",
            clients: 2,
            ways: vec![Way { block_ms: None, ..limited(2) }],
            kinds: vec![Fill, Fail, Release],
            groups: vec!["g fails 1 cool-ms 1 backoff-ms 0"],
            depth: Some(10),
            deeper: Some(14),
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

fn queue_runs() -> Vec<Run> {
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
            deeper: Some(8),
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

fn failover_runs() -> Vec<Run> {
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
