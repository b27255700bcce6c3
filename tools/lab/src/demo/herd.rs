//! One run: the whole herd against one strategy, from a warm cache until the entry has expired often enough.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use futures_util::future::{select, Either};
use hdrhistogram::Histogram;

use super::run::Run;
use super::setting::Setting;
use crate::interrupt;
use crate::ledger::Ledger;
use crate::progress::Progress;
use crate::sales::Sales;
use crate::server::Server;
use crate::source::Source;
use crate::strategies::{Client, Herd, Strategy};

pub(crate) async fn run(
    strategy: Strategy,
    setting: Setting,
    server: &Server,
    sales: &Arc<Sales>,
    progress: &Progress,
) -> Result<Run> {
    server.flush(strategy).await?;
    let ledger = Rc::new(RefCell::new(Ledger::new(setting.ttl)));
    let source = Source::Sales(Arc::clone(sales));
    let herd = Herd { ledger: Rc::clone(&ledger), source, ttl: setting.ttl, patience: PATIENCE };
    // Connected before the clock starts: the herd is there, as in a web server that has been up for a while.
    let mut clients = strategy.clients(server, setting.clients, &herd).await?;
    let key = format!("{}:report", strategy.tag());
    *ledger.borrow_mut() = Ledger::new(setting.ttl);
    let first = clients.first_mut().context("a herd of nobody")?;
    strategy.warm(first, &key, &sales.truth).await?;
    let warmed = first.commands();

    let latencies = let_them_live(strategy, setting, &mut clients, &key, &sales.truth, progress).await;
    let latencies = latencies.with_context(|| format!("the run '{}' failed", strategy.name()))?;
    let commands = clients.iter().map(Client::commands).sum::<u64>().saturating_sub(warmed);
    let ledger = ledger.borrow();
    Ok(Run {
        strategy,
        latencies,
        queries: ledger.builds.clone(),
        expiries: ledger.expiries(),
        commands,
        elapsed: ledger.now(),
        expiries_wanted: setting.expiries,
    })
}

/// All of them at once, until the entry has expired often enough: the latencies of their requests.
async fn let_them_live(
    strategy: Strategy,
    setting: Setting,
    clients: &mut [Client],
    key: &str,
    truth: &[u8],
    progress: &Progress,
) -> Result<Histogram<u64>> {
    let ledger = Rc::clone(&clients.first().context("a herd of nobody")?.ledger);
    let lives = clients.iter_mut().map(|client| async move {
        let life = live(strategy, setting, client, key, truth).await;
        if life.is_err() {
            client.ledger.borrow_mut().stops = true;
        }
        life
    });
    let lives = pin!(crate::at_once(lives));
    let lives = match select(lives, pin!(supervise(&ledger, setting, progress))).await {
        Either::Left((lives, _)) => lives,
        // Interrupted: whoever is in a query is left there.
        Either::Right((over, lives)) => {
            over?;
            lives.await
        }
    };
    let mut latencies = empty_histogram()?;
    for life in lives {
        latencies.add(life?)?;
    }
    Ok(latencies)
}

/// One client's life: think, ask, look at the answer, again. A closed loop, so it asks less while it waits.
async fn live(
    strategy: Strategy,
    setting: Setting,
    client: &mut Client,
    key: &str,
    truth: &[u8],
) -> Result<Histogram<u64>> {
    let mut latencies = empty_histogram()?;
    let (shortest, longest) = setting.think;
    loop {
        let think = fastrand::u64(shortest.as_micros() as u64..=longest.as_micros() as u64);
        tokio::time::sleep(Duration::from_micros(think)).await;
        if client.ledger.borrow().stops {
            return Ok(latencies);
        }
        let asked = Instant::now();
        let answer = strategy.ask(client, key).await?;
        latencies.record(asked.elapsed().as_micros() as u64)?;
        if answer.value != truth {
            bail!("a client was given a report of {} bytes that is not the true one", answer.value.len());
        }
        client.ledger.borrow_mut().requests += 1;
        if let Some(token) = answer.refresh {
            strategy.refresh(client, key, token).await?;
        }
    }
}

/// Stops the herd in time, and tells how it goes. Whoever is in a query then goes on.
async fn supervise(ledger: &RefCell<Ledger>, setting: Setting, progress: &Progress) -> Result<()> {
    loop {
        interrupt::check()?;
        look_up(&mut ledger.borrow_mut(), setting, progress);
        tokio::time::sleep(LOOK_UP).await;
    }
}

fn look_up(ledger: &mut Ledger, setting: Setting, progress: &Progress) {
    if ledger.rebuilt_after(setting.expiries) || ledger.now() > setting.limit {
        ledger.stops = true;
    }
    let expiries = ledger.expiries().len().min(setting.expiries);
    progress.tell(&format!(
        "{}, {} s: {} queries at once, {} so far; {} requests",
        if ledger.stops { "the last answers".to_owned() } else { format!("expiry {expiries} of {}", setting.expiries) },
        ledger.now().as_secs(),
        ledger.in_flight(),
        ledger.builds_begun,
        ledger.requests,
    ));
}

/// Latencies from a microsecond to an hour, to three digits.
pub(crate) fn empty_histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 3_600_000_000, 3)?)
}

/// Well below any time to live, so that the herd stops before the next expiry.
const LOOK_UP: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(60);
