//! Everything that can happen next.

use corral_lease::token::Token;

/// One thing that happens. Clients and keys are numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// An idle client calls CACHE.GETORLOCK, in one of the run's ways.
    Ask { client: usize, key: usize, way: usize },
    /// A holder, in time or late, calls CACHE.FILL with one of the run's times.
    Fill { client: usize, times: usize },
    /// CACHE.FILL over `maxmemory`.
    FillWithoutMemory { client: usize },
    /// CACHE.TOUCH.
    Touch { client: usize },
    /// CACHE.FAIL.
    Fail { client: usize },
    /// CACHE.PASS.
    Pass { client: usize },
    /// CACHE.RENEW.
    Renew { client: usize },
    /// CACHE.RELEASE.
    Release { client: usize },
    /// The connection closes. A new one takes its place.
    Crash { client: usize },
    /// CACHE.SET, by anybody.
    Set { key: usize },
    /// CACHE.INVALIDATE, by anybody.
    Invalidate { key: usize },
    /// DEL, UNLINK, eviction, FLUSHALL, RENAME away: the module is not asked.
    Delete { key: usize },
    /// RENAME or RESTORE over it: another value is here, without its lease.
    Overwrite { key: usize },
    /// SET over it: an ordinary string.
    Text { key: usize },
    /// LPUSH after DEL: another type.
    Foreign { key: usize },
    /// The scheduler looks at a key that is due.
    Advance { key: usize },
    /// The scheduler ends the lease of a TIED connection that closed.
    HolderGone { key: usize, token: Token },
    /// One millisecond passes.
    Tick,
    /// The replica catches up with the master.
    Replicate,
    /// The replica takes over, its clock behind by so many milliseconds.
    Failover { behind_ms: u64 },
}

/// Kinds of acts that a run allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Fill,
    FillWithoutMemory,
    Touch,
    Fail,
    Pass,
    Renew,
    Release,
    Crash,
    Set,
    Invalidate,
    Delete,
    Overwrite,
    Retype,
}
