//! Rule 7: what everybody else waits while the module has much to do at once.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::bench::bystander::Bystander;
use crate::bench::findings::Findings;
use crate::facts::parked;
use crate::interrupt;
use crate::options::Bench;
use crate::progress::Progress;
use crate::sample::Sample;
use crate::server::Server;
use crate::table::{duration, Table};
use crate::wire::{line, Connection};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Idle,
    ResetStat,
    ListLeases,
    FlushAll,
    FlushAnother,
    Swap,
    TiesClose,
    DeadlinesPass,
    RoomsPass,
    TokensOfOneRoom,
    SlowReaders,
    RoomsInPause,
}

pub(crate) async fn measure(options: &Bench, findings: &mut Findings) -> Result<()> {
    let mut table =
        Table::new("Longest PING of a bystander", &["while", "median of three", "longest", "the call", "target"]);
    table.note =
        "A client of its own thread asks PING all the time; the call is the one that begins it all.".to_owned();
    let progress = Progress::begin("stalls");
    let mut idle = 0.0;
    for case in Case::ALL {
        let (mut pings, mut calls) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            interrupt::check()?;
            progress.tell(&format!("{}, round {round}", case.name()));
            let (ping, call) = case.run(options).await?;
            pings.push(ping);
            calls.push(call);
        }
        let (pings, calls): (Sample, Sample) = (pings.into_iter().collect(), calls.into_iter().collect());
        let median = pings.median();
        let target = if case == Case::Idle { "" } else { "≤ 10 ms" };
        let cells = [median, pings.most(), calls.median()].map(duration);
        let [shown, most, call] = &cells;
        table.row([case.name(), shown, most, call, target]);
        if case == Case::Idle {
            idle = median;
        } else {
            let against = format!("idle: {}", duration(idle));
            findings.target(
                format!("PING: {}", case.name()),
                shown,
                against,
                format!("longest {most}"),
                target,
                median <= 0.010,
            );
        }
    }
    findings.table(table);
    Ok(())
}

impl Case {
    const ALL: [Self; 12] = [
        Self::Idle,
        Self::ResetStat,
        Self::ListLeases,
        Self::FlushAll,
        Self::FlushAnother,
        Self::Swap,
        Self::TiesClose,
        Self::DeadlinesPass,
        Self::RoomsPass,
        Self::TokensOfOneRoom,
        Self::SlowReaders,
        Self::RoomsInPause,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Idle => "nothing happens",
            Self::ResetStat => "CONFIG RESETSTAT beside 300,000 leases",
            Self::ListLeases => "CACHE.LEASES COUNT 1 beside 300,000 leases",
            Self::FlushAll => "FLUSHALL ASYNC of 600,000 leases",
            Self::FlushAnother => "FLUSHDB of another, empty database beside 300,000 leases",
            Self::Swap => "SWAPDB beside 300,000 leases",
            Self::TiesClose => "a connection with 300,000 TIED leases closes",
            Self::DeadlinesPass => "100,000 deadlines pass together",
            Self::RoomsPass => "the deadlines of 5,000 waiters in 5,000 rooms pass",
            Self::TokensOfOneRoom => "SET for 4,000 waiters that joined 4,000 tokens",
            Self::SlowReaders => "100 waiters for 8 MB do not read, and one waits for 2 KB",
            Self::RoomsInPause => "CLIENT PAUSE over 5,000 rooms past their deadlines",
        }
    }

    /// Seconds of the longest PING, and of the call.
    async fn run(self, options: &Bench) -> Result<(f64, f64)> {
        let server = Server::start(&options.subject).await?;
        let mut client = server.connect().await?;
        match self {
            Self::Idle => watch(&server, &mut client, "PING", 1.0).await,
            Self::ResetStat => {
                leases(&mut client, 300_000, "LEASE 300000").await?;
                watch(&server, &mut client, "CONFIG RESETSTAT", 1.5).await
            }
            Self::ListLeases => {
                leases(&mut client, 300_000, "LEASE 300000").await?;
                watch(&server, &mut client, "CACHE.LEASES COUNT 1", 0.5).await
            }
            Self::FlushAll => {
                leases(&mut client, 600_000, "LEASE 300000").await?;
                watch(&server, &mut client, "FLUSHALL ASYNC", 3.0).await
            }
            Self::FlushAnother => {
                leases(&mut client, 300_000, "LEASE 300000").await?;
                client.call(&line("SELECT 3")).await?;
                watch(&server, &mut client, "FLUSHDB", 1.5).await
            }
            Self::Swap => {
                leases(&mut client, 300_000, "LEASE 300000").await?;
                watch(&server, &mut client, "SWAPDB 0 1", 1.5).await
            }
            Self::TiesClose => {
                let mut holder = server.connect().await?;
                leases(&mut holder, 300_000, "LEASE 300000 TIED").await?;
                drop(holder);
                watch(&server, &mut client, "PING", 8.0).await
            }
            Self::DeadlinesPass => {
                let until = Instant::now() + Duration::from_millis(6000);
                client.call(&line("CONFIG SET corral.log-expired-leases no")).await?;
                leases_until(&mut client, 100_000, until).await?;
                watch(&server, &mut client, "PING", 4.0 + left(until)).await
            }
            Self::RoomsPass => {
                let until = Instant::now() + Duration::from_millis(6000);
                let waiters = rooms(&server, &mut client, 5000, until).await?;
                let seen = watch(&server, &mut client, "PING", 3.0 + left(until)).await?;
                drop(waiters);
                Ok(seen)
            }
            Self::TokensOfOneRoom => {
                let mut waiters = server.connect_all(4000).await?;
                for (count, waiter) in waiters.iter_mut().enumerate() {
                    client.call(&line("CACHE.GETORLOCK k LEASE 300000")).await?;
                    waiter.write(&line("CACHE.GETORLOCK k BLOCK 0")).await?;
                    parked(&mut client, count + 1).await?;
                    client.call(&line("CACHE.INVALIDATE k")).await?;
                }
                watch(&server, &mut client, "CACHE.SET k v", 1.0).await
            }
            Self::SlowReaders => slow_readers(&server, &mut client).await,
            Self::RoomsInPause => {
                let until = Instant::now() + Duration::from_millis(6000);
                let waiters = rooms(&server, &mut client, 5000, until).await?;
                let seen = watch(&server, &mut client, "CLIENT PAUSE 10000 WRITE", 5.0 + left(until)).await?;
                drop(waiters);
                Ok(seen)
            }
        }
    }
}

