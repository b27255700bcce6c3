//! The node in a world without a server: a keyspace, two clocks, clients, a replica.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(clippy::type_complexity, reason = "a test's table names its columns where it is read")]

// What the server is to the module, as simple as it can be.
mod world;

// The contract's sentences, a test each.
mod rules;

// Random schedules, and the laws that hold in any.
mod simulation;

// What clients say and are answered, as on real servers.
mod stories;
