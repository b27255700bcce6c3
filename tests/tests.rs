//! Black-box tests against real servers. `make test` builds the module first; `CORRAL_MODULE` and `CORRAL_SERVER` name
//! another module file or another server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

/// Servers, clients and waiting for conditions.
use corral_testkit as harness;

/// Miss, lease, wait, fill, wake: the main job.
mod rebuild;

/// How waiting ends otherwise: handover, own limits, disconnects, the operator's hand.
mod waiting;

/// TIED leases beside kills, promotions, clusters that are down and slots that move.
mod ties;

/// No lease ends silently.
mod ends;

/// Rebuilds that were overtaken: invalidated, late, released by an old holder.
mod void_fill;

/// Thousands of clients.
mod herd;

/// What clients say and are answered, as data: the decision table, and every rule that can be seen from outside.
mod stories;

/// Old values while one client refreshes.
mod stale;

/// Rebuilds that fail: messages, old values, back-off.
mod failure;

/// Results that must not be shared.
mod pass;

/// Not modified: times renewed, value kept.
mod touch;

/// The soft purge, and what it does to rebuilds.
mod invalidate;

/// Many keys in one call, and the list of leases.
mod batch;

/// Refreshes before the value is stale.
mod early;

/// Expiries that spread.
mod jitter;

/// What the documents say, against the server and the code.
mod documents;

/// Documents that name tests.
mod references;

/// Calls that are refused, as data: a clear error, and nothing changed.
mod bad_input;

/// Reload and restart: what comes back.
mod persistence;

/// Replicas: the same entries, reads, and taking over.
mod replication;

/// Entries as bytes: DUMP, RESTORE, and bytes that are none.
mod dump;

/// Payloads that somebody made, and payloads from clocks that differ.
mod forged;

/// Crash after crash, handovers in the log, large values.
mod endurance;

/// A data set that is loaded beside the one that is served.
mod loading;

/// Links that break, replicas that come late, masters that are demoted.
mod resync;

/// Entries under Redis's own commands.
mod keyspace;

/// Values past their windows, keys without a value.
mod departed;

/// Servers without the commands that operators take away.
mod renamed;

/// Tags beside restarts, reloads, replicas that lag.
mod tags;

/// Builders and readers beside invalidations by tag, all at once.
mod tag_race;

/// Versions beside a source that moves on, and one that lags.
mod hot_row;

/// Groups beside many keys, and processes that are killed.
mod groups;

/// SWAPDB with leases out.
mod swaps;

/// When the server refuses writes: MISCONF, NOREPLICAS.
mod refused_writes;

/// When memory is short.
mod memory;

/// What is not copied, sent or kept twice.
mod frugal;

/// Full caches and full pools: who is parked there, and who is not.
mod pressure;

/// Entries and leases that memory has no room for.
mod eviction;

/// Errors that need a situation.
mod situations;

/// What COMMAND says of every command.
mod documentation;

/// ACL: by key, by command, by category.
mod access;

/// SLOWLOG, LATENCY, MONITOR, CLIENT: what operators see in Redis's own ways.
mod observation;

/// MODULE LIST, LOAD and UNLOAD.
mod module;

/// Settings: names, defaults, ranges.
mod settings;

/// Both protocols, pipelines, large values.
mod protocol;

/// Moments that meet: everybody is answered, and once.
mod races;

/// Clocks that are set.
mod clock;

/// A panic in every callback, in a build that can be told to.
mod faults;

/// The users of SECURITY.md: who may do what.
mod security;

/// What operators see in INFO and in the log.
mod statistics;

/// Redis Cluster: redirects, slots that move, masters that change.
mod cluster;

/// New masters: by hand, in step with the old one, elected by Sentinels.
mod failover;

/// When the server holds its writes back: CLIENT PAUSE, FAILOVER, SHUTDOWN.
mod pauses;

/// Everything at once, for as long as one likes.
mod soak;
