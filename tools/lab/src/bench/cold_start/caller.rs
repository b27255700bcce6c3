//! One caller: it asks, and builds where it is to, in the way of its run.

use std::time::{Duration, Instant};

use anyhow::{bail, Result};
use rand::rngs::SmallRng;
use rand::SeedableRng;
use rand_distr::{Distribution, Zipf};

use super::books::Books;
use super::source::{Pool, KNEE};
use super::Way;
use crate::interrupt;
use crate::wire::{command, line, Connection, Reply};

pub(super) struct Caller<'a> {
    pub(super) connection: Connection,
    pub(super) number: usize,
    pub(super) way: Way,
    pub(super) books: &'a Books,
    pub(super) pool: &'a Pool,
    /// The semaphore's.
    pub(super) script: &'a str,
}

/// Why a request ended without a value.
type Outcome = std::result::Result<(), &'static str>;

impl Caller<'_> {
    pub(super) async fn call_until_all_is_warm(mut self) -> Result<()> {
        let mut random = SmallRng::seed_from_u64(self.number as u64);
        let zipf = Zipf::new(self.books.keys() as f64, 1.1)?;
        let mut turn = self.number;
        while !self.books.is_done() {
            interrupt::check()?;
            turn += 1;
            let key = if turn % 2 == 0 { self.books.next_key() } else { zipf.sample(&mut random) as usize - 1 };
            let asked = Instant::now();
            let outcome = self.ask(key).await?;
            self.books.note_request(asked);
            if let Err(why) = outcome {
                self.books.note_failure(why);
                tokio::time::sleep(AFTER_A_FAILURE.mul_f64(0.5 + fastrand::f64())).await;
            }
        }
        Ok(())
    }

    async fn ask(&mut self, key: usize) -> Result<Outcome> {
        let group = if self.way == Way::Group { " GROUP source" } else { "" };
        let patience = PATIENCE.as_millis();
        let ask = line(&format!("CACHE.GETORLOCK page:{key} LEASE 60000 BLOCK {patience}{group}"));
        let reply = self.connection.call(&ask).await?;
        match reply.state()? {
            (b"HIT", _) => Ok(Ok(())),
            (b"LOCK", token) => {
                self.books.building.enter();
                self.build(key, token).await
            }
            (b"WAIT", _) => Ok(Err("waited in vain")),
            (b"FAIL", _) => Ok(Err("told of another's failure")),
            _ => bail!("a caller was answered {}", reply.text()),
        }
    }

    async fn build(&mut self, key: usize, token: i64) -> Result<Outcome> {
        if self.way == Way::Semaphore && !self.is_let_in().await? {
            self.give_up(key, token).await?;
            return Ok(Err("not let in"));
        }
        let page = self.pool.page(key, PATIENCE).await?;
        if self.way == Way::Semaphore {
            self.connection.call(&line(&format!("ZREM {SEMAPHORE} {}", self.number))).await?;
        }
        let Some(page) = page else {
            self.give_up(key, token).await?;
            return Ok(Err("no connection"));
        };
        self.books.note_running(page.running);
        // One word: its digest has no space.
        let fill = line(&format!("CACHE.FILL page:{key} {token} {} EX 3600", page.body));
        self.books.building.leave();
        if !self.connection.call(&fill).await?.is_nil() {
            self.books.note_build();
        }
        Ok(Ok(()))
    }

    /// Who waits for this build is told, and it is tried again after the back-off.
    async fn give_up(&mut self, key: usize, token: i64) -> Result<()> {
        self.books.building.leave();
        self.connection.call(&line(&format!("CACHE.FAIL page:{key} {token} overloaded"))).await.map(drop)
    }

    async fn is_let_in(&mut self) -> Result<bool> {
        let (knee, number) = (KNEE.to_string(), self.number.to_string());
        let ask = command(&["EVALSHA", self.script, "1", SEMAPHORE, &knee, &number, FORGOTTEN_MS]);
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if self.connection.call(&ask).await? == Reply::Number(1) {
                return Ok(true);
            }
            tokio::time::sleep(POLL.mul_f64(0.5 + fastrand::f64())).await;
        }
        Ok(false)
    }
}

/// A semaphore as people write it: who died inside is forgotten after a while, and who is inside is a member.
pub(super) const LET_IN: &str = "\
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[3])
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], now, ARGV[2])
return 1";

const SEMAPHORE: &str = "semaphore";
const FORGOTTEN_MS: &str = "60000";
pub(super) const POLL: Duration = Duration::from_millis(250);
/// How long a caller waits: for another's build, for the semaphore, for a connection to the database.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
const AFTER_A_FAILURE: Duration = Duration::from_millis(100);
