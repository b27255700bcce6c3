//! Strategies against an expiry: a thousand clients on one key that is gone, and a herd that goes on and on over ten
//! thousand keys.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;
use rand::rngs::SmallRng;
use rand::SeedableRng;
use rand_distr::{Distribution, Zipf};
use tokio::sync::Semaphore;

use super::findings::Findings;
use super::scale::Scale;
use crate::interrupt;
use crate::ledger::Ledger;
use crate::options::Bench;
use crate::picture::{bars, Bar};
use crate::progress::Progress;
use crate::sample::Sample;
use crate::server::{is_installed, Server};
use crate::source::Source;
use crate::strategies::{Client, Herd, Mode, Strategy};
use crate::table::{count, duration, times, Table};

/// What one strategy came to.
#[derive(Default)]
struct Outcome {
    /// The median wait of each expiry, and the like. One slow expiry on a shared machine does not decide.
    median: Sample,
    p99: Sample,
    most: Sample,
    builds: f64,
    expiries: f64,
    requests: f64,
    commands: f64,
    processor: f64,
}

pub(crate) async fn measure(options: &Bench, scale: &Scale, findings: &mut Findings) -> Result<()> {
    let progress = Progress::begin("stampedes");
    let redis = Server::start(&options.subject).await?;
    let memcached = if is_installed("memcached") { Some(Server::start_memcached().await?) } else { None };
    let strategies: Vec<Strategy> =
        Strategy::ALL.into_iter().filter(|one| *one != Strategy::Memcached || memcached.is_some()).collect();
    let server = |strategy| memcached.as_ref().filter(|_| strategy == Strategy::Memcached).unwrap_or(&redis);

    let new_herds = || strategies.iter().map(|one| (*one, Outcome::default())).collect::<Vec<_>>();
    let (mut herds, mut uneven, mut saturated) = (new_herds(), new_herds(), new_herds());
    for (round, build) in UNEVEN_BUILDS.into_iter().cycle().take(scale.expiries).enumerate() {
        let kinds = [(&mut herds, pause(BUILD)), (&mut uneven, pause(build)), (&mut saturated, pool(build))];
        for (herds, source) in kinds {
            for (strategy, outcome) in herds {
                progress.tell(&format!("1,000 clients, one key, round {}: {}", round + 1, strategy.name()));
                interrupt::check()?;
                one_expiry(server(*strategy), *strategy, &source, outcome).await?;
            }
        }
    }
    findings.table(table("A thousand clients, one key that is gone", &herds).with_note(
        "A build takes 50 ms. Wait: from when the first build was done (or from the request, if later) until the \
         client had a value; medians over the expiries. Windows for old values (SWR) and early refreshes have nothing \
         to work with here.",
    ));
    findings.table(table("The same, and builds take 30, 70, 40, 60 ms in turn", &uneven).with_note(
        "A build of just the 50 ms between two polls is a lucky one: whoever polls since the first moment asks again \
         when it is done.",
    ));
    findings.table(table("The same, and the source builds 20 at once", &saturated).with_note(
        "Builds of 30, 70, 40, 60 ms in turn on 20 connections, as a pool has them: whoever comes when all are taken waits \
         for one. Redisson: processes of 50 threads.",
    ));
    judge(&herds, findings);
    let shown = uneven.iter().map(|(strategy, outcome)| outcome.bar(*strategy)).collect::<Vec<_>>();

    let mut mixes = Vec::new();
    for strategy in strategies {
        progress.tell(&format!("10,000 keys: {}", strategy.name()));
        mixes.push((strategy, mix(server(strategy), strategy, scale.mix).await?));
    }
    findings.table(table("A mix of 10,000 keys, entries living 2 s", &mixes).with_note(
        "200 clients in a closed loop, 1 to 9 ms between two requests, keys by Zipf's law. Wait: of the requests that \
         met a rebuild or led to one.",
    ));
    findings.pictures.push(bars(
        "A thousand clients ask for one key that is gone",
        "ms beyond a build of 30 to 70 ms: median (dark), 99 % (light)",
        &shown,
    )?);
    if memcached.is_none() {
        findings.remark("memcached is not installed: its rows are left out.");
    }
    Ok(())
}

/// All ask at once for a key that nobody has asked for.
async fn one_expiry(server: &Server, strategy: Strategy, source: &Source, outcome: &mut Outcome) -> Result<()> {
    // Nobody has asked for it, in whichever table.
    let key = format!("{}:{:016x}", strategy.tag(), fastrand::u64(..));
    let herd = herd(source.clone());
    let mut clients = strategy.clients(server, HERD, &herd).await?;
    let mut asker = server.connect().await?;
    let spent = strategy.spent(&mut asker).await?;
    let asks = clients.iter_mut().map(|client| ask(client, strategy, &key));
    let mut waits = Vec::new();
    for wait in crate::at_once(asks).await {
        waits.extend(wait?);
    }
    outcome.add_waits(waits);
    outcome.add(&clients, &herd.ledger.borrow());
    outcome.requests += HERD as f64;
    outcome.processor += strategy.spent(&mut asker).await? - spent;
    Ok(())
}

