//! How soon the first waiter has the lease after its holder's end.

use std::time::{Duration, Instant};

use anyhow::{ensure, Result};

use crate::bench::findings::Findings;
use crate::bench::scale::Scale;
use crate::facts::parked;
use crate::interrupt;
use crate::options::Bench;
use crate::progress::Progress;
use crate::sample::Sample;
use crate::server::Server;
use crate::table::{duration, Table};
use crate::wire::{line, Connection};

pub(crate) async fn measure(options: &Bench, scale: &Scale, findings: &mut Findings) -> Result<()> {
    let progress = Progress::begin("handover");
    let server = Server::start(&options.subject).await?;
    let mut asker = server.connect().await?;
    let [mut round_trip, mut died, mut released, mut expired] = [const { Vec::new() }; 4];
    for round in 0..scale.repeats * ROUNDS {
        interrupt::check()?;
        progress.tell(&format!("round {round}"));
        let begin = Instant::now();
        asker.call(&line("PING")).await?;
        round_trip.push(begin.elapsed().as_secs_f64());

        let (holder, mut waiter, _) = pair(&server, &mut asker, "LEASE 60000 TIED", "tied").await?;
        let begin = Instant::now();
        drop(holder);
        died.push(promotion(&mut waiter, begin).await?);

        let (mut holder, mut waiter, token) = pair(&server, &mut asker, "LEASE 60000", "released").await?;
        let begin = Instant::now();
        holder.write(&line(&format!("CACHE.RELEASE released:key {token}"))).await?;
        released.push(promotion(&mut waiter, begin).await?);

        // From before the grant was asked for: the figure holds a round trip too many, never one too few.
        let begin = Instant::now();
        let (_holder, mut waiter, _) = pair(&server, &mut asker, &format!("LEASE {LEASE_MS}"), "expired").await?;
        expired.push(promotion(&mut waiter, begin + Duration::from_millis(LEASE_MS)).await?);
        asker.call(&line("FLUSHALL")).await?;
    }
    let mut table = Table::new("Handover", &["the holder", "median", "p90", "longest", "target"]);
    for (what, times, target) in [
        ("(a PING, for scale)", &round_trip, ""),
        ("TIED, and its connection closed", &died, "next turn"),
        ("sent RELEASE", &released, "next turn"),
        ("let its deadline pass, on an idle server", &expired, "≤ 10 ms late"),
    ] {
        let sample: Sample = times.iter().copied().collect();
        let cells = [sample.median(), sample.share(0.9), sample.most()].map(duration);
        table.row([what].into_iter().chain(cells.iter().map(String::as_str)).chain([target]));
        if !target.is_empty() {
            let ping = Sample::from_iter(round_trip.iter().copied()).median();
            // Of the next turn the client sees one round trip. A timer's tick would be a millisecond more.
            let (target, met) = match target {
                "next turn" => ("next turn (p50 ≤ PING + 1 ms)", sample.median() <= ping + 0.001),
                _ => ("≤ 10 ms late (p90)", sample.share(0.9) <= 0.010),
            };
            let [median, p90, _] = &cells;
            let against = format!("PING: {}", duration(ping));
            findings.target(format!("handover: holder {what}"), median, against, format!("p90 {p90}"), target, met);
        }
    }
    findings.table(table);
    Ok(())
}

/// A holder, and a waiter that is parked behind it.
async fn pair(
    server: &Server,
    asker: &mut Connection,
    lease: &str,
    key: &str,
) -> Result<(Connection, Connection, i64)> {
    let (mut holder, mut waiter) = (server.connect().await?, server.connect().await?);
    let reply = holder.call(&line(&format!("CACHE.GETORLOCK {key}:key {lease}"))).await?;
    let (state, token) = reply.state()?;
    ensure!(state == b"LOCK", "the holder was answered {}", reply.text());
    waiter.write(&line(&format!("CACHE.GETORLOCK {key}:key BLOCK 30000"))).await?;
    parked(asker, 1).await?;
    Ok((holder, waiter, token))
}

async fn promotion(waiter: &mut Connection, since: Instant) -> Result<f64> {
    let reply = waiter.receive().await?;
    ensure!(reply.state()?.0 == b"LOCK", "the waiter was answered {}", reply.text());
    Ok(Instant::now().saturating_duration_since(since).as_secs_f64())
}

const ROUNDS: usize = 5;
const LEASE_MS: u64 = 60;
