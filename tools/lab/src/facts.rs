//! What a server says of itself: `INFO`.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::interrupt;
use crate::wire::{line, Connection};

pub(crate) struct Facts(String);

impl Facts {
    pub(crate) async fn ask(connection: &mut Connection, section: &str) -> Result<Self> {
        Ok(Self(connection.call(&line(&format!("INFO {section}"))).await?.text()))
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    }

    pub(crate) fn number(&self, name: &str) -> Result<f64> {
        let text = self.text(name).with_context(|| format!("INFO does not say {name}"))?;
        text.parse().with_context(|| format!("INFO says {name}:{text}"))
    }

    /// How often a command was called, of `INFO commandstats`.
    pub(crate) fn calls(&self, command: &str) -> u64 {
        // Commands of modules stand there as they were registered, in whatever case.
        let name = format!("cmdstat_{command}:");
        let of_command = |line: &&str| line.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(&name));
        let stats = self.0.lines().find(of_command).and_then(|line| line.get(name.len()..)).unwrap_or_default();
        let calls = stats.split(',').find_map(|part| part.strip_prefix("calls="));
        calls.and_then(|calls| calls.parse().ok()).unwrap_or_default()
    }
}

/// What kind of server it is: `Redis 7.0.15`.
pub(crate) async fn version(connection: &mut Connection) -> Result<String> {
    let facts = Facts::ask(connection, "server").await?;
    match (facts.text("valkey_version"), facts.text("redis_version")) {
        (Some(valkey), _) => Ok(format!("Valkey {valkey}")),
        (None, Some(redis)) => Ok(format!("Redis {redis}")),
        (None, None) => anyhow::bail!("INFO does not say which server it is"),
    }
}

/// What is in use now, in bytes.
pub(crate) async fn memory(connection: &mut Connection) -> Result<f64> {
    Facts::ask(connection, "memory").await?.number("used_memory")
}

/// Seconds of processor time the server has spent.
pub(crate) async fn processor(connection: &mut Connection) -> Result<f64> {
    let facts = Facts::ask(connection, "cpu").await?;
    Ok(facts.number("used_cpu_sys")? + facts.number("used_cpu_user")?)
}

/// Waits until so many clients are parked.
pub(crate) async fn parked(connection: &mut Connection, wanted: usize) -> Result<()> {
    loop {
        interrupt::check()?;
        if Facts::ask(connection, "clients").await?.number("blocked_clients")? as usize >= wanted {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
