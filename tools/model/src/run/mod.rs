//! Runs: how many clients and keys, and what they may do. Each is a search of its own, since everything at once would
//! be too much: a run leaves out what the others look at.

use crate::act::Kind;

mod failovers;
mod groups;
mod keys;
mod queues;
mod tags;
mod troubles;

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
        let is_prompt = self.timer == Timer::Prompt && !self.kinds.contains(&Kind::Pause);
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
    [keys::runs(), troubles::runs(), tags::runs(), groups::runs(), queues::runs(), failovers::runs()].concat()
}

/// The thorough search: minutes, in release mode.
pub fn thorough() -> Vec<Run> {
    quick().into_iter().map(|run| Run { depth: run.deeper, ..run }).collect()
}
