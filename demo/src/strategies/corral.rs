//! Corral: one command asks, waits and wins the right to rebuild.

use std::thread;
use std::time::Duration;

use anyhow::{anyhow, bail, Context, Result};

use super::{millis, Answer, KEY, PATIENCE};
use crate::client::Client;

pub(super) fn ask(client: &mut Client) -> Result<Answer> {
    loop {
        match get_or_lock(client)? {
            Reply::Hit(report) | Reply::Stale(report) => return Ok(report.into()),
            Reply::Refresh(report, token) => return Ok(Answer { report, refresh: Some(token) }),
            Reply::Lock(token) => return rebuild(client, token).map(Answer::from),
            // Waited in vain, or the waiting room is full: ask again, but not in a tight circle.
            Reply::Wait(left) => thread::sleep(left.min(RETRY)),
            // Not to be shared: build for oneself, store nothing.
            Reply::Pass => return client.query().map(Answer::from),
            Reply::Fail(message) => bail!("the last rebuild failed: {message}"),
        }
    }
}

/// Holds the lease: builds the report and gives it to all.
pub(super) fn rebuild(client: &mut Client, token: u64) -> Result<Vec<u8>> {
    match client.query() {
        Ok(report) => {
            fill(client, token, &report)?;
            Ok(report)
        }
        Err(error) => fail(client, token, error),
    }
}

pub(super) fn warm(client: &mut Client, report: &[u8]) -> Result<()> {
    let ttl = millis(client.ttl);
    client.store(redis::cmd("CACHE.SET").arg(KEY).arg(report).arg("PX").arg(ttl)).map(drop)
}

fn get_or_lock(client: &mut Client) -> Result<Reply> {
    let patience = millis(PATIENCE);
    let reply =
        client.send(redis::cmd("CACHE.GETORLOCK").arg(KEY).arg("LEASE").arg(patience).arg("BLOCK").arg(patience))?;
    Reply::read(reply)
}

fn fill(client: &mut Client, token: u64, report: &[u8]) -> Result<()> {
    let ttl = millis(client.ttl);
    // Not taken: somebody else has the lease by now and will fill. The report is as good for this request.
    client.store(redis::cmd("CACHE.FILL").arg(KEY).arg(token).arg(report).arg("PX").arg(ttl)).map(drop)
}

/// Tells the waiters that there will be no report. If an old one may still be served, it comes back.
fn fail(client: &mut Client, token: u64, error: anyhow::Error) -> Result<Vec<u8>> {
    let message: String = format!("{error:#}").chars().take(MESSAGE_CHARS).collect();
    let verdict: Option<Triple> = client.send(redis::cmd("CACHE.FAIL").arg(KEY).arg(token).arg(message))?;
    match verdict.map(Reply::read).transpose()? {
        Some(Reply::Stale(report)) => Ok(report),
        _ => Err(error),
    }
}

type Triple = (String, Option<Vec<u8>>, i64);

/// The states of CACHE.GETORLOCK, with what each of them carries.
#[derive(Debug, PartialEq, Eq)]
enum Reply {
    Hit(Vec<u8>),
    Stale(Vec<u8>),
    Refresh(Vec<u8>, u64),
    Lock(u64),
    Wait(Duration),
    Pass,
    Fail(String),
}

impl Reply {
    fn read((state, value, number): Triple) -> Result<Self> {
        let value_missing = || anyhow!("{state} came without a value");
        let number_as = |what| u64::try_from(number).with_context(|| format!("{state} came with {what} {number}"));
        Ok(match state.as_str() {
            "HIT" => Self::Hit(value.ok_or_else(value_missing)?),
            "STALE" => Self::Stale(value.ok_or_else(value_missing)?),
            "REFRESH" => Self::Refresh(value.ok_or_else(value_missing)?, number_as("token")?),
            "LOCK" => Self::Lock(number_as("token")?),
            "WAIT" => Self::Wait(Duration::from_millis(number_as("time")?)),
            "PASS" => Self::Pass,
            "FAIL" => Self::Fail(String::from_utf8_lossy(&value.ok_or_else(value_missing)?).into_owned()),
            other => bail!("CACHE.GETORLOCK answered {other}, which is none of its states"),
        })
    }
}

const RETRY: Duration = Duration::from_millis(50);
/// CACHE.FAIL takes 1024 bytes, and a character is at most four.
const MESSAGE_CHARS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(state: &str, value: Option<&str>, number: i64) -> Result<Reply> {
        Reply::read((state.into(), value.map(|v| v.as_bytes().to_vec()), number))
    }

    #[test]
    fn each_state_is_read_with_what_it_carries() -> Result<()> {
        assert_eq!(read("HIT", Some("v"), -1)?, Reply::Hit(b"v".to_vec()));
        assert_eq!(read("STALE", Some("v"), 0)?, Reply::Stale(b"v".to_vec()));
        assert_eq!(read("REFRESH", Some("v"), 7)?, Reply::Refresh(b"v".to_vec(), 7));
        assert_eq!(read("LOCK", None, 7)?, Reply::Lock(7));
        assert_eq!(read("WAIT", None, 20)?, Reply::Wait(Duration::from_millis(20)));
        assert_eq!(read("PASS", None, 20)?, Reply::Pass);
        assert_eq!(read("FAIL", Some("no disk"), 20)?, Reply::Fail("no disk".into()));
        Ok(())
    }

    #[test]
    fn a_reply_that_breaks_the_contract_is_an_error() {
        assert!(read("HIT", None, 5).is_err());
        assert!(read("LOCK", None, -1).is_err());
        assert!(read("MISS", None, 0).is_err());
    }
}
