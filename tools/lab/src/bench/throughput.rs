//! Commands per second: fifty connections, with and without pipelines, each command in turns with its peers.

use std::time::Instant;

use anyhow::Result;

use crate::bench::findings::Findings;
use crate::bench::scale::Scale;
use crate::facts::processor;
use crate::interrupt;
use crate::options::Bench;
use crate::progress::Progress;
use crate::sample::Sample;
use crate::server::Server;
use crate::strategies::LOCK_SCRIPT;
use crate::table::{count, times, Table};
use crate::wire::{command, line, Connection};

struct Contender {
    name: &'static str,
    frame: Vec<u8>,
    rates: Sample,
    /// Seconds of the server's processor for a command.
    costs: Sample,
}

pub(crate) async fn measure(options: &Bench, scale: &Scale, findings: &mut Findings) -> Result<()> {
    let progress = Progress::begin("throughput");
    let server = Server::start(&options.subject).await?;
    let mut asker = server.connect().await?;
    let script = asker.call(&command(&["SCRIPT", "LOAD", LOCK_SCRIPT])).await?.text();
    let mut table = Table::new(
        "Throughput",
        &["value", "pipeline", "command", "per second", "× GET", "server CPU, × GET", "spread"],
    );
    for (size_name, size, depth) in [
        ("5 B", 5, 1),
        ("5 B", 5, 16),
        ("5 B", 5, 100),
        ("1 KB", 1_000, 1),
        ("1 KB", 1_000, 16),
        ("100 KB", 100_000, 1),
    ] {
        let value = "x".repeat(size);
        asker.call(&command(&["SET", "plain", &value, "PX", FAR])).await?;
        asker.call(&command(&["CACHE.SET", "entry", &value, "PX", FAR])).await?;
        let mut contenders = [
            Contender::new("GET", line("GET plain")),
            Contender::new("CACHE.GETORLOCK", line("CACHE.GETORLOCK entry")),
            Contender::new("EVALSHA", command(&["EVALSHA", &script, "2", "plain", "lock", "me", "10000"])),
        ];
        let mut connections = server.connect_all(CLIENTS).await?;
        let mut beside_get = Sample::default();
        let mut beside_script = Sample::default();
        // The first round warms up everything, and does not count.
        for round in 0..=scale.repeats * TURNS {
            let mut rates = [0.0; 3];
            for (contender, rate_now) in contenders.iter_mut().zip(&mut rates) {
                progress.tell(&format!("{size_name}, pipeline of {depth}: {}", contender.name));
                interrupt::check()?;
                let (rate, cost) = run(&mut connections, &mut asker, &contender.frame, depth, scale).await?;
                *rate_now = rate;
                if round > 0 {
                    contender.rates.add(rate);
                    contender.costs.add(cost);
                }
            }
            // Compared with its neighbours of the same round: from one round to the next the machine changes its pace.
            if round > 0 {
                let [get, corral, script] = rates;
                beside_get.add(corral / get);
                beside_script.add(corral / script);
            }
        }
        let [get, corral, script] = &contenders;
        for one in &contenders {
            findings.note_spread(&one.rates);
            table.row([
                size_name.to_owned(),
                depth.to_string(),
                one.name.to_owned(),
                count(one.rates.median()),
                times(one.rates.median() / get.rates.median()),
                times(one.costs.median() / get.costs.median()),
                format!("{:.0} %", one.rates.spread() * 100.0),
            ]);
        }
        let per_second = |one: &Contender| format!("{}/s", count(one.rates.median()));
        if size == 5 && depth == 1 {
            let ratio = beside_get.median();
            let against = format!("GET: {}", per_second(get));
            let what = "the same, no pipeline, 50 clients";
            findings.target(what, per_second(corral), against, times(ratio), "≥ 0.95 ×", ratio >= 0.95);
        }
        if size == 5 && depth == 100 {
            let ratio = beside_script.median();
            let against = format!("EVALSHA: {}", per_second(script));
            let what = "the same, -P 100 throughput";
            findings.target(what, per_second(corral), against, times(ratio), "≥ 4 ×", ratio >= 4.0);
        }
    }
    findings.table(table.with_note(
        "50 connections, all from one thread, hits only. Server CPU is the processor time of the server for a command: \
         where the client is the slower side, it says more than the rate. Spread: the middle half of the repeats. The \
         two targets compare each turn with its neighbours, so their ratio can differ from that of the medians here.",
    ));
    Ok(())
}

/// Commands per second, and the server's processor time for one.
async fn run(
    connections: &mut [Connection],
    asker: &mut Connection,
    frame: &[u8],
    depth: usize,
    scale: &Scale,
) -> Result<(f64, f64)> {
    let length = asker.length_of_reply(frame).await? * depth;
    let pipeline = frame.repeat(depth);
    let spent = processor(asker).await?;
    let begin = Instant::now();
    let end = begin + scale.slice / TURNS as u32;
    let clients = connections.iter_mut().map(|connection| async {
        let mut commands = 0;
        while Instant::now() < end {
            connection.write(&pipeline).await?;
            connection.skip(length).await?;
            commands += depth;
        }
        anyhow::Ok(commands)
    });
    let mut commands = 0.0;
    for client in crate::at_once(clients).await {
        commands += client? as f64;
    }
    let elapsed = begin.elapsed().as_secs_f64();
    Ok((commands / elapsed, (processor(asker).await? - spent) / commands))
}

impl Contender {
    fn new(name: &'static str, frame: Vec<u8>) -> Self {
        Self { name, frame, rates: Sample::default(), costs: Sample::default() }
    }
}

const CLIENTS: usize = 50;
/// A repeat is this many short turns of each command: the shorter, the more alike the machine is for neighbours.
const TURNS: usize = 3;
/// Never up, and always answered in the same number of digits.
const FAR: &str = "100000000000";
