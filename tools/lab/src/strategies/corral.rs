//! Corral: one command asks, waits and wins the right to build.

use std::time::Duration;

use anyhow::{bail, Result};

use super::client::Client;
use super::Answer;
use crate::wire::Reply;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Plain,
    Swr,
    Early,
}

pub(super) async fn ask(client: &mut Client, key: &str, mode: Mode) -> Result<Answer> {
    let patience = client.patience_ms();
    let mut words = vec!["CACHE.GETORLOCK", key, "LEASE", &patience, "BLOCK", &patience];
    if mode == Mode::Early {
        words.extend(["EARLY", "1"]);
    }
    loop {
        let reply = client.call(&words).await?;
        let (state, value, number) = reply.triple()?;
        match (state, value) {
            (b"HIT" | b"STALE", Some(value)) => return Ok(value.to_vec().into()),
            (b"REFRESH", Some(value)) => return Ok(Answer { value: value.to_vec(), refresh: Some(number) }),
            (b"LOCK", _) => return rebuild(client, key, number, mode).await.map(Answer::from),
            // Waited in vain, or the waiting room is full: ask again, but not in a tight circle.
            (b"WAIT", _) => tokio::time::sleep(Duration::from_millis(number.clamp(1, 50) as u64)).await,
            // Not to be shared: build for oneself, store nothing.
            (b"PASS", _) => return client.build(key).await.map(Answer::from),
            _ => bail!("a client was answered {}", reply.text()),
        }
    }
}

/// Holds the lease: builds the value and gives it to all.
pub(super) async fn rebuild(client: &mut Client, key: &str, token: i64, mode: Mode) -> Result<Vec<u8>> {
    let token = token.to_string();
    let value = match client.build(key).await {
        Ok(value) => value,
        Err(error) => return fail(client, key, &token, error).await,
    };
    let ttl = client.ttl_ms();
    let mut words: Vec<&[u8]> = vec![b"CACHE.FILL", key.as_bytes(), token.as_bytes(), &value, b"PX", ttl.as_bytes()];
    if mode == Mode::Swr {
        words.extend([b"SWR".as_slice(), b"1000"]);
    }
    // Not taken: somebody else has the lease by now and will fill. The value is as good for this request.
    client.store(&words).await?;
    Ok(value)
}

pub(super) async fn warm(client: &mut Client, key: &str, value: &[u8]) -> Result<()> {
    let ttl = client.ttl_ms();
    client.store(&[b"CACHE.SET".as_slice(), key.as_bytes(), value, b"PX", ttl.as_bytes()]).await
}

/// Tells the waiters that there will be no value. If an old one may still be served, it comes back.
async fn fail(client: &mut Client, key: &str, token: &str, error: anyhow::Error) -> Result<Vec<u8>> {
    let message: String = format!("{error:#}").chars().take(MESSAGE_CHARS).collect();
    let verdict = client.call(&["CACHE.FAIL", key, token, &message]).await?;
    match verdict {
        Reply::List(_) => match verdict.triple()? {
            (b"STALE", Some(value), _) => Ok(value.to_vec()),
            _ => Err(error),
        },
        _ => Err(error),
    }
}

/// CACHE.FAIL takes 1024 bytes, and a character is at most four.
const MESSAGE_CHARS: usize = 256;
