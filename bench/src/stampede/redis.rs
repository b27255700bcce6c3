//! What Redis alone can do.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use super::client::Client;
use super::{POLL, TTL, VALUE};
use crate::wire::Reply;

/// Cache-aside, as every tutorial has it.
pub(super) async fn plain(client: &mut Client, key: &str) -> Result<()> {
    if client.call(&["GET", key]).await?.is_nil() {
        client.build(key).await;
        store(client, key).await?;
    }
    Ok(())
}

/// The lock expires, only its owner removes it, and its owner looks again before it builds.
pub(super) async fn set_nx(client: &mut Client, key: &str) -> Result<()> {
    let lock = format!("lock:{key}");
    loop {
        if !client.call(&["GET", key]).await?.is_nil() {
            return Ok(());
        }
        let owner = client.name.clone();
        if client.call(&["SET", &lock, &owner, "NX", "PX", LOCK_MS]).await?.is_nil() {
            tokio::time::sleep(POLL).await;
            continue;
        }
        if client.call(&["GET", key]).await?.is_nil() {
            client.build(key).await;
            store(client, key).await?;
        }
        client.script(COMPARE_AND_DELETE, &["1", &lock, &owner]).await?;
        return Ok(());
    }
}

/// One script looks and locks, one stores, unlocks and publishes. Whoever waits subscribes, looks again (the event may
/// have come in between), and looks a last time when told.
pub(super) async fn pub_sub(client: &mut Client, key: &str) -> Result<()> {
    let (lock, channel) = (format!("lock:{key}"), format!("filled:{key}"));
    if look_or_lock(client, key, &lock).await? {
        return Ok(());
    }
    client.listen(&["SUBSCRIBE", &channel]).await?;
    loop {
        if look_or_lock(client, key, &lock).await? {
            break;
        }
        // Not for ever: its publisher may have died.
        if let Ok(event) = tokio::time::timeout(PATIENCE, client.event()).await {
            event?;
        }
    }
    // Events that came after all are skipped on the way to the answer.
    client.listen(&["UNSUBSCRIBE", &channel]).await?;
    while let Ok(event) = tokio::time::timeout(Duration::ZERO, client.event()).await {
        event?;
    }
    Ok(())
}

/// Whether the value is there now, be it that this client has built it.
async fn look_or_lock(client: &mut Client, key: &str, lock: &str) -> Result<bool> {
    let owner = client.name.clone();
    let reply = client.script(LOOK_OR_LOCK, &["2", key, lock, &owner, LOCK_MS]).await?;
    let Reply::List(reply) = reply else { return Ok(false) };
    match reply.first().map(Reply::text).as_deref() {
        Some("HIT") => Ok(true),
        Some("LOCK") => {
            client.build(key).await;
            let (ttl, channel) = (TTL.as_millis().to_string(), format!("filled:{key}"));
            client.script(STORE_AND_PUBLISH, &["2", key, lock, &owner, VALUE, &ttl, &channel]).await?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// Each client decides for itself, by chance, to build a little early: the value carries its deadline and its cost.
/// Answers a number if the value is to be built anew although it is there.
pub(super) async fn xfetch(client: &mut Client, key: &str) -> Result<Option<i64>> {
    let Reply::Bytes(value) = client.call(&["GET", key]).await? else {
        xfetch_rebuild(client, key).await?;
        return Ok(None);
    };
    let value = String::from_utf8_lossy(&value);
    let mut parts = value.split('|');
    let mut number = || parts.next().and_then(|part| part.parse::<f64>().ok()).context("not a value of XFetch");
    let (deadline, cost) = (number()?, number()?);
    let early = cost * -(1.0 - fastrand::f64()).ln();
    Ok((now_ms() as f64 + early >= deadline).then_some(0))
}

pub(super) async fn xfetch_rebuild(client: &mut Client, key: &str) -> Result<()> {
    client.build(key).await;
    let deadline = now_ms() + TTL.as_millis();
    let value = format!("{deadline}|{}|{VALUE}", client.ledger.borrow().build.as_millis());
    client.call(&["SET", key, &value, "PXAT", &deadline.to_string()]).await.map(drop)
}

async fn store(client: &mut Client, key: &str) -> Result<()> {
    client.call(&["SET", key, VALUE, "PX", &TTL.as_millis().to_string()]).await.map(drop)
}

fn now_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}

const LOCK_MS: &str = "10000";
const PATIENCE: Duration = Duration::from_secs(1);

const COMPARE_AND_DELETE: usize = 0;
const LOOK_OR_LOCK: usize = 1;
const STORE_AND_PUBLISH: usize = 2;
pub(super) const SCRIPTS: [&str; 3] = [
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end",
    crate::LOCK_SCRIPT,
    "if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
     redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
     redis.call('DEL', KEYS[2])
     return redis.call('PUBLISH', ARGV[4], 'filled')",
];