/// A call, and what a bystander sees from just before it until `seconds` after it.
async fn watch(server: &Server, client: &mut Connection, call: &str, seconds: f64) -> Result<(f64, f64)> {
    let bystander = Bystander::begin(server.port)?;
    tokio::time::sleep(WARM_UP).await;
    bystander.longest();
    let begin = Instant::now();
    client.call(&line(call)).await?;
    let took = begin.elapsed().as_secs_f64();
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    Ok((bystander.longest(), took))
}

/// So many keys, each with a lease.
async fn leases(client: &mut Connection, count: usize, options: &str) -> Result<()> {
    for from in (0..count).step_by(BATCH) {
        ask_for(client, from..(from + BATCH).min(count), options).await?;
    }
    Ok(())
}

/// The same, with deadlines at one moment.
async fn leases_until(client: &mut Connection, count: usize, until: Instant) -> Result<()> {
    for from in (0..count).step_by(BATCH) {
        let left_ms = until.saturating_duration_since(Instant::now()).as_millis().max(1);
        ask_for(client, from..(from + BATCH).min(count), &format!("LEASE {left_ms}")).await?;
    }
    Ok(())
}

async fn ask_for(client: &mut Connection, keys: std::ops::Range<usize>, options: &str) -> Result<()> {
    let count = keys.len();
    let frames: Vec<u8> = keys.flat_map(|key| line(&format!("CACHE.GETORLOCK l{key} {options}"))).collect();
    client.write(&frames).await?;
    for _ in 0..count {
        client.receive().await?;
    }
    Ok(())
}

/// So many rooms with a waiter each, whose leases end at one moment.
async fn rooms(server: &Server, client: &mut Connection, count: usize, until: Instant) -> Result<Vec<Connection>> {
    let mut waiters = server.connect_all(count).await?;
    leases_until(client, count, until).await?;
    for (key, waiter) in waiters.iter_mut().enumerate() {
        waiter.write(&line(&format!("CACHE.GETORLOCK l{key} BLOCK 0 LEASE 300000"))).await?;
    }
    parked(client, count).await?;
    Ok(waiters)
}

/// The call is the small value's way from its fill to its waiter.
async fn slow_readers(server: &Server, client: &mut Connection) -> Result<(f64, f64)> {
    let token = |reply: crate::wire::Reply| reply.state().map(|(_, token)| token);
    let large = token(client.call(&line("CACHE.GETORLOCK large LEASE 300000")).await?)?;
    let small = token(client.call(&line("CACHE.GETORLOCK small LEASE 300000")).await?)?;
    let mut readers = server.connect_all(100).await?;
    for reader in &mut readers {
        reader.write(&line("CACHE.GETORLOCK large BLOCK 0")).await?;
    }
    let mut waiter = server.connect().await?;
    waiter.write(&line("CACHE.GETORLOCK small BLOCK 0")).await?;
    parked(client, 101).await?;
    let value = "x".repeat(8 << 20);
    client.call(&line(&format!("CACHE.FILL large {large} {value}"))).await?;
    let bystander = Bystander::begin(server.port)?;
    tokio::time::sleep(WARM_UP).await;
    bystander.longest();
    let begin = Instant::now();
    client.call(&line(&format!("CACHE.FILL small {small} {}", "x".repeat(2048)))).await?;
    waiter.receive().await?;
    let took = begin.elapsed().as_secs_f64();
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok((bystander.longest(), took))
}

fn left(until: Instant) -> f64 {
    until.saturating_duration_since(Instant::now()).as_secs_f64()
}

const ROUNDS: usize = 3;
const BATCH: usize = 1000;
const WARM_UP: Duration = Duration::from_millis(300);
