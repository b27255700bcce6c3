//! What every test stands on: a server of its own, clients that can be parked, and waiting with a deadline; and the one
//! way in which tests and tools start servers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking; what programs use (launch, ports, process) returns errors"
)]

mod client;
mod clock;
mod cluster;
pub mod launch;
mod ports;
mod process;
mod reply;
mod sentinel;
mod server;
mod stock;
pub mod story;

use std::time::{Duration, Instant};

pub use client::Client;
pub use clock::Clock;
pub use cluster::{key_in, slot_of, Cluster};
pub use launch::{Launch, Running};
pub use ports::free_port;
pub use process::{Process, Tether};
pub use reply::{Reply, Triple};
pub use sentinel::Sentinels;
pub use server::{module, Server};
pub use stock::{picture, Stock};

/// How long a test waits for what must happen. Generous: the machines are shared, valgrind is slow, and no test is about
/// speed.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// Waits until `condition` holds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Sends everybody's ask before reading any answer, and takes the answers as they come in, whoever is parked.
/// Everybody is answered, or this panics.
pub fn ask_together(clients: &mut [Client], line: &str, mut take: impl FnMut(&mut Client, Triple)) {
    clients.iter_mut().for_each(|client| client.send(line));
    let mut open: Vec<&mut Client> = clients.iter_mut().collect();
    eventually("everybody is answered", || {
        open.retain_mut(|client| {
            let answered = client.has_reply();
            if answered {
                let answer = client.read().triple();
                take(client, answer);
            }
            !answered
        });
        open.is_empty()
    });
}

/// Milliseconds since the epoch, as the server on the same machine has them.
pub fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

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
