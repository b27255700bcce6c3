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
    /// CONFIG SET corral.groups, to one of the run's.
    Configure {
        groups: usize,
    },
    /// CLIENT PAUSE, and its end.
    Pause,
    Unpause,
    /// The timer has its turn.
    Turn,
    /// The timer looks at the next key.
    Visit,
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
}
