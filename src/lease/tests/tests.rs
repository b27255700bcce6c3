//! The rules of the core, from the outside: one test binary, through the public API alone.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

// One key and what the server's shell does around the core, without a server. No tests of its own.
mod stage;
// The language of the stories in testdata/. No tests of its own.
mod script;
// The contract's decision table, and what becomes of a rebuild, told as data.
mod stories;
// What the contract says should happen, computed the slow and plain way. No tests of its own.
mod oracle;
// The contract's rules, as checks on what one step led to. No tests of its own.
mod rules;
// Any sequence of inputs: the core does what the oracle says, and the rules hold after every step.
mod histories;
// Moments and their sums, to the ends of their range and beyond.
mod moments;
// Soft deadline, windows, jitter, lease, early refresh: no combination loses a value or immortalises it.
mod times;
// What is stored and replicated: read back as written, refused if damaged, never a panic.
mod headers;
