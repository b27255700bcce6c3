//! The site on a server: requests that come when they come, whether others have their answers or not.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Exp, Zipf};
use tokio::sync::Semaphore;

use super::{Load, Site};
use crate::facts::Facts;
use crate::interrupt;
use crate::options::Bench;
use crate::server::Server;
use crate::wire::{command, line, Connection};

pub(super) async fn run(options: &Bench, site: &Site) -> Result<Load> {
    let server = Server::start(&options.subject).await?;
    let mut asker = server.connect().await?;
    let value = "x".repeat(site.value_bytes);
    let stale_ms = site.stale.as_millis().to_string();
    let mut random = SmallRng::seed_from_u64(1);
    for page in 1..=site.pages {
        let left_ms = random.random_range(1..=site.fresh.as_millis()).to_string();
        let words = ["CACHE.SET", &Site::key(page), &value, "PX", &left_ms, "SWR", &stale_ms];
        asker.call(&command(&words)).await?;
    }
    begin_log(&mut asker).await?;
    let log_before = Facts::ask(&mut asker, "persistence").await?.number("aof_current_size")?;

    let crowd = Crowd {
        free: RefCell::new(server.connect_all(CONNECTIONS).await?),
        permits: Semaphore::new(CONNECTIONS),
        fill: ["PX".to_owned(), site.fresh.as_millis().to_string(), "SWR".to_owned(), stale_ms],
        value,
        build: site.build,
        load: RefCell::default(),
        is_over: Cell::new(false),
    };
    let watched = async {
        let outcome = crowd.requests(site, &mut random).await;
        crowd.is_over.set(true);
        outcome
    };
    let (requested, sampled) = futures_util::future::join(watched, crowd.sample(&mut asker)).await;
    requested?;
    let parked = sampled?;
    let log = Facts::ask(&mut asker, "persistence").await?.number("aof_current_size")? - log_before;
    let load = crowd.load.into_inner();
    Ok(Load {
        parked_mean: parked.iter().sum::<f64>() / parked.len().max(1) as f64,
        parked_most: parked.iter().copied().fold(0.0, f64::max),
        log_bytes: log,
        ..load
    })
}

struct Crowd {
    free: RefCell<Vec<Connection>>,
    permits: Semaphore,
    fill: [String; 4],
    value: String,
    build: Duration,
    load: RefCell<Load>,
    is_over: Cell<bool>,
}

impl Crowd {
    /// All requests of the site, each by whichever connection is free.
    async fn requests(&self, site: &Site, random: &mut SmallRng) -> Result<()> {
        let (pages, gaps) = (Zipf::new(site.pages as f64, 1.0)?, Exp::new(site.requests_per_second)?);
        let (mut at, mut requests) = (Duration::ZERO, Vec::new());
        while at < site.length {
            requests.push((at, pages.sample(random) as usize));
            let gap: f64 = gaps.sample(random);
            at += Duration::from_secs_f64(gap);
        }
        let begin = Instant::now();
        let each = requests.into_iter().map(|(at, page)| async move {
            tokio::time::sleep_until((begin + at).into()).await;
            self.request(page).await
        });
        crate::at_once(each).await.into_iter().collect()
    }

    async fn request(&self, page: usize) -> Result<()> {
        let _permit = self.permits.acquire().await?;
        let mut connection = self.free.borrow_mut().pop().context("a permit without a connection")?;
        self.load.borrow_mut().requests += 1.0;
        let (key, asked) = (Site::key(page), Instant::now());
        let reply = connection.call(&command(&["CACHE.GETORLOCK", &key, "LEASE", "10000", "BLOCK", "10000"])).await?;
        let (state, number) = reply.state()?;
        match state {
            b"HIT" | b"STALE" => {
                let waited = asked.elapsed().as_secs_f64();
                // Whoever has it at once was not parked; on a busy machine a hit can take some milliseconds.
                if waited > NOT_PARKED.as_secs_f64() {
                    self.load.borrow_mut().waits.push(waited);
                }
            }
            b"LOCK" | b"REFRESH" => {
                self.load.borrow_mut().builds += 1.0;
                let token = number.to_string();
                // In the background, where there is an old page.
                tokio::time::sleep(self.build).await;
                let [px, ttl, swr, stale] = &self.fill;
                connection.call(&command(&["CACHE.FILL", &key, &token, &self.value, px, ttl, swr, stale])).await?;
            }
            _ => bail!("a request was answered {}", reply.text()),
        }
        self.free.borrow_mut().push(connection);
        Ok(())
    }

    /// How many are parked, every now and then.
    async fn sample(&self, asker: &mut Connection) -> Result<Vec<f64>> {
        let mut parked = Vec::new();
        while !self.is_over.get() {
            interrupt::check()?;
            parked.push(Facts::ask(asker, "clients").await?.number("blocked_clients")?);
            tokio::time::sleep(SAMPLED).await;
        }
        Ok(parked)
    }
}

async fn begin_log(asker: &mut Connection) -> Result<()> {
    asker.call(&line("CONFIG SET appendonly yes")).await?;
    loop {
        interrupt::check()?;
        let facts = Facts::ask(asker, "persistence").await?;
        if facts.number("aof_rewrite_in_progress")? == 0.0 && facts.number("aof_rewrite_scheduled")? == 0.0 {
            return Ok(());
        }
        tokio::time::sleep(SAMPLED).await;
    }
}

const CONNECTIONS: usize = 1_000;
const NOT_PARKED: Duration = Duration::from_millis(20);
const SAMPLED: Duration = Duration::from_millis(10);
