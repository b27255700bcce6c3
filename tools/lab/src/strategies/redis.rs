//! What Redis alone can do.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use super::client::Client;
use super::{Answer, POLL};
use crate::wire::Reply;

/// Cache-aside, as every tutorial has it. Between the expiry and the first SET everyone misses.
pub(super) async fn plain(client: &mut Client, key: &str) -> Result<Answer> {
    if let Reply::Bytes(value) = client.call(&["GET", key]).await? {
        return Ok(value.into());
    }
    let value = client.build(key).await?;
    store(client, key, &value).await?;
    Ok(value.into())
}

/// The usual lock, at its best: it expires, only its owner removes it, and its owner looks again before it builds, as
/// another may have finished between its GET and its SET NX.
pub(super) async fn set_nx(client: &mut Client, key: &str) -> Result<Answer> {
    let (lock, owner, lock_ms) = (format!("lock:{key}"), client.name.clone(), client.patience_ms());
    loop {
        if let Reply::Bytes(value) = client.call(&["GET", key]).await? {
            return Ok(value.into());
        }
        if client.call(&["SET", &lock, &owner, "NX", "PX", &lock_ms]).await?.is_nil() {
            tokio::time::sleep(POLL).await;
            continue;
        }
        let answer = plain(client, key).await;
        // Also after a failure: the next one may have more luck.
        client.script(COMPARE_AND_DELETE, &[b"1", lock.as_bytes(), owner.as_bytes()]).await?;
        return answer;
    }
}

/// The `Lock` of redis-py 8.1.0 around a look and a build, as its users write it. It tries for the lock every 100 ms,
/// whether the value has come or not; so whoever waited holds it once more to find the value there.
pub(super) async fn redis_py_lock(client: &mut Client, key: &str) -> Result<Answer> {
    if let Reply::Bytes(value) = client.call(&["GET", key]).await? {
        return Ok(value.into());
    }
    let (lock, owner, lock_ms) = (format!("lock:{key}"), client.name.clone(), client.patience_ms());
    while client.call(&["SET", &lock, &owner, "NX", "PX", &lock_ms]).await?.is_nil() {
        tokio::time::sleep(REDIS_PY_SLEEP).await;
    }
    let answer = plain(client, key).await;
    client.script(REDIS_PY_RELEASE, &[b"1", lock.as_bytes(), owner.as_bytes()]).await?;
    answer
}

/// One script looks and locks, one stores, unlocks and publishes. Whoever waits subscribes, looks again (the event may
/// have come in between), and looks a last time when told.
pub(super) async fn pub_sub(client: &mut Client, key: &str) -> Result<Answer> {
    let (lock, channel) = (format!("lock:{key}"), format!("filled:{key}"));
    if let Some(value) = look_or_lock(client, key, &lock).await? {
        return Ok(value.into());
    }
    client.listen(&["SUBSCRIBE", &channel]).await?;
    let value = loop {
        if let Some(value) = look_or_lock(client, key, &lock).await? {
            break value;
        }
        // Not for ever: its publisher may have died.
        if let Ok(event) = tokio::time::timeout(EVENT_LIMIT, client.event()).await {
            event?;
        }
    };
    // Events that came after all are skipped on the way to the answer.
    client.listen(&["UNSUBSCRIBE", &channel]).await?;
    while let Ok(event) = tokio::time::timeout(Duration::ZERO, client.event()).await {
        event?;
    }
    Ok(value.into())
}

/// The value if it is there now, be it that this client has built it.
async fn look_or_lock(client: &mut Client, key: &str, lock: &str) -> Result<Option<Vec<u8>>> {
    let (owner, lock_ms) = (client.name.clone(), client.patience_ms());
    let words = [b"2", key.as_bytes(), lock.as_bytes(), owner.as_bytes(), lock_ms.as_bytes()];
    let Reply::List(reply) = client.script(LOOK_OR_LOCK, &words).await? else { return Ok(None) };
    match reply.as_slice() {
        [_, Reply::Bytes(value)] => Ok(Some(value.clone())),
        [word] if word.text() == "LOCK" => {
            let value = client.build(key).await?;
            let (ttl, channel, sent) = (client.ttl_ms(), format!("filled:{key}"), client.ledger.borrow().now());
            let keys = [b"2", key.as_bytes(), lock.as_bytes(), owner.as_bytes()];
            let words = [&keys[..], &[&value[..], ttl.as_bytes(), channel.as_bytes()]].concat();
            client.script(STORE_AND_PUBLISH, &words).await?;
            client.ledger.borrow_mut().stores.push(sent);
            Ok(Some(value))
        }
        _ => Ok(None),
    }
}

/// Each client decides for itself, by chance, to build a little early: the value carries its deadline and its cost.
pub(super) async fn xfetch(client: &mut Client, key: &str) -> Result<Answer> {
    let Reply::Bytes(stored) = client.call(&["GET", key]).await? else {
        return xfetch_rebuild(client, key).await.map(Answer::from);
    };
    let mut parts = stored.splitn(3, |byte| *byte == b'|');
    let mut next = || parts.next().context("not a value of XFetch");
    let number = |part: &[u8]| String::from_utf8_lossy(part).parse::<f64>().context("not a number of XFetch");
    let (deadline, cost) = (number(next()?)?, number(next()?)?);
    let early = cost * -(1.0 - fastrand::f64()).ln();
    let refresh = (now_ms() as f64 + early >= deadline).then_some(0);
    Ok(Answer { value: next()?.to_vec(), refresh })
}

pub(super) async fn xfetch_rebuild(client: &mut Client, key: &str) -> Result<Vec<u8>> {
    let begun = now_ms();
    let value = client.build(key).await?;
    xfetch_store(client, key, &value, now_ms() - begun).await?;
    Ok(value)
}

pub(super) async fn xfetch_store(client: &mut Client, key: &str, value: &[u8], cost_ms: u128) -> Result<()> {
    let deadline = now_ms() + client.ttl.as_millis();
    let mut stored = format!("{deadline}|{cost_ms}|").into_bytes();
    stored.extend(value);
    client.store(&[b"SET".as_slice(), key.as_bytes(), &stored, b"PXAT", deadline.to_string().as_bytes()]).await
}

pub(super) async fn store(client: &mut Client, key: &str, value: &[u8]) -> Result<()> {
    let ttl = client.ttl_ms();
    client.store(&[b"SET".as_slice(), key.as_bytes(), value, b"PX", ttl.as_bytes()]).await
}

fn now_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}

const EVENT_LIMIT: Duration = Duration::from_secs(1);

const COMPARE_AND_DELETE: usize = 0;
const LOOK_OR_LOCK: usize = 1;
const STORE_AND_PUBLISH: usize = 2;
const REDIS_PY_RELEASE: usize = 3;
pub(super) const REDISSON_LOCK: usize = 4;
pub(super) const REDISSON_UNLOCK: usize = 5;
pub(super) const SCRIPTS: [&str; 6] = [
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end",
    super::LOCK_SCRIPT,
    "if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
     redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
     redis.call('DEL', KEYS[2])
     return redis.call('PUBLISH', ARGV[4], 'filled')",
    // `Lock.LUA_RELEASE_SCRIPT` of redis-py 8.1.0.
    "
        local token = redis.call('get', KEYS[1])
        if not token or token ~= ARGV[1] then
            return 0
        end
        redis.call('del', KEYS[1])
        return 1
    ",
    super::redisson::LOCK,
    super::redisson::UNLOCK,
];

/// `redis.lock.Lock`'s default.
const REDIS_PY_SLEEP: Duration = Duration::from_millis(100);
