//! Redisson's `RLock` around a look and a build, as its users write it: the scripts, the channel and the latches of
//! version 3.50.0. The threads of one process share a connection for subscriptions, and an unlocking wakes one of them.
//! The watchdog that renews a lock every ten seconds has nothing to do here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::mpsc::{unbounded_channel, UnboundedReceiver, UnboundedSender};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::client::Client;
use super::{redis, Answer};
use crate::wire::{command, Connection, Reply};

/// A process of so many threads: as many clients share what it has subscribed to.
pub(super) const THREADS: usize = 50;

/// What the threads of one process share.
pub(super) struct Process {
    channels: Arc<Channels>,
    orders: UnboundedSender<Vec<u8>>,
    reader: JoinHandle<Result<()>>,
}

type Channels = Mutex<HashMap<String, Arc<Latch>>>;

/// Where the threads that want one lock wait.
struct Latch {
    threads: Mutex<usize>,
    /// Opens when the channel is subscribed to.
    ready: Semaphore,
    /// A permit for each unlocking.
    unlocked: Semaphore,
}

impl Process {
    pub(super) fn start(connection: Connection) -> Self {
        let channels = Arc::<Channels>::default();
        let (orders, taken) = unbounded_channel();
        let reader = tokio::spawn(read(connection, taken, Arc::clone(&channels)));
        Self { channels, orders, reader }
    }

    /// Whoever is the first to wait for a lock subscribes for all. Says whether this one was.
    async fn subscribe(&self, channel: &str) -> Result<(Arc<Latch>, bool)> {
        let (latch, is_first) = {
            let mut channels = held(&self.channels);
            let is_first = !channels.contains_key(channel);
            let latch = channels.entry(channel.to_owned()).or_insert_with(|| Arc::new(Latch::new()));
            *held(&latch.threads) += 1;
            (Arc::clone(latch), is_first)
        };
        if is_first {
            self.orders.send(command(&["SUBSCRIBE", channel])).context("the subscriptions were lost")?;
        }
        latch.ready.acquire().await?.forget();
        latch.ready.add_permits(1);
        Ok((latch, is_first))
    }