async fn mix(server: &Server, strategy: Strategy, length: Duration) -> Result<Outcome> {
    let herd = herd(pause(BUILD));
    let mut clients = strategy.clients(server, CLIENTS, &herd).await?;
    let mut asker = server.connect().await?;
    let spent = strategy.spent(&mut asker).await?;
    let zipf = Zipf::new(KEYS, 1.1)?;
    let end = Instant::now() + length;
    let lives = clients.iter_mut().enumerate().map(|(seed, client)| async move {
        // Each strategy meets the same keys in the same order.
        let mut random = SmallRng::seed_from_u64(seed as u64);
        let mut waits = Vec::new();
        let mut requests = 0.0;
        while Instant::now() < end {
            interrupt::check()?;
            let key = format!("{}:mix:{}", strategy.tag(), zipf.sample(&mut random));
            waits.extend(ask(client, strategy, &key).await?);
            requests += 1.0;
            tokio::time::sleep(Duration::from_millis(fastrand::u64(1..=9))).await;
        }
        anyhow::Ok((waits, requests))
    });
    let mut outcome = Outcome::default();
    let mut all = Vec::new();
    for life in crate::at_once(lives).await {
        let (waits, requests) = life?;
        all.extend(waits);
        outcome.requests += requests;
    }
    outcome.add_waits(all);
    outcome.add(&clients, &herd.ledger.borrow());
    outcome.processor = strategy.spent(&mut asker).await? - spent;
    Ok(outcome)
}

/// One request: the wait beyond the first build, if the request met a rebuild.
async fn ask(client: &mut Client, strategy: Strategy, key: &str) -> Result<Option<f64>> {
    let asked = Instant::now();
    let answer = strategy.ask(client, key).await?;
    let wait = client.ledger.borrow().wait(key, asked, Instant::now(), answer.refresh.is_some());
    // The request is answered; whoever is to refresh does so in the background, as far as its user can tell.
    if let Some(token) = answer.refresh {
        strategy.refresh(client, key, token).await?;
    }
    Ok(wait)
}

fn pause(takes: Duration) -> Source {
    Source::Pause { takes, value: VALUE.as_bytes().into() }
}

fn pool(takes: Duration) -> Source {
    let connections = Rc::new(Semaphore::new(CONNECTIONS));
    Source::Pool { takes, value: VALUE.as_bytes().into(), connections }
}

fn herd(source: Source) -> Herd {
    Herd { ledger: Rc::new(RefCell::new(Ledger::new(TTL))), source, ttl: TTL, patience: PATIENCE }
}

fn table(title: &str, outcomes: &[(Strategy, Outcome)]) -> Table {
    let header =
        ["strategy", "builds per expiry", "wait p50", "p99", "max", "commands per request", "server CPU per 100,000"];
    let mut table = Table::new(title, &header);
    for (strategy, one) in outcomes {
        table.row([
            strategy.name().to_owned(),
            format!("{:.2}", one.builds / one.expiries),
            duration(one.median.median()),
            duration(one.p99.median()),
            duration(one.most.median()),
            format!("{:.2}", one.commands / one.requests),
            format!("{:.2} s", one.processor / one.requests * 100_000.0),
        ]);
    }
    table
}

/// Of all strategies that build once: without protection nobody waits for another's build, but for a hundred others.
fn judge(outcomes: &[(Strategy, Outcome)], findings: &mut Findings) {
    let ours = outcomes.iter().find(|(strategy, _)| *strategy == Strategy::Corral(Mode::Plain));
    let peers = [Strategy::SetNx, Strategy::RedisPyLock, Strategy::RedissonLock, Strategy::PubSub, Strategy::Memcached];
    let Some((_, ours)) = ours else { return };
    let of_peers = || outcomes.iter().filter(|(strategy, _)| peers.contains(strategy)).map(|(_, one)| one);
    for (name, figure, of_peers) in [
        ("p50", ours.median.median(), of_peers().map(|one| one.median.median()).collect::<Sample>()),
        ("p99", ours.p99.median(), of_peers().map(|one| one.p99.median()).collect()),
    ] {
        let best = of_peers.least();
        findings.target(
            format!("added latency of 1,000 waiters over the build: {name}"),
            duration(figure),
            format!("best of the others: {}", duration(best)),
            times(figure / best),
            "lowest of all",
            figure < best,
        );
    }
}

impl Outcome {
    fn add_waits(&mut self, waits: Vec<f64>) {
        let waits: Sample = waits.into_iter().collect();
        self.median.add(waits.median());
        self.p99.add(waits.share(0.99));
        self.most.add(waits.most());
    }

    fn add(&mut self, clients: &[Client], ledger: &Ledger) {
        self.commands += clients.iter().map(Client::commands).sum::<u64>() as f64;
        self.builds += ledger.builds_begun as f64;
        self.expiries += ledger.due as f64;
    }

    fn bar(&self, strategy: Strategy) -> Bar {
        let builds = self.builds / self.expiries;
        Bar {
            strategy,
            dark_ms: self.median.median() * 1000.0,
            light_ms: self.p99.median() * 1000.0,
            builds: if builds < 1.5 { "1 build".to_owned() } else { format!("{} builds", count(builds)) },
        }
    }
}

const HERD: usize = 1_000;
const CLIENTS: usize = 200;
const KEYS: f64 = 10_000.0;
/// As many builds as the source runs at once where it saturates.
const CONNECTIONS: usize = 20;
const BUILD: Duration = Duration::from_millis(50);
/// As long on average, and in no step with anybody's polls.
const UNEVEN_BUILDS: [Duration; 4] =
    [Duration::from_millis(30), Duration::from_millis(70), Duration::from_millis(40), Duration::from_millis(60)];
/// Whole seconds, as memcached counts in them.
const TTL: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(3);
const VALUE: &str =
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
