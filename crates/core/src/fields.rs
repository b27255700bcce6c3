//! What operators read: the fields of INFO, CACHE.INFO, CACHE.LEASES and CACHE.TOP, each with what it means. What is
//! counted stands in [`crate::node::stats`].

use core::ffi::CStr;

/// One field of a reply's map, or of INFO.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub name: &'static CStr,
    /// One line for the documents.
    pub meaning: &'static str,
}

const fn field(name: &'static CStr, meaning: &'static str) -> Field {
    Field { name, meaning }
}

pub const STATE: Field = field(c"state", "what CACHE.GET would answer: HIT, STALE, PASS, FAIL or MISS");
pub const VALUE_BYTES: Field = field(c"value-bytes", "length of the value, 0 without one");
pub const FRESH_MS: Field = field(c"fresh-ms", "ms until stale, -1 for never, 0 if it is stale or there is no value");
pub const SWR_MS: Field = field(c"swr-ms", "length of the stale-while-revalidate window, from the soft deadline");
pub const SIE_MS: Field = field(c"sie-ms", "length of the stale-if-error window, from the soft deadline");
pub const BUILD_MS: Field = field(c"build-ms", "how long the last build took, from grant to fill");
pub const FILLS: Field = field(c"fills", "how often a value was stored");
pub const TAGS: Field = field(c"tags", "the tags of the value");
pub const VERSION: Field = field(c"version", "the VERSION of the value, nil without one");
pub const FLOOR: Field = field(c"floor", "what CACHE.OUTDATE said, nil without");
pub const GROUP: Field = field(c"group", "the live lease's group, nil if none is out");
pub const LEASE: Field = field(c"lease", "the live lease, a map; nil if none is out");
pub const WAITERS: Field = field(c"waiters", "clients parked on the key");
pub const LISTENERS: Field = field(c"listeners", "callers that are to be notified");
pub const LAST_FAILURE: Field = field(c"last-failure", "the message of the last failed rebuild, nil after a fill");
pub const FAILURES_IN_A_ROW: Field = field(c"failures-in-a-row", "since the last success");
pub const BACKOFF_MS: Field = field(c"backoff-ms", "ms until the next attempt is allowed");

pub const TOKEN: Field = field(c"token", "the token that FILL must carry");
pub const AGE_MS: Field = field(c"age-ms", "ms since the grant");
pub const LEFT_MS: Field = field(c"left-ms", "ms until the deadline");
pub const TIED: Field = field(c"tied", "1 if it ends with its connection");
pub const HOLDER: Field =
    field(c"holder", "who holds it, a map; `gone` once that connection is closed; nil if it is no client of this node");

pub const ID: Field = field(c"id", "client id, as in CLIENT LIST");
pub const NAME: Field = field(c"name", "what CLIENT SETNAME said");
pub const ADDR: Field = field(c"addr", "address and port");

pub const KEY: Field = field(c"key", "the key");
pub const DB: Field = field(c"db", "its database");

pub const WAIT_MS: Field = field(c"wait-ms", "what its waiters waited, in sum");
pub const BUILDS_MS: Field = field(c"build-ms", "what its builds took, in sum");
pub const GRANTS: Field = field(c"grants", "leases granted");
pub const SAVED: Field = field(c"saved", "rebuilds saved");

/// The maps, in the order of their fields.
pub static OF_KEY: [Field; 17] = [
    STATE,
    VALUE_BYTES,
    FRESH_MS,
    SWR_MS,
    SIE_MS,
    BUILD_MS,
    FILLS,
    TAGS,
    VERSION,
    FLOOR,
    GROUP,
    LEASE,
    WAITERS,
    LISTENERS,
    LAST_FAILURE,
    FAILURES_IN_A_ROW,
    BACKOFF_MS,
];
pub static OF_LEASE: [Field; 5] = [TOKEN, AGE_MS, LEFT_MS, TIED, HOLDER];
pub static OF_HOLDER: [Field; 3] = [ID, NAME, ADDR];
pub static OF_LISTED_LEASE: [Field; 8] = [KEY, DB, TOKEN, AGE_MS, LEFT_MS, WAITERS, HOLDER, GROUP];
pub static OF_TOP: [Field; 6] = [KEY, DB, WAIT_MS, BUILDS_MS, GRANTS, SAVED];

/// INFO's gauges of what there is now.
pub const INFO_WAITERS: Field = field(c"waiters", "Clients parked now, or with their answer on its way.");
pub const INFO_LIVE_LEASES: Field = field(c"live_leases", "Leases out that this node knows of.");
pub const INFO_LISTENERS: Field = field(c"listeners", "Callers that are to be notified.");
pub const INFO_WAITERS_PEAK: Field = field(c"waiters_peak", "The most clients parked at once.");
pub const INFO_TAGS: Field = field(c"tags", "Tags whose mark is kept.");
pub const INFO_TAG_FLOOR: Field = field(
    c"tag_floor",
    "The token of the youngest mark that was forgotten, 0 for none: what is tagged and was built before it is stale.",
);
pub static INFO_GAUGES: [Field; 6] =
    [INFO_WAITERS, INFO_LIVE_LEASES, INFO_LISTENERS, INFO_WAITERS_PEAK, INFO_TAGS, INFO_TAG_FLOOR];

/// INFO's percentiles of one kind of time: how many were measured, at which parts, the longest.
#[derive(Debug)]
pub struct Percentiles {
    pub measured: Field,
    pub at: [(Field, f64); 3],
    pub longest: Field,
}

const P99: &str = "99th percentile.";
const P999: &str = "99.9th percentile.";
const LONGEST: &str = "The longest.";

pub static INFO_BUILDS: Percentiles = Percentiles {
    measured: field(c"builds_measured", "Builds that the percentiles below are of."),
    at: [
        (field(c"build_ms_p50", "Median time from grant to fill."), 0.5),
        (field(c"build_ms_p99", P99), 0.99),
        (field(c"build_ms_p999", P999), 0.999),
    ],
    longest: field(c"build_ms_max", LONGEST),
};
pub static INFO_WAITS: Percentiles = Percentiles {
    measured: field(c"waits_measured", "Waits that the percentiles below are of."),
    at: [
        (field(c"wait_ms_p50", "Median time from being parked to the answer."), 0.5),
        (field(c"wait_ms_p99", P99), 0.99),
        (field(c"wait_ms_p999", P999), 0.999),
    ],
    longest: field(c"wait_ms_max", LONGEST),
};

/// A group's line in INFO.
pub const LIVE: Field = field(c"live", "live leases");
pub const PERMITS: Field =
    field(c"permits", "in a group with `max`, leases that hold a permit: also voided ones whose build still runs");
pub const QUEUED: Field = field(c"queued", "callers that queue for one");
pub const GRANTED: Field = field(c"granted", "leases granted");
pub const REFUSED: Field = field(c"refused", "callers refused: by the circuit, a back-off or an unknown outcome");
pub const CIRCUIT: Field = field(c"circuit", "closed, open or half-open");
pub static OF_GROUP: [Field; 6] = [LIVE, PERMITS, QUEUED, GRANTED, REFUSED, CIRCUIT];
