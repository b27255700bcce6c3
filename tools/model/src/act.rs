//! Everything that can happen next.

/// One thing that happens. Clients, keys and tags are numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// An idle client calls CACHE.GETORLOCK, in one of the run's ways.
    Ask {
        client: usize,
        key: usize,
        way: usize,
    },
    /// A holder, in time or late, calls CACHE.FILL with one of the run's values.
    Fill {
        client: usize,
        value: usize,
    },
    /// The same while the server stores nothing.
    FillRefused {
        client: usize,
    },
    Touch {
        client: usize,
    },
    Fail {
        client: usize,
    },
    Pass {
        client: usize,
    },
    Renew {
        client: usize,
    },
    Release {
        client: usize,
    },
    /// The connection closes. A new one takes its place.
    Crash {
        client: usize,
    },
    /// The same of one that was just handed a lease, and has not had it yet.
    Lose {
        client: usize,
    },
    /// A holder asks on, for its own key or another of its group, which is full.
    Nest {
        client: usize,
        key: usize,
        way: usize,
    },
    /// A client that waits may not ask for its key any more.
    Forbid {
        client: usize,
    },
    /// CACHE.SET, by anybody.
    Set {
        key: usize,
    },
    /// CACHE.INVALIDATE, by anybody.
    Invalidate {
        key: usize,
    },
    /// The source has a newer version, and CACHE.OUTDATE says so.
    Outdate {
        key: usize,
    },
    /// CACHE.INVALIDATETAG.
    Mark {
        tag: usize,
    },
    /// DEL, UNLINK, eviction, RENAME away: the module is not asked.
    Delete {
        key: usize,
    },
    /// SET over it: an ordinary string.
    Text {
        key: usize,
    },
    /// LPUSH after DEL: another type.
    Foreign {
        key: usize,
    },
    /// FLUSHALL.
    Flush,
    /// DUMP, and RESTORE REPLACE of what was dumped last: a key that moves to another server and comes back.
    Dump {
        key: usize,
    },
    Restore,
    /// CONFIG SET corral.groups, to one of the run's.
    Configure {
        groups: usize,
    },
    /// What the server says of writes from now on, one of [`crate::world::WRITES`].
    Refuse {
        writes: usize,
    },
    /// The server is started again, from what it wrote out.
    Restart,
    /// CLIENT PAUSE, and its end.
    Pause,
    Unpause,
    /// The timer has its turn.
    Turn,
    /// The timer looks at the next key.
    Visit,
    /// One answer goes out, where answers are paced.
    Deliver,
    /// One millisecond passes.
    Tick,
    /// So much time passes that the node is due next.
    Wait,
    /// The replica catches up with the master.
    Replicate,
    /// The replica takes over.
    Failover,
}

/// Kinds of acts that a run allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Fill,
    FillRefused,
    Touch,
    Fail,
    Pass,
    Renew,
    Release,
    Crash,
    Set,
    Invalidate,
    Outdate,
    Mark,
    Delete,
    Retype,
    Flush,
    Configure,
    Pause,
    Lose,
    Nest,
    Forbid,
    Migrate,
    Refuse,
    Restart,
}
