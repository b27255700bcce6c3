//! Against real servers. `make test` builds the module first; `CORRAL_MODULE` and `CORRAL_SERVER` name others.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

/// Servers for the tests.
mod server;

/// `corral-top --once`.
mod once;

/// What `ops/` asks of the server: the exporter's script, the dashboard's and the alerts' queries.
mod monitoring;