    /// Says whether this thread was the last.
    fn unsubscribe(&self, channel: &str, latch: &Latch) -> Result<bool> {
        let mut channels = held(&self.channels);
        let mut threads = held(&latch.threads);
        *threads -= 1;
        let is_last = *threads == 0;
        if is_last {
            channels.remove(channel);
            self.orders.send(command(&["UNSUBSCRIBE", channel])).context("the subscriptions were lost")?;
        }
        Ok(is_last)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Latch {
    const fn new() -> Self {
        Self { threads: Mutex::new(0), ready: Semaphore::const_new(0), unlocked: Semaphore::const_new(0) }
    }
}

/// Sends what the threads order, and tells them what comes.
async fn read(
    mut connection: Connection,
    mut orders: UnboundedReceiver<Vec<u8>>,
    channels: Arc<Channels>,
) -> Result<()> {
    loop {
        let next = {
            let (order, message) = (std::pin::pin!(orders.recv()), std::pin::pin!(connection.receive()));
            match futures_util::future::select(order, message).await {
                futures_util::future::Either::Left((order, _)) => Err(order),
                futures_util::future::Either::Right((message, _)) => Ok(message?),
            }
        };
        match next {
            Err(Some(order)) => connection.write(&order).await?,
            Err(None) => return Ok(()),
            Ok(message) => told(&message, &channels),
        }
    }
}

fn told(message: &Reply, channels: &Channels) {
    let Reply::List(parts) = message else { return };
    let [kind, channel, _] = parts.as_slice() else { return };
    let Some(latch) = held(channels).get(&channel.text()).cloned() else { return };
    match kind.text().as_str() {
        "subscribe" => latch.ready.add_permits(1),
        "message" => latch.unlocked.add_permits(1),
        _ => {}
    }
}

pub(super) async fn ask(client: &mut Client, key: &str) -> Result<Answer> {
    if let Reply::Bytes(value) = client.call(&["GET", key]).await? {
        return Ok(value.into());
    }
    let lock = format!("lock:{key}");
    acquire(client, &lock).await?;
    let answer = redis::plain(client, key).await;
    // Also after a failure: the next one may have more luck.
    release(client, &lock).await?;
    answer
}

async fn acquire(client: &mut Client, lock: &str) -> Result<()> {
    if left_ms(client, lock).await?.is_none() {
        return Ok(());
    }
    let process = client.process.clone().context("no process")?;
    let channel = channel_of(lock);
    let (latch, is_first) = process.subscribe(&channel).await?;
    client.orders += u64::from(is_first);
    while let Some(left_ms) = left_ms(client, lock).await? {
        if let Ok(permit) = tokio::time::timeout(Duration::from_millis(left_ms), latch.unlocked.acquire()).await {
            permit?.forget();
        }
    }
    client.orders += u64::from(process.unsubscribe(&channel, &latch)?);
    Ok(())
}

/// How long another still has the lock; `None`: it is this client's.
async fn left_ms(client: &mut Client, lock: &str) -> Result<Option<u64>> {
    let owner = client.name.clone();
    match client.script(redis::REDISSON_LOCK, &[b"1", lock.as_bytes(), LOCK_MS, owner.as_bytes()]).await? {
        Reply::Nil => Ok(None),
        Reply::Number(left) => Ok(Some(left.try_into().unwrap_or_default())),
        other => anyhow::bail!("a lock was answered {}", other.text()),
    }
}

async fn release(client: &mut Client, lock: &str) -> Result<()> {
    let (owner, channel) = (client.name.clone(), channel_of(lock));
    let latch = format!("redisson_unlock_latch:{{{lock}}}:{:032x}", fastrand::u128(..));
    let script = client.scripts.get(redis::REDISSON_UNLOCK).context("no such script")?.clone();
    let unlock: [&[u8]; 11] = [
        b"EVALSHA",
        script.as_bytes(),
        b"3",
        lock.as_bytes(),
        channel.as_bytes(),
        latch.as_bytes(),
        b"0",
        LOCK_MS,
        owner.as_bytes(),
        b"PUBLISH",
        LATCH_MS,
    ];
    client.connection.send(&command(&unlock)).await?;
    // It does not wait for this one.
    client.connection.send(&command(&["DEL", &latch])).await?;
    client.connection.receive().await?;
    client.connection.receive().await?;
    Ok(())
}

fn channel_of(lock: &str) -> String {
    format!("redisson_lock__channel:{{{lock}}}")
}

/// One thread: nobody else has it, but the compiler cannot know.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `lockWatchdogTimeout`.
const LOCK_MS: &[u8] = b"30000";
/// Of its time-out and retries.
const LATCH_MS: &[u8] = b"20000";

pub(super) const LOCK: &str = "\
if ((redis.call('exists', KEYS[1]) == 0) or (redis.call('hexists', KEYS[1], ARGV[2]) == 1)) then \
redis.call('hincrby', KEYS[1], ARGV[2], 1); redis.call('pexpire', KEYS[1], ARGV[1]); return nil; end; \
return redis.call('pttl', KEYS[1]);";
pub(super) const UNLOCK: &str = "\
local val = redis.call('get', KEYS[3]); if val ~= false then return tonumber(val);end; \
if (redis.call('hexists', KEYS[1], ARGV[3]) == 0) then return nil;end; \
local counter = redis.call('hincrby', KEYS[1], ARGV[3], -1); \
if (counter > 0) then redis.call('pexpire', KEYS[1], ARGV[2]); redis.call('set', KEYS[3], 0, 'px', ARGV[5]); return 0; \
else redis.call('del', KEYS[1]); redis.call(ARGV[4], KEYS[2], ARGV[1]); redis.call('set', KEYS[3], 1, 'px', ARGV[5]); \
return 1; end; ";
