//! The usual lock, at its best: it expires, only its owner removes it, and its owner looks again before it
//! rebuilds, as another may have finished between its GET and its SET NX.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::plain::{look_up, store};
use super::{millis, Answer, PATIENCE};
use crate::client::Client;

pub(super) fn ask(client: &mut Client) -> Result<Answer> {
    loop {
        if let Some(report) = look_up(client)? {
            return Ok(report.into());
        }
        let owner = fastrand::u64(..);
        let lock: Option<()> =
            client.send(redis::cmd("SET").arg(LOCK).arg(owner).arg("NX").arg("PX").arg(millis(PATIENCE)))?;
        if lock.is_some() {
            let report = rebuild(client);
            // Also after a failure: the next one may have more luck.
            release(client, owner)?;
            return report.map(Answer::from);
        }
        thread::sleep(POLL);
    }
}

fn rebuild(client: &mut Client) -> Result<Vec<u8>> {
    if let Some(report) = look_up(client)? {
        return Ok(report);
    }
    let report = client.query()?;
    store(client, &report)?;
    Ok(report)
}

/// Compare and delete in one step: the lock may have expired and be another's by now.
fn release(client: &mut Client, owner: u64) -> Result<()> {
    client.send(redis::cmd("EVAL").arg(COMPARE_AND_DELETE).arg(1).arg(LOCK).arg(owner))
}

const LOCK: &str = "lock:report:sales";
const POLL: Duration = Duration::from_millis(50);
const COMPARE_AND_DELETE: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end";
