//! One run: the whole herd against one strategy, from a warm cache until the entry has expired often enough.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{bail, Result};
use corral_rig::interrupt;
use hdrhistogram::Histogram;

use crate::client::Client;
use crate::database::Database;
use crate::ledger::Ledger;
use crate::measurements::{empty_histogram, Run};
use crate::options::Setting;
use crate::server::Server;
use crate::strategies::Strategy;

/// Runs `strategy` on an empty server. `watch` is called many times a second, to show what goes on.
pub(crate) fn run(
    strategy: Strategy,
    setting: Setting,
    server: &Server,
    database: &Database,
    watch: impl FnMut(&Ledger),
) -> Result<Run> {
    server.flush()?;
    // Connected before the clock starts: the herd is there, as in a web server that has been up for a while.
    let connections = (0..setting.clients).map(|_| server.connect()).collect::<Result<Vec<_>>>()?;
    let first = server.connect()?;

    let ledger = Arc::new(Ledger::new(setting.ttl));
    let client = |connection| Client::new(connection, database.path().to_path_buf(), setting.ttl, Arc::clone(&ledger));
    let truth: Arc<[u8]> = database.report.as_slice().into();
    strategy.warm(&mut client(first), &truth)?;

    // Not scoped threads: after Ctrl-C nobody waits for two hundred queries to end.
    let members: Vec<JoinHandle<Result<Share>>> = connections
        .into_iter()
        .map(|connection| {
            let (client, ledger, truth) = (client(connection), Arc::clone(&ledger), Arc::clone(&truth));
            thread::spawn(move || {
                let share = live(strategy, setting, client, &ledger, &truth);
                if share.is_err() {
                    ledger.stop();
                }
                share
            })
        })
        .collect();

    supervise(&ledger, &members, setting, watch)?;

    let mut latencies = empty_histogram()?;
    let mut queries = Vec::new();
    let mut commands = 0;
    let mut failure = None;
    for member in members {
        match member.join() {
            Ok(Ok(share)) => {
                latencies.add(share.latencies)?;
                queries.extend(share.queries);
                commands += share.commands;
            }
            Ok(Err(error)) => failure = failure.or(Some(error)),
            Err(_) => bail!("a client's thread died"),
        }
    }
    let elapsed = ledger.now();
    match failure {
        Some(error) => Err(error.context(format!("the run '{}' failed", strategy.name()))),
        None => Ok(Run {
            strategy,
            latencies,
            queries,
            expiries: ledger.expiries(),
            commands,
            elapsed,
            expiries_wanted: setting.expiries,
        }),
    }
}

/// What one member of the herd saw.
struct Share {
    latencies: Histogram<u64>,
    queries: Vec<crate::measurements::Span>,
    commands: u64,
}

/// One client's life: think, ask, look at the answer, again. A closed loop, so it asks less while it waits.
fn live(strategy: Strategy, setting: Setting, mut client: Client, ledger: &Ledger, truth: &[u8]) -> Result<Share> {
    let mut latencies = empty_histogram()?;
    let (shortest, longest) = setting.think;
    loop {
        let think = fastrand::u64(shortest.as_micros() as u64..=longest.as_micros() as u64);
        thread::sleep(Duration::from_micros(think));
        if ledger.is_stopping() {
            break;
        }
        let asked = Instant::now();
        let answer = strategy.ask(&mut client)?;
        latencies.record(asked.elapsed().as_micros() as u64)?;
        if answer.report != truth {
            bail!("a client was given a report of {} bytes that is not the true one", answer.report.len());
        }
        ledger.note_request();
        if let Some(token) = answer.refresh {
            strategy.refresh(&mut client, token)?;
        }
    }
    let (commands, queries) = client.into_tally();
    Ok(Share { latencies, queries, commands })
}

/// Stops the herd in time and waits until its last member is home.
fn supervise<T>(
    ledger: &Ledger,
    members: &[JoinHandle<T>],
    setting: Setting,
    mut watch: impl FnMut(&Ledger),
) -> Result<()> {
    while !members.iter().all(JoinHandle::is_finished) {
        // Whoever is in a query then goes on; nobody waits for them: the process ends.
        interrupt::check().inspect_err(|_| ledger.stop())?;
        if ledger.rebuilt_after(setting.expiries) || ledger.now() > setting.limit {
            ledger.stop();
        }
        watch(ledger);
        thread::sleep(LOOK_UP);
    }
    Ok(())
}

/// Well below any time to live, so that the herd stops before the next expiry.
const LOOK_UP: Duration = Duration::from_millis(10);
