//! What every test stands on: a server of its own, clients that can be parked, and waiting with a deadline; and the one
//! way in which tests and tools start servers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking; what programs use (launch, ports, process) returns errors"
)]

#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
mod clock;
#[cfg(feature = "client")]
mod cluster;
pub mod launch;
#[cfg(feature = "client")]
pub mod payload;
mod ports;
mod process;
mod reply;
#[cfg(feature = "client")]
mod sentinel;
#[cfg(feature = "client")]
mod server;
mod stock;
pub mod story;
#[cfg(feature = "client")]
mod waiting;

pub use launch::{Launch, Running};
pub use ports::free_port;
pub use process::{Process, Tether};
pub use reply::{Reply, Triple};
pub use stock::Stock;

#[cfg(feature = "client")]
pub use {
    client::Client,
    clock::Clock,
    cluster::{key_in, slot_of, Cluster},
    sentinel::Sentinels,
    server::{module, Server},
    stock::picture,
    waiting::{ask_together, eventually, now_ms, DEADLINE},
};

/// Lets this process, and the servers it starts, have thousands of connections.
pub fn raise_file_limit() {
    let (_, hard) = rlimit::Resource::NOFILE.get().unwrap();
    rlimit::Resource::NOFILE.set(hard, hard).unwrap();
}

/// Lets this process open so many files, or says why not.
pub fn allow_files(wanted: u64) -> anyhow::Result<()> {
    let allowed = rlimit::increase_nofile_limit(wanted)?;
    anyhow::ensure!(allowed >= wanted, "{wanted} open files are needed, and {allowed} are allowed: see `ulimit -n`");
    Ok(())
}
