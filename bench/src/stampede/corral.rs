//! Corral: one command asks, waits and wins the right to build.

use std::time::Duration;

use anyhow::{bail, Result};

use super::client::Client;
use super::{TTL, VALUE};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Plain,
    Swr,
    Early,
}

/// Answers a token if the value is to be built anew although it is there.
pub(super) async fn ask(client: &mut Client, key: &str, mode: Mode) -> Result<Option<i64>> {
    let mut words = vec!["CACHE.GETORLOCK", key, "BLOCK", "3000"];
    if mode == Mode::Early {
        words.extend(["EARLY", "1"]);
    }
    loop {
        let reply = client.call(&words).await?;
        match reply.state()? {
            (b"HIT" | b"STALE", _) => return Ok(None),
            (b"REFRESH", token) => return Ok(Some(token)),
            (b"LOCK", token) => return rebuild(client, key, token, mode).await.map(|()| None),
            (b"WAIT", left) => tokio::time::sleep(Duration::from_millis(left.clamp(1, 50) as u64)).await,
            _ => bail!("a client was answered {}", reply.text()),
        }
    }
}

pub(super) async fn rebuild(client: &mut Client, key: &str, token: i64, mode: Mode) -> Result<()> {
    client.build(key).await;
    let (token, ttl) = (token.to_string(), TTL.as_millis().to_string());
    let mut words = vec!["CACHE.FILL", key, &token, VALUE, "PX", &ttl];
    if mode == Mode::Swr {
        words.extend(["SWR", "1000"]);
    }
    client.call(&words).await.map(drop)
}
