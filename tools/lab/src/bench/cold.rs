//! A hundred thousand requests for one key that is not there, from a thousand connections.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{bail, Result};

use crate::bench::findings::Findings;
use crate::facts::{processor, Facts};
use crate::options::Bench;
use crate::progress::Progress;
use crate::server::Server;
use crate::table::{count, duration, Table};
use crate::wire::{line, Connection};

pub(crate) async fn measure(options: &Bench, findings: &mut Findings) -> Result<()> {
    let progress = Progress::begin("100,000 requests for one cold key");
    let server = Server::start(&options.subject).await?;
    let mut asker = server.connect().await?;
    let mut connections = server.connect_all(CONNECTIONS).await?;
    progress.tell("under way");
    asker.call(&line("CONFIG RESETSTAT")).await?;
    let spent = processor(&mut asker).await?;
    let rebuilds = Cell::new(0);
    let begin = Instant::now();
    let clients = connections.iter_mut().map(|connection| ask_often(connection, &rebuilds));
    for client in crate::at_once(clients).await {
        client?;
    }
    let elapsed = begin.elapsed().as_secs_f64();
    let spent = processor(&mut asker).await? - spent;
    let calls = Facts::ask(&mut asker, "commandstats").await?.calls("cache.getorlock") as f64;
    let requests = (CONNECTIONS * EACH) as f64;

    let mut table = Table::new("One cold key", &["", ""]);
    table.row(["requests", &count(requests)]);
    table.row(["connections", &count(CONNECTIONS as f64)]);
    table.row(["rebuilds", &count(f64::from(rebuilds.get()))]);
    table.row(["CACHE.GETORLOCK calls, says the server", &count(calls)]);
    table.row(["elapsed, a build of 50 ms included", &duration(elapsed)]);
    table.row(["server CPU", &duration(spent)]);
    findings.table(table);

    let rebuilds = rebuilds.get();
    let commands = calls / requests;
    let what = "100,000 requests for one cold key, 1,000 connections";
    findings.target(what, format!("{rebuilds} rebuilds"), "–", rebuilds.to_string(), "exactly 1", rebuilds == 1);
    let what = "the same: commands per waiter";
    findings.target(what, format!("{commands:.3}"), "–", format!("{commands:.3}"), "1", commands == 1.0);
    Ok(())
}

async fn ask_often(connection: &mut Connection, rebuilds: &Cell<u32>) -> Result<()> {
    let ask = line("CACHE.GETORLOCK cold BLOCK 30000");
    for _ in 0..EACH {
        let reply = connection.call(&ask).await?;
        match reply.state()? {
            (b"HIT", _) => {}
            (b"LOCK", token) => {
                rebuilds.set(rebuilds.get() + 1);
                tokio::time::sleep(BUILD).await;
                connection.call(&line(&format!("CACHE.FILL cold {token} value EX 60"))).await?;
            }
            _ => bail!("a client was answered {}", reply.text()),
        }
    }
    Ok(())
}

const CONNECTIONS: usize = 1_000;
const EACH: usize = 100;
const BUILD: Duration = Duration::from_millis(50);
