//! Cache-aside, as every tutorial has it. Between the expiry and the first SET everyone misses.

use anyhow::Result;

use super::{millis, Answer, KEY};
use crate::client::Client;

pub(super) fn ask(client: &mut Client) -> Result<Answer> {
    if let Some(report) = look_up(client)? {
        return Ok(report.into());
    }
    let report = client.query()?;
    store(client, &report)?;
    Ok(report.into())
}

pub(super) fn look_up(client: &mut Client) -> Result<Option<Vec<u8>>> {
    client.send(redis::cmd("GET").arg(KEY))
}

pub(super) fn store(client: &mut Client, report: &[u8]) -> Result<()> {
    let ttl = millis(client.ttl);
    client.store(redis::cmd("SET").arg(KEY).arg(report).arg("PX").arg(ttl)).map(drop)
}
