//! What clients do when the value is gone, each as its users write it.

mod client; // one client: its connections, and the slow source
mod corral; // ours
mod memcached; // the meta protocol: one wins, the others poll
mod redis; // what Redis alone can do
mod redisson; // Java's lock, and what the threads of a process share

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use clap::builder::PossibleValue;
use clap::ValueEnum;

use crate::facts::processor;
use crate::interrupt;
use crate::ledger::Ledger;
use crate::server::Server;
use crate::source::Source;
use crate::wire::{command, Connection};

pub(crate) use client::Client;
pub(crate) use corral::Mode;
use redisson::Process;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    Plain,
    SetNx,
    RedisPyLock,
    RedissonLock,
    PubSub,
    Memcached,
    XFetch,
    Corral(Mode),
}

/// What a request came to.
pub(crate) struct Answer {
    pub(crate) value: Vec<u8>,
    /// This client is to build the value anew, now that it has answered its own request: the lease's token, if any.
    pub(crate) refresh: Option<i64>,
}

/// What all clients of a run have in common.
pub(crate) struct Herd {
    pub(crate) ledger: Rc<RefCell<Ledger>>,
    pub(crate) source: Source,
    pub(crate) ttl: Duration,
    pub(crate) patience: Duration,
}

impl Strategy {
    pub(crate) const ALL: [Self; 10] = [
        Self::Plain,
        Self::SetNx,
        Self::RedisPyLock,
        Self::RedissonLock,
        Self::PubSub,
        Self::Memcached,
        Self::XFetch,
        Self::Corral(Mode::Plain),
        Self::Corral(Mode::Swr),
        Self::Corral(Mode::Early),
    ];
    pub(crate) const DEMO: [Self; 3] = [Self::Plain, Self::SetNx, Self::Corral(Mode::Plain)];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "no protection",
            Self::SetNx => "SET NX, poll every 50 ms",
            Self::RedisPyLock => "redis-py's Lock",
            Self::RedissonLock => "Redisson's RLock",
            Self::PubSub => "Lua script, pub/sub",
            Self::Memcached => "memcached W/Z, poll every 50 ms",
            Self::XFetch => "XFetch in the client",
            Self::Corral(Mode::Plain) => "Corral",
            Self::Corral(Mode::Swr) => "Corral, SWR 1000",
            Self::Corral(Mode::Early) => "Corral, EARLY 1",
        }
    }

    /// What a client does, in one line.
    pub(crate) fn steps(self) -> &'static str {
        match self {
            Self::Plain => "GET; on a miss build and SET",
            Self::SetNx => "GET; on a miss SET NX a lock: its owner builds, the others poll",
            Self::RedisPyLock => "GET; on a miss with redis.lock(): GET, build; it tries for the lock every 100 ms",
            Self::RedissonLock => "the same with getLock(); processes of 50 threads, an unlocking wakes one of each",
            Self::PubSub => "a script gets or locks; its owner builds and publishes, the others have subscribed",
            Self::Memcached => "mg N10; one is told that it has won and builds, the others poll",
            Self::XFetch => "GET; whoever draws a number that is high enough builds early",
            Self::Corral(Mode::Plain) => "CACHE.GETORLOCK; one gets a lease and builds, its FILL wakes the others",
            Self::Corral(Mode::Swr) => "the same; for a second the old value is served meanwhile",
            Self::Corral(Mode::Early) => "the same; one builds before the entry expires",
        }
    }

    /// Keys of one strategy are none of another's.
    pub(crate) fn tag(self) -> String {
        format!("{self:?}").replace(['(', ')'], "")
    }

    pub(crate) async fn clients(self, server: &Server, count: usize, herd: &Herd) -> Result<Vec<Client>> {
        let mut loader = server.connect().await?;
        let mut scripts = Vec::new();
        if self != Self::Memcached {
            for script in redis::SCRIPTS {
                scripts.push(loader.call(&command(&["SCRIPT", "LOAD", script])).await?.text());
            }
        }
        let scripts: Rc<[String]> = scripts.into();
        let mut clients = Vec::with_capacity(count);
        let mut process = None;
        for number in 0..count {
            interrupt::check()?;
            if self == Self::RedissonLock && number % redisson::THREADS == 0 {
                process = Some(Rc::new(Process::start(server.connect().await?)));
            }
            clients.push(Client {
                connection: server.connect().await?,
                events: if self == Self::PubSub { Some(server.connect().await?) } else { None },
                process: process.clone(),
                orders: 0,
                scripts: Rc::clone(&scripts),
                ledger: Rc::clone(&herd.ledger),
                source: herd.source.clone(),
                ttl: herd.ttl,
                patience: herd.patience,
                name: format!("client:{number}"),
            });
        }
        Ok(clients)
    }

    /// Puts the first value into the cache, before the herd comes.
    pub(crate) async fn warm(self, client: &mut Client, key: &str, value: &[u8]) -> Result<()> {
        match self {
            Self::Plain | Self::SetNx | Self::RedisPyLock | Self::RedissonLock | Self::PubSub => {
                redis::store(client, key, value).await
            }
            Self::XFetch => redis::xfetch_store(client, key, value, 0).await,
            Self::Memcached => memcached::store(client, key, value).await,
            Self::Corral(_) => corral::warm(client, key, value).await,
        }
    }

    /// One request: asks until the value is in hand.
    pub(crate) async fn ask(self, client: &mut Client, key: &str) -> Result<Answer> {
        match self {
            Self::Plain => redis::plain(client, key).await,
            Self::SetNx => redis::set_nx(client, key).await,
            Self::RedisPyLock => redis::redis_py_lock(client, key).await,
            Self::RedissonLock => redisson::ask(client, key).await,
            Self::PubSub => redis::pub_sub(client, key).await,
            Self::XFetch => redis::xfetch(client, key).await,
            Self::Memcached => memcached::ask(client, key).await,
            Self::Corral(mode) => corral::ask(client, key, mode).await,
        }
    }

    /// Builds the value anew after the request was answered with what there was.
    pub(crate) async fn refresh(self, client: &mut Client, key: &str, token: i64) -> Result<()> {
        match self {
            Self::Corral(mode) => corral::rebuild(client, key, token, mode).await.map(drop),
            Self::XFetch => redis::xfetch_rebuild(client, key).await.map(drop),
            // They know no such answer.
            Self::Plain | Self::SetNx | Self::RedisPyLock | Self::RedissonLock | Self::PubSub | Self::Memcached => {
                Ok(())
            }
        }
    }

    /// Seconds of processor time its server has spent.
    pub(crate) async fn spent(self, asker: &mut Connection) -> Result<f64> {
        match self {
            Self::Memcached => memcached::processor(asker).await,
            _ => processor(asker).await,
        }
    }
}

impl ValueEnum for Strategy {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let word = match self {
            Self::Plain => "none",
            Self::SetNx => "set-nx",
            Self::RedisPyLock => "redis-py-lock",
            Self::RedissonLock => "redisson-lock",
            Self::PubSub => "pub-sub",
            Self::Memcached => "memcached",
            Self::XFetch => "xfetch",
            Self::Corral(Mode::Plain) => "corral",
            Self::Corral(Mode::Swr) => "corral-swr",
            Self::Corral(Mode::Early) => "corral-early",
        };
        Some(PossibleValue::new(word).help(self.steps()))
    }
}

impl From<Vec<u8>> for Answer {
    fn from(value: Vec<u8>) -> Self {
        Self { value, refresh: None }
    }
}

/// What most users have: value, or lock, or wait, in one script.
pub(crate) const LOCK_SCRIPT: &str = "\
local value = redis.call('GET', KEYS[1])
if value then return {'HIT', value} end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return {'LOCK'} end
return {'WAIT'}";

const POLL: Duration = Duration::from_millis(50);
